"""Bugs planted on purpose: a simulator that finds none of them proves nothing.

Each replaces one function of the code under test, in a process of its own, and must be caught by
some invariant within a bounded number of seeds.
"""

from __future__ import annotations

from typing import Any, Callable, NamedTuple, Tuple

from storage_core.catalog import keys
from storage_core.core import Core
from storage_core.index.memory import MemoryIndex
from storage_core.log import recovery
from storage_core.raft import append, quorum, reads
from storage_core.raft.messages import HardState
from storage_core.raft.ready import LEADER
from storage_core.raft.replica import Replica
from storage_core.raft.state import State
from tests.simulation import boot


class Mutant(NamedTuple):
    slug: str
    plant: Callable[[], None]


def _acknowledge_before_fsync() -> None:
    """Votes and acknowledgements leave at once."""

    def send(self: State, to: int, message: Any, after_flush: bool = False) -> None:
        original(self, to, message, False)

    original = State.send
    State.send = send  # type: ignore[method-assign]


def _commit_an_old_term() -> None:
    """A majority is counted for entries of any term (Figure 8)."""

    def advance_commit(state: State) -> None:
        matches = [progress.match_index for progress in state.progress.values()]
        flushed_index = max(state.flushed_index, state.noop_index - 1)
        index = quorum.reached_by_majority([*matches, flushed_index])
        if index > state.commit_index:
            state.commit_to(index)
            reads.confirm(state)

    append.advance_commit = advance_commit


def _forget_votes() -> None:
    """The vote stays in memory: a restart may vote again in the same term."""

    def persist(self: State) -> None:
        voted_for, self.voted_for = self.voted_for, None
        original(self)
        self.voted_for = voted_for

    def take(self: Any) -> Any:
        ready = original_take(self)
        if ready.hard_state is not None:
            state = ready.hard_state
            forgotten = HardState(state.sequence, state.term, None, state.commit_index)
            ready = ready._replace(hard_state=forgotten)
        return ready

    original = State.persist
    original_take = Replica._take
    State.persist = persist  # type: ignore[method-assign]
    Replica._take = take  # type: ignore[method-assign]


def _read_by_an_expired_lease() -> None:
    """A leader that once had a lease has it for ever."""

    def lease_holds(state: State, now_us: int) -> bool:
        return reads.own_term_committed(state) and state.lease_start_us > 0

    reads.lease_holds = lease_holds


def _announce_without_flush() -> None:
    """Recovery trusts what it read back, which may lie in the page cache only."""

    def flush_nothing(*_: Any) -> None:
        return

    boot.flush_everything = flush_nothing  # type: ignore[assignment]


def _decide_before_the_no_op() -> None:
    """A new leader refuses by rows that lack what its predecessors committed."""

    def lease_holds(state: State, now_us: int) -> bool:
        return state.role == LEADER and now_us < state.lease_start_us + state.timing.lease_us

    def lease_valid(self: Any, now_us: int) -> bool:
        return lease_holds(self, now_us)

    Replica.lease_valid = lease_valid  # type: ignore[method-assign]
    Core.is_idle = property(  # type: ignore[method-assign,assignment]
        lambda self: not self._small and not self._chunks
    )


def _cut_at_corruption() -> None:
    """Damage is taken for a torn tail wherever it lies."""

    def run(self: Any) -> Any:
        self.durable = self.table.start
        return original(self)

    original = recovery._Recovery.run
    recovery._Recovery.run = run  # type: ignore[method-assign]


def _two_column_families() -> None:
    """A flush that is not atomic: one prefix stays behind, the applied index does not."""

    def flush(self: Any) -> None:
        left_behind = [item for item in self._undo.items() if item[0].startswith(keys.BLOB)]
        original(self)
        self._undo.update(left_behind)

    original = MemoryIndex.flush
    MemoryIndex.flush = flush  # type: ignore[method-assign]


MUTANTS: Tuple[Mutant, ...] = (
    Mutant("acknowledge-before-fsync", _acknowledge_before_fsync),
    Mutant("commit-an-old-term-entry", _commit_an_old_term),
    Mutant("vote-not-durable", _forget_votes),
    Mutant("read-by-an-expired-lease", _read_by_an_expired_lease),
    Mutant("no-flush-before-announcing", _announce_without_flush),
    Mutant("decide-before-the-no-op", _decide_before_the_no_op),
    Mutant("cut-at-corruption", _cut_at_corruption),
    Mutant("two-column-families", _two_column_families),
)


def plant(slug: str) -> None:
    """Put the bug into this process, for good."""
    for mutant in MUTANTS:
        if mutant.slug == slug:
            mutant.plant()
            return
    raise KeyError(slug)
