"""Who leads: elections, promises and the ends of leaderships.

Problem: one leader at a time per term (Raft §5.2), found quickly, without a node that merely woke
up late deposing a healthy one, and never while somebody may still serve reads from a lease.

Idea: a heartbeat that is received is a promise: for `election_us_min` this voter votes for nobody.
A lease is what a quorum's promises add up to, counted from when the heartbeat was *sent*, so it
ends before the first promise does. A promise is kept across changes of term and is void only when
the leader gave its lease up (transfer) or is proven dead. A voter that restarted has forgotten its
promise and therefore votes for nobody until any promise would have ended.

PreVote (thesis §9.6) asks first without raising the term; CheckQuorum (thesis §6.2) makes a leader
step down that has not heard from a quorum for `election_us_max`.

Read next: `append`, `reads`.
"""

from __future__ import annotations

from typing import Optional

from storage_core.raft import quorum, reads
from storage_core.raft.messages import (
    NOOP,
    Payload,
    PreVote,
    PreVoteReply,
    TimeoutNow,
    Vote,
    VoteReply,
)
from storage_core.raft.progress import NEVER_US, Progress
from storage_core.raft.ready import CANDIDATE, FOLLOWER, LEADER, PRE_CANDIDATE
from storage_core.raft.state import State

# In lengths of one attempt, from start to start: writes are held a fifth of the time.
HAND_OVER_REST = 5
# Entries of time and identity zero: the catalog gives them no effect.
NOOP_PAYLOAD = Payload(NOOP, 0, bytes(16), b"", b"", 0)


def become_follower(state: State, term: int, leader: Optional[int], now_us: int) -> None:
    """Follow `leader`, or nobody yet, in `term` (Raft §5.1). The election timer starts anew."""
    assert term >= state.term, "terms never go back"
    assert leader != state.node, "nobody follows itself"
    led = state.role == LEADER
    if term > state.term:
        state.term = term
        state.voted_for = None
        state.persist()
    state.role = FOLLOWER
    state.leader = leader
    state.votes = {}
    state.election_due_us = now_us + state.random_election_us()
    if led:
        state.turned_follower = True
        state.turned_leader = False
        state.transferee = None
        reads.fail_confirming(state)


def become_leader(state: State, now_us: int) -> None:
    """Won. The no-op commits all that earlier terms left behind (Raft §5.4.2, §8)."""
    assert state.role == CANDIDATE, state.role
    assert state.voted_for == state.node, "a leader voted for itself"
    state.role = LEADER
    state.leader = state.node
    state.elections_count += 1
    state.turned_leader = True
    state.votes = {}
    state.flushed_index = 0
    state.lease_start_us = NEVER_US
    state.transferee = None
    state.lease_given_up = False
    state.late_ticks = 0
    next_index = state.log.last_index + 1
    for peer in state.progress:
        state.progress[peer] = Progress(next_index, now_us)
    state.noop_index = state.append_own((NOOP_PAYLOAD,))
    state.heartbeat_due_us = now_us + state.timing.heartbeat_us


def may_vote(state: State, now_us: int) -> bool:
    """False while a promise, ours or one forgotten in a crash, may still be relied upon."""
    if not state.progress:
        return True
    if now_us < state.no_vote_until_us:
        return False
    return now_us >= state.promise_until_us


def heard_from_leader(state: State, leader: int, now_us: int) -> None:
    """An append or heartbeat of this term came: follow, and promise not to vote for a while."""
    assert state.role != LEADER, "two leaders in term %d" % state.term
    if state.role != FOLLOWER:
        become_follower(state, state.term, leader, now_us)
    assert state.leader is None or state.leader == leader, (state.leader, leader, state.term)
    state.leader = leader
    state.late_ticks = 0
    state.election_due_us = now_us + state.random_election_us()
    state.promise_leader = leader
    state.promise_until_us = now_us + state.timing.election_us_min


# -- campaigns ------------------------------------------------------------------------------------


def pre_campaign(state: State, now_us: int) -> None:
    """Ask whether an election could be won, without disturbing anybody's term."""
    assert state.role != LEADER, "a leader does not campaign"
    if not may_vote(state, now_us):
        # Our own promise binds our own vote, too.
        state.election_due_us = max(state.promise_until_us, state.no_vote_until_us)
        return
    state.role = PRE_CANDIDATE
    state.leader = None
    retry_us = state.timing.heartbeat_us if state.dead_nodes else state.random_election_us()
    state.election_due_us = now_us + retry_us
    state.votes = {state.node: True}
    message = PreVote(state.term + 1, state.node, state.log.last_index, state.last_term())
    for peer in state.progress:
        state.send(peer, message)
    _decide(state, now_us)


