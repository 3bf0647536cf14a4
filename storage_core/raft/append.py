"""Replication: one log, in the leader's order, on every voter (Raft §5.3, §5.4).

The leader streams what it appended to all followers at once and in batches; the work is per batch,
not per entry. A follower accepts entries only where the entry in front of them is the same, and a
refusal carries a hint, (index, term), that lets the leader skip a whole term per round trip.

What always holds: an entry is committed when a majority holds it durably *and* it is of the
leader's own term (Figure 8), and with it all before it; a follower never cuts a committed entry;
`match_index` of an answer is durable on the follower before the answer leaves.

Read next: `progress` for what is in flight.
"""

from __future__ import annotations

from typing import Optional, Tuple, Union

from storage_core.raft import election, quorum, reads
from storage_core.raft.messages import Append, AppendReply, Entry, Heartbeat, HeartbeatReply
from storage_core.raft.progress import Progress
from storage_core.raft.ready import LEADER, LogStorage
from storage_core.raft.state import State

# What an entry takes besides its own bytes, in memory and on the wire, roughly.
ENTRY_OVERHEAD_BYTES = 104


def last_index_of_term(log: LogStorage, index: int, term: int) -> int:
    """The largest i <= index whose term is <= `term`; terms never go back, so halving finds it."""
    lo = log.first_index - 1
    hi = min(index, log.last_index)
    if hi < lo:
        return hi
    while lo < hi:
        middle = (lo + hi + 1) // 2
        middle_term = log.term_at(middle)
        assert middle_term is not None, middle
        if middle_term <= term:
            lo = middle
        else:
            hi = middle - 1
    return lo


# -- follower -------------------------------------------------------------------------------------


def on_append(state: State, message: Append, now_us: int) -> None:
    election.heard_from_leader(state, message.sender, now_us)
    if message.safe_index > state.safe_index:
        state.safe_index = min(message.safe_index, state.commit_index)
    log = state.log
    prev_index, entries = message.prev_index, message.entries
    if prev_index < state.commit_index:
        # What is committed is the same on all; look only at what comes after it.
        entries = entries[state.commit_index - prev_index :]
        prev_index = state.commit_index
    elif log.term_at(prev_index) != message.prev_term:
        _refuse(state, message)
        return
    match_index = prev_index + len(entries)
    if entries:
        assert entries[0].index == prev_index + 1, (entries[0].index, prev_index)
        assert entries[-1].index == match_index, "entries are consecutive"
        if prev_index < log.last_index:
            entries = _without_known(state, entries)
        if entries:
            log.append(entries)
    if message.commit_index > state.commit_index:
        state.commit_to(max(state.commit_index, min(message.commit_index, match_index)))
    reply = AppendReply(state.term, state.node, True, match_index, 0, 0, message.sent_us, ())
    state.send(message.sender, reply, after_flush=True)


def _refuse(state: State, message: Append) -> None:
    """Tell where to look next: our last entry whose term is not above the leader's there."""
    log = state.log
    hint_index = last_index_of_term(log, message.prev_index, message.prev_term)
    hint_term = log.term_at(hint_index) or 0
    # A refusal's match_index repeats the index refused, so that a late one is told apart.
    refused_index = message.prev_index
    reply = AppendReply(
        state.term,
        state.node,
        False,
        refused_index,
        hint_index,
        hint_term,
        message.sent_us,
        (),
    )
    state.send(message.sender, reply)


def _without_known(state: State, entries: Tuple[Entry, ...]) -> Tuple[Entry, ...]:
    """Drop what our log already holds; cut our log where it differs (Raft §5.3)."""
    log = state.log
    last_index = log.last_index
    known = 0
    for entry in entries:
        if entry.index > last_index:
            break
        if log.term_at(entry.index) != entry.term:
            assert entry.index > state.commit_index, "a committed entry is never cut"
            log.truncate(entry.index)
            break
        known += 1
    return entries[known:]


def on_heartbeat(state: State, message: Heartbeat, now_us: int) -> None:
    election.heard_from_leader(state, message.sender, now_us)
    # The leader tells each follower only of commits that it has matched.
    if message.commit_index > state.commit_index:
        state.commit_to(min(message.commit_index, state.log.last_index))
    if message.safe_index > state.safe_index:
        state.safe_index = min(message.safe_index, state.commit_index)
    reply = HeartbeatReply(state.term, state.node, message.sent_us, state.log.last_index)
    state.send(message.sender, reply)


def refuse_old_leader(state: State, message: Union[Append, Heartbeat]) -> None:
    """A leader of an earlier term speaks: our term in the answer makes it step down."""
    reply = HeartbeatReply(state.term, state.node, message.sent_us, state.log.last_index)
    state.send(message.sender, reply)


# -- leader: sending ------------------------------------------------------------------------------


def send_appends(state: State) -> None:
    """Everything that followers lack and have room for. Called once per Ready."""
    last_index = state.log.last_index
    # Followers that are equally far get the very same message, which is encoded once.
    shared: Optional[Append] = None
    shared_bytes = 0
    timing = state.timing
    for peer, progress in state.progress.items():
        if progress.probing:
            if not progress.probe_sent:
                _send_probe(state, peer, progress)
            continue
        while progress.next_index <= last_index and progress.has_room(timing):
            if shared is None or shared.prev_index != progress.next_index - 1:
                built = _build_append(state, progress.next_index, last_index)
                if built is None:
                    progress.probe(progress.next_index)
                    break
                shared = built
                shared_bytes = _size_of(shared.entries)
            state.send(peer, shared)
            progress.sent(shared.entries[-1].index, shared_bytes, state.now_us)
            progress.append_sent_us = shared.sent_us


