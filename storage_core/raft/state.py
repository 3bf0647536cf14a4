"""What one replica knows: the variables of figure 2 of the Raft paper, and its outbox.

`election`, `append` and `reads` are the rules and this is what they act upon; it decides nothing.

What always holds: terms never go back; a vote, once given in a term, never changes in that term;
applied_index <= commit_index <= log.last_index; safe_index <= commit_index.
"""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence, Tuple

from storage_core.raft.messages import Entry, HardState, Message, Outgoing, Payload
from storage_core.raft.progress import NEVER_US, Progress
from storage_core.raft.ready import FOLLOWER, LEADER, LogStorage, ReadState, Timing


class State:
    """Fields are public to the rules in this package and read-only to everybody else."""

    __slots__ = (
        "applied_index",
        "commit_handed_out",
        "commit_index",
        "dead_nodes",
        "drained",
        "election_due_us",
        "elections_count",
        "flushed_index",
        "hand_over_due_us",
        "handed_to",
        "hard_dirty",
        "hard_sequence",
        "heartbeat_asked",
        "heartbeat_due_us",
        "late_ticks",
        "leader",
        "lease_given_up",
        "lease_start_us",
        "log",
        "no_vote_until_us",
        "node",
        "noop_index",
        "now_us",
        "outbox",
        "progress",
        "promise_leader",
        "promise_until_us",
        "read_states",
        "read_wire_context",
        "reads_asked",
        "reads_confirming",
        "reads_failed",
        "reads_forwarded",
        "reads_new",
        "rng",
        "role",
        "safe_index",
        "stamp_us",
        "term",
        "timing",
        "transfer_due_us",
        "transferee",
        "turned_follower",
        "turned_leader",
        "vote_sequence",
        "voted_for",
        "voters",
        "votes",
    )

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
        assert node in voters, (node, voters)
        assert len(set(voters)) == len(voters), "voters are distinct"
        assert 0 <= applied_index <= log.last_index, (applied_index, log.last_index)
        assert hard_state.term >= (log.term_at(log.last_index) or 0), "the term covers the log"
        self.node = node
        self.voters = tuple(sorted(voters))
        self.log = log
        self.timing = timing
        self.rng = rng
        self.now_us = now_us

        self.term = hard_state.term
        self.voted_for = hard_state.voted_for
        self.hard_sequence = hard_state.sequence
        self.hard_dirty = False

        self.role = FOLLOWER
        self.leader: Optional[int] = None
        # Only what the state machine holds is surely committed: the hard state may have reached
        # the disk before the entries that it counts as committed.
        self.commit_index = applied_index
        self.commit_handed_out = applied_index
        self.applied_index = applied_index
        self.safe_index = 0
        self.elections_count = 0
        self.turned_leader = False
        self.turned_follower = False

        # Election. A promise given before a crash is forgotten by it, so that a restarted voter
        # keeps silent for as long as any promise can last.
        self.election_due_us = now_us + self.random_election_us()
        self.no_vote_until_us = now_us + timing.election_us_min
        self.promise_leader: Optional[int] = None
        self.promise_until_us = NEVER_US
        self.dead_nodes: Dict[int, int] = {}
        self.votes: Dict[int, Optional[bool]] = {}
        self.vote_sequence = 0
        self.late_ticks = 0
        self.drained = False  # neither leads nor campaigns; votes and stores

        self._start_leadership()
        self._start_reads()
        self.outbox: List[Outgoing] = []

    def _start_leadership(self) -> None:
        self.progress: Dict[int, Progress] = {}
        for voter in self.voters:
            if voter != self.node:
                self.progress[voter] = Progress(self.log.last_index + 1, self.now_us)
        self.flushed_index = 0
        self.noop_index = 0
        self.heartbeat_due_us = 0
        self.heartbeat_asked = False
        self.lease_start_us = NEVER_US
        self.stamp_us = self.now_us
        self.transferee: Optional[int] = None
        self.transfer_due_us = 0
        self.hand_over_due_us = 0
        self.handed_to: Optional[int] = None
        self.lease_given_up = False

    def _start_reads(self) -> None:
        # Reads. `new` wait for the next Ready, `forwarded` for the leader's answer, `confirming`
        # for a quorum; see `reads`.
        self.reads_new: List[int] = []
        self.reads_asked: Optional[int] = None
        self.reads_forwarded: Dict[int, Tuple[int, Tuple[int, ...]]] = {}
        self.reads_confirming: List[Tuple[int, int, int]] = []
        # An answer to a question of an earlier incarnation must not look like one to ours.
        self.read_wire_context = int(self.rng() * (1 << 40)) << 20

        self.read_states: List[ReadState] = []
        self.reads_failed: List[int] = []

    def random_election_us(self) -> int:
        spread_us = self.timing.election_us_max - self.timing.election_us_min
        return self.timing.election_us_min + int(self.rng() * spread_us)

    def send(self, to: int, message: Message, after_flush: bool = False) -> None:
        assert to != self.node, "no messages to ourselves"
        self.outbox.append(Outgoing(to, message, after_flush))

    def stamp(self) -> int:
        """The send time that a message carries. Never goes back; see `reads` for its other use."""
        if self.now_us > self.stamp_us:
            self.stamp_us = self.now_us
        return self.stamp_us

    def persist(self) -> None:
        """Term or vote changed: the next Ready carries a hard state."""
        if not self.hard_dirty:
            self.hard_dirty = True
            self.hard_sequence += 1

    def last_term(self) -> int:
        term = self.log.term_at(self.log.last_index)
        assert term is not None, "the term of the last entry is known"
        return term

    def append_own(self, payloads: Sequence[Payload]) -> int:
        """A leader puts new entries behind its log; returns the first index (Raft §5.3)."""
        assert self.role == LEADER, self.role
        first = index = self.log.last_index + 1
        term = self.term
        entries = []
        for payload in payloads:
            entries.append(Entry(term, index, *payload))
            index += 1
        self.log.append(entries)
        return first

    def commit_to(self, index: int) -> None:
        assert index >= self.commit_index, "a commit is never taken back"
        assert index <= self.log.last_index, (index, self.log.last_index)
        self.commit_index = index