def campaign(state: State, now_us: int, *, transfer: bool) -> None:
    """Stand for election in a new term (Raft §5.2)."""
    assert state.role != LEADER, "a leader does not campaign"
    assert transfer or may_vote(state, now_us), "our own promise binds us"
    state.role = CANDIDATE
    state.leader = None
    state.term += 1
    state.voted_for = state.node
    state.persist()
    state.election_due_us = now_us + state.random_election_us()
    # Our own vote counts when it is durable, as any other would: see `own_vote_flushed`.
    state.vote_sequence = state.hard_sequence
    state.votes = {}
    log = state.log
    message = Vote(state.term, state.node, log.last_index, state.last_term(), transfer)
    for peer in state.progress:
        # What we claim of our log, and our vote for ourselves, must outlive us.
        state.send(peer, message, after_flush=True)


def own_vote_flushed(state: State, sequence: int, now_us: int) -> None:
    if state.role == CANDIDATE and sequence >= state.vote_sequence:
        state.votes[state.node] = True
        _decide(state, now_us)


def _decide(state: State, now_us: int) -> None:
    outcome = quorum.verdict(state.votes.values(), voter_count=len(state.voters))
    if outcome == quorum.WON:
        if state.role == PRE_CANDIDATE:
            campaign(state, now_us, transfer=False)
        else:
            become_leader(state, now_us)
    elif outcome == quorum.LOST and not state.dead_nodes:
        become_follower(state, state.term, None, now_us)


# -- votes ----------------------------------------------------------------------------------------


def log_is_current(state: State, last_term: int, last_index: int) -> bool:
    """The candidate's log is at least as up to date as ours (Raft §5.4.1)."""
    return (last_term, last_index) >= (state.last_term(), state.log.last_index)


def on_pre_vote(state: State, message: PreVote, now_us: int) -> None:
    granted = (
        message.term > state.term
        and state.role != LEADER
        and may_vote(state, now_us)
        and log_is_current(state, message.last_term, message.last_index)
    )
    # A grant repeats the term asked for; a refusal tells ours, for a candidate that is behind.
    term = message.term if granted else state.term
    state.send(message.sender, PreVoteReply(term, state.node, granted))


def on_pre_vote_reply(state: State, message: PreVoteReply, now_us: int) -> None:
    if message.granted:
        if state.role == PRE_CANDIDATE and message.term == state.term + 1:
            state.votes[message.sender] = True
            # Votes came in over time, and our own promise may have been renewed meanwhile.
            if may_vote(state, now_us):
                _decide(state, now_us)
    elif message.term > state.term:
        become_follower(state, message.term, None, now_us)
    elif state.role == PRE_CANDIDATE and message.term == state.term:
        state.votes[message.sender] = False
        _decide(state, now_us)


def on_vote(state: State, message: Vote, now_us: int) -> None:
    """Grant at most one vote in a term, and none within a promise."""
    if message.term > state.term:
        bound = state.role == LEADER and now_us < state.lease_start_us + state.timing.lease_us
        if (bound or not may_vote(state, now_us)) and not message.transfer:
            # Not even the term is taken over: a leader with a quorum is not disturbed.
            state.send(message.sender, VoteReply(state.term, state.node, False))
            return
        become_follower(state, message.term, None, now_us)
    elif message.term < state.term:
        state.send(message.sender, VoteReply(state.term, state.node, False))
        return
    granted = (
        (state.voted_for is None or state.voted_for == message.sender)
        and state.role == FOLLOWER
        and state.leader is None
        and (message.transfer or may_vote(state, now_us))
        and log_is_current(state, message.last_term, message.last_index)
    )
    if granted:
        if state.voted_for is None:
            state.voted_for = message.sender
            state.persist()
        state.election_due_us = now_us + state.random_election_us()
    state.send(message.sender, VoteReply(state.term, state.node, granted), after_flush=granted)


def on_vote_reply(state: State, message: VoteReply, now_us: int) -> None:
    if state.role == CANDIDATE:
        state.votes[message.sender] = message.granted
        _decide(state, now_us)


