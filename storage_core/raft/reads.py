"""Linearizable reads without writing (thesis §6.4): by lease, or by one round of heartbeats.

A read point is the commit index of somebody who was leader *after* the read was asked for and who
has committed an entry of its own term. Two proofs are accepted:

- the lease: the (quorum-th) latest of the send times that followers echoed lies less than
  `lease_us` back on a clock read just now. Echoes carry send times, not receive times, so that the
  promise behind each always outlives our use of it;
- a quorum echoed a message sent after the read was asked for. Each read moves the send stamp on by
  one, so that "after" is exact even when the clock stands still.

A follower asks its leader, once for all reads that came since its last Ready.
"""

from __future__ import annotations

from storage_core.raft import quorum
from storage_core.raft.messages import Heartbeat, ReadIndex, ReadIndexReply
from storage_core.raft.progress import Progress
from storage_core.raft.ready import LEADER, ReadState
from storage_core.raft.state import State

NO_INDEX = 0


def acknowledged(state: State, progress: Progress, sent_us: int, now_us: int) -> None:
    """A follower answered what we sent at `sent_us`: the lease may begin later, reads be sure."""
    progress.contact_us = now_us
    if sent_us <= progress.acked_sent_us:
        return
    assert sent_us <= state.stamp_us, "an echo of what we never sent"
    progress.acked_sent_us = sent_us
    sent = [each.acked_sent_us for each in state.progress.values()]
    # We need no echo of ourselves.
    sent.append(state.stamp_us)
    lease_start_us = quorum.reached_by_majority(sent)
    if lease_start_us > state.lease_start_us:
        state.lease_start_us = lease_start_us
        confirm(state)


def own_term_committed(state: State) -> bool:
    return state.role == LEADER and state.commit_index >= state.noop_index


def lease_holds(state: State, now_us: int) -> bool:
    """No other leader can exist now, and ours is a complete view of what is committed."""
    if not own_term_committed(state) or state.transferee is not None or state.lease_given_up:
        return False
    if not state.progress:
        return True
    return now_us < state.lease_start_us + state.timing.lease_us


def ask(state: State, context: int, now_us: int) -> None:
    """Somebody here wants a read point; the answer comes with a later Ready."""
    if state.role != LEADER:
        state.reads_new.append(context)
    elif lease_holds(state, now_us):
        state.read_states.append(ReadState(context, state.commit_index))
    else:
        _await_quorum(state, context, state.node)


def _await_quorum(state: State, context: int, asker: int) -> None:
    # Everything sent so far carries an earlier stamp, everything from now on this or a later one.
    state.stamp_us = max(state.stamp_us + 1, state.now_us)
    state.reads_confirming.append((state.stamp_us, context, asker))
    state.heartbeat_asked = True
    if not state.progress:
        state.lease_start_us = state.stamp_us
        confirm(state)


def confirm(state: State) -> None:
    """Answer all reads for which a quorum has echoed something younger."""
    waiting = state.reads_confirming
    if not waiting or not own_term_committed(state):
        return
    done = 0
    for required_us, context, asker in waiting:
        if required_us > state.lease_start_us:
            break
        done += 1
        _answer(state, context, asker)
    del waiting[:done]


def _answer(state: State, context: int, asker: int) -> None:
    index = state.commit_index
    if asker == state.node:
        state.read_states.append(ReadState(context, index))
        return
    state.send(asker, ReadIndexReply(state.term, state.node, context, index))
    # The asker waits until it has applied that far, so tell it of the commit at once.
    commit_index = min(index, state.progress[asker].match_index)
    state.send(
        asker, Heartbeat(state.term, state.node, commit_index, state.safe_index, state.stamp())
    )


def on_read_index(state: State, message: ReadIndex, now_us: int) -> None:
    if lease_holds(state, now_us):
        _answer(state, message.context, message.sender)
    elif state.role == LEADER:
        _await_quorum(state, message.context, message.sender)
    else:
        refusal = ReadIndexReply(state.term, state.node, message.context, NO_INDEX)
        state.send(message.sender, refusal)


def on_read_index_reply(state: State, message: ReadIndexReply, now_us: int) -> None:
    waiting = state.reads_forwarded.pop(message.context, None)
    if waiting is None:
        return
    for context in waiting[1]:
        if message.index == NO_INDEX:
            state.reads_failed.append(context)
        else:
            state.read_states.append(ReadState(context, message.index))


def forward(state: State) -> None:
    """Ask the leader for all reads that came since the last Ready, in one message."""
    contexts = tuple(state.reads_new)
    state.reads_new = []
    if state.role == LEADER:
        for context in contexts:
            _await_quorum(state, context, state.node)
        return
    if state.leader is None:
        state.reads_failed.extend(contexts)
        return
    state.read_wire_context += 1
    due_us = state.now_us + state.timing.election_us_max
    state.reads_forwarded[state.read_wire_context] = (due_us, contexts)
    state.reads_asked = state.leader
    state.send(state.leader, ReadIndex(state.term, state.node, state.read_wire_context))


def give_up(state: State, now_us: int) -> None:
    """Fail what was asked of a leader that changed or does not answer."""
    changed = state.reads_asked != state.leader
    for wire_context, (due_us, contexts) in list(state.reads_forwarded.items()):
        if changed or now_us >= due_us:
            del state.reads_forwarded[wire_context]
            state.reads_failed.extend(contexts)


def fail_confirming(state: State) -> None:
    """We lead no more: nobody will confirm what waits for our quorum."""
    assert state.role != LEADER, state.role
    for _, context, asker in state.reads_confirming:
        if asker == state.node:
            state.reads_failed.append(context)
        else:
            state.send(asker, ReadIndexReply(state.term, state.node, context, NO_INDEX))
    state.reads_confirming = []
