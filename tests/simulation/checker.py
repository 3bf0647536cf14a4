"""What must hold at every moment, checked where it could break and in constant time.

Raft's safety (figure 3 of the paper):
- election safety: one leader in a term;
- log matching: a record's checksum covers all records before it, so equal (index, term) must mean
  equal checksum, on every node and for ever;
- leader completeness: a new leader's log holds the newest entry known to be committed;
- state machine safety: an entry applied at an index has one identity and one outcome everywhere.

The store's promises: what was told durable is there after any crash; an acknowledged write stays;
a read that starts after an operation ended sees it; an operation takes effect once; and the
outcome is what the plain model says.
"""

from __future__ import annotations

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from storage_core.catalog import codec
from storage_core.catalog.commands import Command, Outcome
from storage_core.catalog.machine import Catalog
from storage_core.catalog.view import CatalogView
from storage_core.core import Write
from storage_core.index.port import IndexPort
from storage_core.log.entries import EntryLog, LogWrite
from storage_core.log.format import LogPoint, Position
from storage_core.raft.messages import (
    NOOP,
    AppendReply,
    Entry,
    HardState,
    Message,
    Vote,
    VoteReply,
)
from tests.simulation.model import Model


class Violation(AssertionError):
    """Something that must always hold does not."""


class _Applied(NamedTuple):
    term: int
    op_id: bytes
    outcome: Outcome


class _Told:
    """What one node has said, or been told by its disk, is durable."""

    __slots__ = ("hard_state", "index", "term")

    def __init__(self) -> None:
        self.index = 0
        self.term = 0
        self.hard_state = HardState(0, 0, None, 0)