# -- ends of leaderships --------------------------------------------------------------------------


def on_timeout_now(state: State, message: TimeoutNow, now_us: int) -> None:
    """The leader gave its lease up for us: campaign at once (thesis §3.10)."""
    if state.drained:
        return  # it was sent before the leader could know; its transfer ends by itself
    if state.role != LEADER and state.leader in (None, message.sender):
        campaign(state, now_us, transfer=True)


def begin_transfer(state: State, target: int, now_us: int) -> None:
    """From here on the lease is not used and nothing is proposed."""
    assert target in state.progress, target
    state.transferee = target
    state.transfer_due_us = now_us + state.timing.election_us_max
    hand_over_if_caught_up(state)


def hand_over_if_caught_up(state: State) -> None:
    target = state.transferee
    if target is None:
        return
    if state.progress[target].match_index == state.log.last_index:
        # The message may arrive late and still depose us without regard to a lease, so that
        # there is no lease any more in this term, whatever becomes of the transfer.
        state.lease_given_up = True
        state.send(target, TimeoutNow(state.term, state.node))


def hand_over(state: State, now_us: int) -> None:
    """A drained leader's duty: give the lead to whoever is furthest of those heard lately.

    While it tries nothing is proposed, so it rests between attempts; each goes to another peer
    than the last one, which may be drained as well.
    """
    assert state.role == LEADER and state.drained, state.role
    if state.transferee is not None or now_us < state.hand_over_due_us:
        return
    heard = [
        peer
        for peer in state.progress
        if now_us - state.progress[peer].contact_us < state.timing.election_us_min
    ]
    if not heard:
        return
    tried = state.handed_to
    best = max(heard, key=lambda peer: (peer != tried, state.progress[peer].match_index))
    state.handed_to = best
    state.hand_over_due_us = now_us + HAND_OVER_REST * state.timing.election_us_max
    begin_transfer(state, best, now_us)


def check_quorum(state: State, now_us: int) -> None:
    """A leader that a quorum has not answered for long steps down (thesis §6.2)."""
    if not state.progress:
        return
    contacts = [progress.contact_us for progress in state.progress.values()]
    contacts.append(now_us)
    if now_us - quorum.reached_by_majority(contacts) > state.timing.election_us_max:
        become_follower(state, state.term, None, now_us)


def leader_gone(state: State, node: int, now_us: int) -> None:
    """The connection to `node` broke: hurry, but not past any promise."""
    if state.role == LEADER or node not in (state.leader, state.promise_leader):
        return
    due_us = max(now_us, state.promise_until_us, state.no_vote_until_us) + _stagger_us(state)
    state.election_due_us = min(state.election_due_us, due_us)


def bury(state: State, node: int, now_us: int) -> None:
    """`node` is proven dead: it serves no reads, so that a promise to it binds nobody.

    What it said before it died is ignored for as long as it may still arrive; an answer to it
    would be a promise again.
    """
    state.dead_nodes[node] = now_us + state.timing.election_us_min
    if state.promise_leader == node:
        state.promise_until_us = NEVER_US
    leader_gone(state, node, now_us)


def forget_the_dead(state: State, now_us: int) -> None:
    for node in [node for node, until_us in state.dead_nodes.items() if now_us >= until_us]:
        del state.dead_nodes[node]


def _stagger_us(state: State) -> int:
    """Those left take turns in order of their number, so that the first one wins alone."""
    rank = 0
    for voter in state.voters:
        if voter == state.node:
            break
        if voter not in state.dead_nodes and voter != state.promise_leader:
            rank += 1
    return rank * state.timing.stagger_us


def election_tick(state: State, now_us: int) -> None:
    """The timer of everybody who does not lead."""
    late_us = now_us - state.election_due_us
    if late_us < 0:
        return
    if late_us > state.timing.heartbeat_us and state.late_ticks < state.timing.late_ticks_max:
        # We slept; the leader's heartbeats may lie unread in front of us. A node that is always
        # late campaigns in the end all the same: PreVote keeps that harmless.
        state.late_ticks += 1
        state.election_due_us = now_us + state.random_election_us()
        return
    if state.drained:
        # The leader is gone as far as we know, and somebody else will have to stand.
        state.leader = None
        state.election_due_us = now_us + state.random_election_us()
        return
    pre_campaign(state, now_us)
