"""One voter of a Raft group as a value machine: messages and time in, a `Ready` out.

The whole loop of a shell:

    replica.step(message, now_us)  or  replica.tick(now_us)  or  replica.propose(payloads, now_us)
    ready = replica.ready()
    take what the log and the hard state want written, write and flush it (maybe on a thread);
    send messages at once, those with `after_flush` behind that flush;
    apply entries up to ready.commit_index, then replica.applied_to(index);
    when flushed: replica.hard_state_flushed(sequence), replica.log_flushed(index, term).

What always holds: no input makes it wait, no clock is read, no chance but `rng` is used, so the
same inputs give the same outputs on every interpreter.

Read next: `election`, `append`, `reads` for the rules; `state` for the variables.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Optional, Sequence

from storage_core.errors import NotLeader
from storage_core.raft import append, election, reads
from storage_core.raft.messages import (
    Append,
    AppendReply,
    HardState,
    Heartbeat,
    HeartbeatReply,
    Message,
    Payload,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    TimeoutNow,
    Vote,
    VoteReply,
)
from storage_core.raft.ready import (
    CANDIDATE,
    FOLLOWER,
    LEADER,
    PRE_CANDIDATE,
    LogStorage,
    ReadState,
    Ready,
    Timing,
)
from storage_core.raft.state import State

__all__ = [
    "CANDIDATE",
    "FOLLOWER",
    "LEADER",
    "PRE_CANDIDATE",
    "ReadState",
    "Ready",
    "Replica",
    "Timing",
]

RULES: Dict[type, Callable[[State, Any, int], None]] = {
    PreVote: election.on_pre_vote,
    PreVoteReply: election.on_pre_vote_reply,
    Vote: election.on_vote,
    VoteReply: election.on_vote_reply,
    TimeoutNow: election.on_timeout_now,
    Append: append.on_append,
    AppendReply: append.on_append_reply,
    Heartbeat: append.on_heartbeat,
    HeartbeatReply: append.on_heartbeat_reply,
    ReadIndex: reads.on_read_index,
    ReadIndexReply: reads.on_read_index_reply,
}
# These look at the term by themselves: a wish to campaign does not move anybody's term.
TERM_BLIND = (PreVote, PreVoteReply, Vote, ReadIndexReply)


class Replica(State):
    """See the module. `role`, `term`, `leader`, `commit_index`, `progress` may be read freely."""

    __slots__ = ()

    def __init__(
        self,
        *,
        node: int,
        voters: Sequence[int],
        hard_state: HardState,
        log: LogStorage,
        timing: Timing,
        rng: Callable[[], float],
        now_us: int,
        applied_index: int,
    ) -> None:
        super().__init__(
            node=node,
            voters=voters,
            hard_state=hard_state,
            log=log,
            timing=timing,
            rng=rng,
            now_us=now_us,
            applied_index=applied_index,
        )
        if not self.progress:
            # Alone there is nobody to wait for.
            self.election_due_us = now_us

    @property
    def last_index(self) -> int:
        return self.log.last_index

    @property
    def takes_proposals(self) -> bool:
        """Leading, and not about to hand over."""
        return self.role == LEADER and self.transferee is None

    # -- what happens ---------------------------------------------------------------------------

    def step(self, message: Message, now_us: int) -> None:
        """A message came. Senders that are no voters are not heard."""
        self._see(now_us)
        if message.sender not in self.progress or message.sender in self.dead_nodes:
            return
        kind = type(message)
        if message.term != self.term and kind not in TERM_BLIND:
            if message.term < self.term:
                if kind is Append or kind is Heartbeat:
                    append.refuse_old_leader(self, message)  # type: ignore[arg-type]
                return
            leads = kind is Append or kind is Heartbeat
            election.become_follower(
                self, message.term, message.sender if leads else None, self.now_us
            )
        RULES[kind](self, message, self.now_us)

    def tick(self, now_us: int) -> None:
        """Time passed. Call it at `next_wake_us`, or more often."""
        self._see(now_us)
        if self.reads_forwarded:
            reads.give_up(self, self.now_us)
        if self.dead_nodes:
            election.forget_the_dead(self, self.now_us)
        if self.role != LEADER:
            election.election_tick(self, self.now_us)
            return
        if self.transferee is not None and self.now_us >= self.transfer_due_us:
            self.transferee = None
        election.check_quorum(self, self.now_us)
        if self.role == LEADER and self.drained:
            election.hand_over(self, self.now_us)
        if self.role == LEADER and self.now_us >= self.heartbeat_due_us:
            append.broadcast_heartbeat(self)

    def next_wake_us(self) -> int:
        """When `tick` has something to do at the latest."""
        if self.role == LEADER:
            return self.heartbeat_due_us
        if self.reads_forwarded:
            due_us = min(due_us for due_us, _ in self.reads_forwarded.values())
            return min(due_us, self.election_due_us)
        return self.election_due_us

    def propose(self, payloads: Sequence[Payload], now_us: int) -> int:
        """Append at the leader; returns the first index. Not yet committed, not yet durable."""
        self._see(now_us)
        if not self.takes_proposals:
            raise NotLeader(self.leader if self.role == FOLLOWER else None)
        return self.append_own(payloads)

    def read(self, context: int, now_us: int) -> None:
        """Ask for a linearizable read point; `ready` answers with `context`, or fails it."""
        self._see(now_us)
        reads.ask(self, context, self.now_us)

    def lease_valid(self, now_us: int) -> bool:
        """True while what is applied here is the newest there is. Pass a clock read just now."""
        return self.applied_index >= self.noop_index and reads.lease_holds(self, now_us)

    def transfer(self, target: int, now_us: int) -> None:
        """Hand leadership to `target`, which first catches up. Tried for one election timeout."""
        self._see(now_us)
        if self.role != LEADER:
            raise NotLeader(self.leader)
        if target != self.node:
            election.begin_transfer(self, target, self.now_us)

    def drain(self, on: bool, now_us: int) -> None:
        """Neither lead nor campaign from now on, or do so again. Who leads hands over first."""
        assert not on or self.progress, "alone there is nobody to lead instead"
        self._see(now_us)
        self.drained = on
        if not on:
            return
        self.hand_over_due_us = self.now_us
        if self.role == LEADER:
            election.hand_over(self, self.now_us)
        elif self.role != FOLLOWER:
            election.become_follower(self, self.term, None, self.now_us)

    # -- what the shell knows of other nodes ----------------------------------------------------

    def peer_lost(self, node: int, now_us: int) -> None:
        """The connection ended. That proves nothing, so no promise is void: PreVote only."""
        self._see(now_us)
        if self.role == LEADER:
            self.progress[node].lose()
        else:
            election.leader_gone(self, node, self.now_us)

    def peer_proven_dead(self, node: int, now_us: int) -> None:
        """The kernel says that the incarnation we heard last from `node` has ended."""
        assert node in self.progress, node
        self._see(now_us)
        election.bury(self, node, self.now_us)

    def peer_restarted(self, node: int) -> None:
        """A new incarnation of `node` speaks: what was in flight to the old one is gone."""
        assert node in self.progress, node
        self.dead_nodes.pop(node, None)
        if self.role == LEADER:
            self.progress[node].lose()

    # -- what the shell has done ----------------------------------------------------------------

    def log_flushed(self, index: int, term: int) -> None:
        """Our log is durable up to the entry `index`, which is of `term`."""
        append.self_flushed(self, index, term)

    def hard_state_flushed(self, sequence: int) -> None:
        assert sequence <= self.hard_sequence, (sequence, self.hard_sequence)
        election.own_vote_flushed(self, sequence, self.now_us)

    def applied_to(self, index: int) -> None:
        assert self.applied_index <= index <= self.commit_index, (index, self.commit_index)
        self.applied_index = index

    # -- what is to be done ---------------------------------------------------------------------

    def ready(self) -> Optional[Ready]:
        """All effects since the last call, or None if there are none."""
        if self.reads_forwarded and self.reads_asked != self.leader:
            reads.give_up(self, self.now_us)
        if self.reads_new:
            reads.forward(self)
        if self.role == LEADER:
            if self.heartbeat_asked:
                append.broadcast_heartbeat(self)
            append.send_appends(self)
        if not (
            self.outbox
            or self.hard_dirty
            or self.commit_index != self.commit_handed_out
            or self.read_states
            or self.reads_failed
            or self.turned_leader
            or self.turned_follower
        ):
            return None
        return self._take()

    def _take(self) -> Ready:
        hard_state = None
        if self.hard_dirty:
            hard_state = HardState(self.hard_sequence, self.term, self.voted_for, self.commit_index)
            self.hard_dirty = False
        ready = Ready(
            hard_state,
            tuple(self.outbox),
            self.commit_index,
            tuple(self.read_states),
            tuple(self.reads_failed),
            self.turned_leader,
            self.turned_follower,
        )
        assert self.safe_index <= self.commit_index <= self.log.last_index, ready
        self.commit_handed_out = self.commit_index
        self.outbox = []
        self.read_states = []
        self.reads_failed = []
        self.turned_leader = self.turned_follower = False
        return ready

    def _see(self, now_us: int) -> None:
        if now_us > self.now_us:
            self.now_us = now_us