class Checker:
    """One for the whole cluster: it sees all nodes at once, as nobody in production can."""

    def __init__(self, node_count: int) -> None:
        self.model = Model()
        self.leader_of: Dict[int, int] = {}
        self.checksum_of: Dict[Tuple[int, int], int] = {}
        self.committed_terms: List[int] = [0]
        self.applied: List[Optional[_Applied]] = [None]
        self.told = [_Told() for _ in range(node_count)]
        # The highest index that any finished operation rests on.
        self.floor_index = 0
        self.acknowledged_count = 0
        self.read_count = 0
        self.refusals: List[int] = []

    # -- Raft -----------------------------------------------------------------------------------

    def became_leader(self, node: int, term: int, log: EntryLog) -> None:
        other = self.leader_of.setdefault(term, node)
        if other != node:
            raise Violation("nodes %d and %d both lead term %d" % (other, node, term))
        newest = len(self.committed_terms) - 1
        if newest >= log.first_index - 1 and log.term_at(newest) != self.committed_terms[newest]:
            raise Violation("leader %d of term %d lacks committed %d" % (node, term, newest))

    def committed(self, log: EntryLog, first: int, last: int, *, leader_term: int) -> None:
        """`leader_term` is 0 at a follower. A leader counts only entries of its own (Figure 8)."""
        if leader_term and log.term_at(last) != leader_term:
            raise Violation("leader of term %d commits %d of an older term" % (leader_term, last))
        terms = self.committed_terms
        for index in range(max(first, log.first_index), last + 1):
            term = log.term_at(index)
            assert term is not None, index
            if index == len(terms):
                terms.append(term)
            elif index > len(terms):
                raise Violation("commit of %d leaves a gap after %d" % (index, len(terms) - 1))
            elif terms[index] != term:
                raise Violation(
                    "entry %d committed with terms %d and %d" % (index, terms[index], term)
                )

    def applied_at(
        self, node: int, batch: Sequence[Tuple[Entry, Position, int]], outcomes: List[Outcome]
    ) -> None:
        for (entry, _, _), outcome in zip(batch, outcomes):
            index = entry.index
            seen = _Applied(entry.term, entry.op_id, outcome)
            if index < len(self.applied):
                if self.applied[index] != seen:
                    raise Violation(
                        "node %d applied %s at %d, others %s"
                        % (node, seen, index, self.applied[index])
                    )
                continue
            if index != len(self.applied):
                raise Violation("node %d applied %d before %d" % (node, index, len(self.applied)))
            self.applied.append(seen)
            if entry.kind != NOOP:
                self._compare_with_model(entry, outcome)

    def _compare_with_model(self, entry: Entry, outcome: Outcome) -> None:
        command = codec.decode(entry.meta)
        code, index = self.model.apply(entry.index, entry.op_id, command, entry.body)
        if (outcome.code, outcome.index) != (code, index):
            raise Violation(
                "entry %d, %s: the catalog says %r at %d, the model %r at %d"
                % (entry.index, type(command).__name__, outcome.code, outcome.index, code, index)
            )

    # -- durability -----------------------------------------------------------------------------

    def announced(self, node: int, to: int, message: Message) -> None:
        """Acknowledgements, votes and wishes for votes rest on what the disk has said."""
        told = self.told[node]
        if isinstance(message, AppendReply) and message.success:
            if message.match_index > told.index:
                raise Violation(
                    "node %d acknowledges %d with %d durable"
                    % (node, message.match_index, told.index)
                )
        elif isinstance(message, (Vote, VoteReply)):
            granted = isinstance(message, VoteReply) and message.granted
            vote = to if granted else node
            state = told.hard_state
            binding = granted or isinstance(message, Vote)
            if binding and state.term == message.term and state.voted_for != vote:
                raise Violation("node %d votes for %d, its disk says %s" % (node, vote, state))
            if binding and state.term < message.term:
                raise Violation("node %d votes in %d, its disk says %s" % (node, vote, state))

    def write_taken(self, node: int, write: Write) -> None:
        """From here on the disk may replace what this write replaces."""
        told = self.told[node]
        if write.log is not None and write.log.first_index <= told.index:
            told.index = write.log.first_index - 1
            told.term = 0

    def write_flushed(
        self,
        node: int,
        log: EntryLog,
        log_write: Optional[LogWrite],
        hard_state: Optional[HardState],
    ) -> None:
        told = self.told[node]
        if hard_state is not None:
            told.hard_state = hard_state
        if log_write is None or log.term_at(log_write.last_index) != log_write.last_term:
            return
        if log_write.last_index > told.index:
            told.index = log_write.last_index
            told.term = log_write.last_term
        for index in range(max(log_write.first_index, log.first_index), log_write.last_index + 1):
            self._match(log, index)

    def _match(self, log: EntryLog, index: int) -> None:
        key = (index, log.term_at(index) or 0)
        checksum = log.table.crc_of(index)
        if self.checksum_of.setdefault(key, checksum) != checksum:
            raise Violation("two different logs up to entry %d of term %d" % key)

    def recovered(self, node: int, log: EntryLog, hard_state: HardState) -> None:
        """After a restart: all that this node was told to be durable must be here."""
        told = self.told[node]
        if hard_state.sequence < told.hard_state.sequence:
            raise Violation(
                "node %d forgot its vote: %s, announced %s" % (node, hard_state, told.hard_state)
            )
        if log.last_index < told.index:
            raise Violation(
                "node %d announced %d and came back with %d" % (node, told.index, log.last_index)
            )
        if told.term and told.index >= log.first_index and log.term_at(told.index) != told.term:
            raise Violation("node %d came back with another entry %d" % (node, told.index))
        for index in range(log.first_index, log.last_index + 1):
            self._match(log, index)
        # What recovery announces is a promise as well.
        told.index, told.term = log.last_index, log.last_term
        told.hard_state = hard_state

    def refused_to_start(self, node: int, *, rotten: bool, damage: str) -> None:
        if not rotten:
            raise Violation("node %d sees corruption where none is: %s" % (node, damage))
        self.refusals.append(node)

    def damaged_body(self, node: int, *, rotten: bool) -> None:
        raise Violation("node %d reads a damaged body (rotten: %s)" % (node, rotten))

    # -- clients --------------------------------------------------------------------------------

    def acknowledged(self, outcome: Outcome, op_id: bytes, *, floor_index: int) -> None:
        """A client has been told that its operation took place."""
        self.acknowledged_count += 1
        index = outcome.index
        seen = self.applied[index] if index < len(self.applied) else None
        if seen is None or seen.op_id != op_id or seen.outcome != outcome:
            raise Violation("acknowledged at %d, where %s was applied" % (index, seen))
        if index <= floor_index:
            raise Violation("an operation took place at %d, before it began" % index)
        self.floor_index = max(self.floor_index, index)

    def refused(self, command: Command, code: str, *, applied: int, floor_index: int) -> None:
        """The leader refused at once, on the rows it had applied."""
        self._recent(applied, floor_index, "a refusal")
        is_newest = applied == len(self.applied) - 1
        expected = self.model.refusal(command, applied, is_newest=is_newest)
        if expected != code:
            raise Violation("refused with %r as of %d, the model %r" % (code, applied, expected))
        self.floor_index = max(self.floor_index, applied)

    def read(
        self, name: str, found: Optional[Tuple[str, bytes]], *, applied: int, floor_index: int
    ) -> None:
        """A client was given this ETag and content, or told that there is no such blob."""
        self.read_count += 1
        self._recent(applied, floor_index, "a read of %s" % name)
        version = self.model.at(name, applied)
        expected = None if version.content is None else (version.etag, version.content)
        if found != expected:
            raise Violation("read of %s as of %d is not what was written" % (name, applied))
        self.floor_index = max(self.floor_index, applied)

    def listed(self, names: List[str], *, applied: int, floor_index: int) -> None:
        self.read_count += 1
        self._recent(applied, floor_index, "a listing")
        expected = self.model.names_at(applied)
        if names != expected:
            raise Violation("listing as of %d: %s, expected %s" % (applied, names, expected))
        self.floor_index = max(self.floor_index, applied)

    def _recent(self, applied: int, floor_index: int, what: str) -> None:
        if applied < floor_index:
            raise Violation(
                "%s as of %d is stale: it began after %d was seen" % (what, applied, floor_index)
            )


class WatchedCatalog:
    """The catalog of a node, with the checker looking on."""

    def __init__(self, node: int, index: IndexPort, checker: Checker) -> None:
        self._node = node
        self._checker = checker
        self.inner = Catalog(index)
        self.view = CatalogView(index)
        self.applied = self.inner.applied
        self.evaluate = self.inner.evaluate
        self.segments = self.inner.segments
        self.is_live = self.inner.is_live

    def apply(self, batch: Sequence[Tuple[Entry, Position, int]], end: LogPoint) -> List[Outcome]:
        outcomes: List[Outcome] = self.inner.apply(batch, end)
        self._checker.applied_at(self._node, batch, outcomes)
        return outcomes