def _size_of(entries: Tuple[Entry, ...]) -> int:
    size_bytes = ENTRY_OVERHEAD_BYTES * len(entries)
    for entry in entries:
        size_bytes += len(entry.meta) + len(entry.body)
    return size_bytes


def _build_append(state: State, next_index: int, last_index: int) -> Optional[Append]:
    """None where the log was compacted past `next_index`."""
    log = state.log
    prev_term = log.term_at(next_index - 1)
    if prev_term is None:
        return None
    entries: Tuple[Entry, ...] = ()
    if next_index <= last_index:
        entries = tuple(log.entries(next_index, last_index, state.timing.append_bytes_max))
        assert entries[0].index == next_index, (entries[0].index, next_index)
    return Append(
        state.term,
        state.node,
        next_index - 1,
        prev_term,
        state.commit_index,
        state.safe_index,
        state.stamp(),
        entries,
    )


def _send_probe(state: State, peer: int, progress: Progress) -> None:
    """An append without entries: do our logs agree in front of next_index?"""
    # What is older than our log can't be compared; the follower may still hold where it begins.
    progress.next_index = max(progress.next_index, state.log.first_index)
    append = _build_append(state, progress.next_index, 0)
    assert append is not None, "the term in front of the first entry is known"
    state.send(peer, append)
    progress.probe_sent = True


def broadcast_heartbeat(state: State) -> None:
    """Renews every promise, tells of commits, and asks again where an answer is missing."""
    state.heartbeat_due_us = state.now_us + state.timing.heartbeat_us
    state.heartbeat_asked = False
    patience_us = 2 * state.timing.heartbeat_us
    for peer, progress in state.progress.items():
        send_heartbeat(state, peer)
        if progress.probing:
            progress.probe_sent = False
        elif progress.stalled(state.now_us, patience_us):
            # An empty append behind all that is in flight settles whether it arrived.
            progress.moved_us = state.now_us
            _send_probe(state, peer, progress)
            progress.probe_sent = False


def send_heartbeat(state: State, peer: int) -> None:
    commit_index = min(state.commit_index, state.progress[peer].match_index)
    heartbeat = Heartbeat(state.term, state.node, commit_index, state.safe_index, state.stamp())
    state.send(peer, heartbeat)


# -- leader: hearing ------------------------------------------------------------------------------


def on_append_reply(state: State, message: AppendReply, now_us: int) -> None:
    if state.role != LEADER:
        return
    progress = state.progress[message.sender]
    reads.acknowledged(state, progress, message.sent_us, now_us)
    if not message.success:
        _look_further_back(state, progress, message)
        return
    assert message.match_index <= state.log.last_index, "a follower is not ahead of its leader"
    news = progress.matched(message.match_index, now_us)
    # An answer that falls short of the probe is a late one, to something older.
    if progress.probing and message.match_index >= progress.next_index - 1:
        progress.feed()
    if news:
        advance_commit(state)
        election.hand_over_if_caught_up(state)


def _look_further_back(state: State, progress: Progress, message: AppendReply) -> None:
    """Skip every entry that can't agree: ours of a term above the hint's (etcd's rule)."""
    refused_index = message.match_index
    if progress.probing:
        if refused_index != progress.next_index - 1:
            return
    elif refused_index <= progress.match_index:
        return
    guess = last_index_of_term(state.log, message.hint_index, message.hint_term)
    next_index = max(progress.match_index, min(refused_index - 1, guess)) + 1
    progress.probe(next_index)
    if next_index < state.log.first_index:
        # It needs what was compacted. Asked again with each heartbeat: others may feed it.
        progress.behind_log = True
        progress.probe_sent = True


def on_heartbeat_reply(state: State, message: HeartbeatReply, now_us: int) -> None:
    if state.role != LEADER:
        return
    progress = state.progress[message.sender]
    progress.answers += 1
    progress.round_trip_us = max(0, now_us - message.sent_us)
    reads.acknowledged(state, progress, message.sent_us, now_us)
    lost = message.last_index + 1 < progress.next_index
    if lost and message.sent_us > progress.append_sent_us and not progress.probing:
        # All that we sent left before this heartbeat, and yet the follower does not hold it.
        progress.probe(message.last_index + 1)


def self_flushed(state: State, index: int, term: int) -> None:
    """Our own log is durable up to `index`. We count ourselves only by this."""
    if state.role != LEADER or term != state.term or index <= state.flushed_index:
        return
    assert index <= state.log.last_index, (index, state.log.last_index)
    state.flushed_index = index
    advance_commit(state)


def advance_commit(state: State) -> None:
    """Commit what a majority holds, if it is of our own term (Raft §5.4.2, Figure 8)."""
    matches = [progress.match_index for progress in state.progress.values()]
    matches.append(state.flushed_index)
    index = quorum.reached_by_majority(matches)
    if index > state.commit_index and state.log.term_at(index) == state.term:
        state.commit_to(index)
        reads.confirm(state)
    safe_index = min(min(matches), state.commit_index)
    if safe_index > state.safe_index:
        state.safe_index = safe_index
