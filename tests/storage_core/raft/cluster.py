"""Replicas, their logs and the messages between them, in memory and without an event loop.

Nothing happens by itself: a test delivers, drops, flushes and lets time pass.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from storage_core.raft.messages import COMMAND, Append, Entry, HardState, Message, Outgoing, Payload
from storage_core.raft.ready import LEADER, ReadState, Ready, Timing
from storage_core.raft.replica import Replica

Drop = Callable[[int, Outgoing], bool]
TIMING = Timing()
NEW = HardState(0, 0, None, 0)


def make_payload(text: str) -> Payload:
    return Payload(COMMAND, 1, bytes(16), text.encode(), b"", 0)


def make_entry(term: int, index: int, text: str = "", body: bytes = b"") -> Entry:
    return Entry(term, index, COMMAND, 1, bytes(16), text.encode(), body, 0)


class MemoryLog:
    """The simplest log there can be: a list. `base` entries in front of it were compacted."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.items = list(entries)
        self.base_index = 0
        self.base_term = 0

    @property
    def first_index(self) -> int:
        return self.base_index + 1

    @property
    def last_index(self) -> int:
        return self.base_index + len(self.items)

    def term_at(self, index: int) -> int | None:
        if index == self.base_index:
            return self.base_term
        if self.base_index < index <= self.last_index:
            return self.items[index - self.base_index - 1].term
        return None

    def entries(self, lo: int, hi: int, max_bytes: int) -> list[Entry]:
        found: list[Entry] = []
        for entry in self.items[lo - self.base_index - 1 : hi - self.base_index]:
            max_bytes -= 104 + len(entry.meta) + len(entry.body)
            if found and max_bytes < 0:
                break
            found.append(entry)
        return found

    def append(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            assert entry.index == self.last_index + 1
            assert entry.term >= (self.term_at(self.last_index) or 0)
            self.items.append(entry)

    def truncate(self, from_index: int) -> None:
        assert from_index > self.base_index
        del self.items[from_index - self.base_index - 1 :]

    def compact(self, to_index: int) -> None:
        self.base_term = self.term_at(to_index) or 0
        del self.items[: to_index - self.base_index]
        self.base_index = to_index


class Node:
    """One replica with a disk that flushes at once, or when told if `holds_flush`."""

    def __init__(
        self,
        number: int,
        voters: Sequence[int],
        *,
        now_us: int = 0,
        timing: Timing = TIMING,
        hard_state: HardState = NEW,
        log: MemoryLog | None = None,
        applied_index: int = 0,
    ) -> None:
        self.number = number
        self.timing = timing
        self.log = log or MemoryLog()
        self.hard_state = hard_state
        self.holds_flush = False
        self.unflushed: list[tuple[HardState | None, int, list[Outgoing]]] = []
        self.applied: list[Entry] = list(self.log.entries(1, applied_index, 1 << 60))
        self.reads: list[ReadState] = []
        self.reads_failed: list[int] = []
        draws = count(number)
        self.replica = Replica(
            node=number,
            voters=voters,
            hard_state=hard_state,
            log=self.log,
            timing=timing,
            rng=lambda: (next(draws) * 37 % 100) / 100,
            now_us=now_us,
            applied_index=applied_index,
        )

    def take(self) -> list[Outgoing]:
        """Obey one Ready; return what may leave now."""
        ready = self.replica.ready()
        if ready is None:
            return []
        sent = [each for each in ready.messages if not each.after_flush]
        held = [each for each in ready.messages if each.after_flush]
        self.unflushed.append((ready.hard_state, self.log.last_index, held))
        if not self.holds_flush:
            sent += self.flush()
        self._apply(ready)
        self.reads += ready.read_states
        self.reads_failed += ready.reads_failed
        return sent

    def flush(self) -> list[Outgoing]:
        released: list[Outgoing] = []
        for hard_state, last_index, held in self.unflushed:
            if hard_state is not None:
                self.hard_state = hard_state
                self.replica.hard_state_flushed(hard_state.sequence)
            term = self.log.term_at(last_index)
            if term is not None:
                self.replica.log_flushed(last_index, term)
            released += held
        self.unflushed = []
        return released

    def _apply(self, ready: Ready) -> None:
        applied_index = len(self.applied)
        if ready.commit_index > applied_index:
            self.applied += self.log.entries(applied_index + 1, ready.commit_index, 1 << 60)
            self.replica.applied_to(ready.commit_index)


class Cluster:
    """Nodes 1..n and the mail between them."""

    def __init__(self, size: int = 3, *, timing: Timing = TIMING) -> None:
        self.now_us = 0
        self.timing = timing
        self.voters = tuple(range(1, size + 1))
        self.nodes = {n: Node(n, self.voters, now_us=0, timing=timing) for n in self.voters}
        self.mail: list[tuple[int, Outgoing]] = []
        self.cut: set[tuple[int, int]] = set()
        self.down: set[int] = set()

    def __getitem__(self, number: int) -> Replica:
        return self.nodes[number].replica

    def ready(self, number: int) -> Ready:
        """The effects of one replica, which has some, left in the test's hands."""
        ready = self[number].ready()
        assert ready is not None, "something is to be done"
        return ready

    def collect(self) -> None:
        """Take every effect that is due, until there are no more."""
        moved = True
        while moved:
            moved = False
            for number, node in self.nodes.items():
                sent = [] if number in self.down else node.take()
                moved = moved or bool(sent)
                self.mail += [(number, each) for each in sent]

    def deliver(self, *, drop: Drop = lambda sender, outgoing: False) -> None:
        """Deliver until nobody has anything to say."""
        self.collect()
        while self.mail:
            sender, outgoing = self.mail.pop(0)
            lost = (sender, outgoing.to) in self.cut or drop(sender, outgoing)
            if not lost and outgoing.to not in self.down:
                self[outgoing.to].step(outgoing.message, self.now_us)
            self.collect()

    def step(self, to: int, message: Message) -> None:
        self[to].step(message, self.now_us)

    def pass_time(self, duration_us: int, *, step_us: int = 10_000) -> None:
        """Let the clock run, delivering as it goes."""
        until_us = self.now_us + duration_us
        while self.now_us < until_us:
            self.now_us = min(self.now_us + step_us, until_us)
            for number in self.voters:
                if number not in self.down:
                    self[number].tick(self.now_us)
            self.deliver()

    def campaign(self, number: int) -> None:
        """The election timer of `number` runs out when all promises have, and nobody else's."""
        replica = self[number]
        due_us = max(replica.promise_until_us, replica.no_vote_until_us, self.now_us)
        for other in self.voters:
            if other != number and self[other].role != LEADER:
                due_us = max(due_us, self[other].promise_until_us, self[other].no_vote_until_us)
                self[other].election_due_us = max(self[other].election_due_us, due_us + 1)
        self.now_us = replica.election_due_us = due_us
        replica.tick(due_us)

    def elect(self, number: int) -> None:
        self.campaign(number)
        self.deliver()
        assert self[number].role == LEADER, self[number].role

    def propose(self, number: int, *texts: str) -> int:
        return self[number].propose([make_payload(text) for text in texts], self.now_us)

    def restart(self, number: int, *, lose_unflushed: int = 0) -> None:
        """A crash and a new start; the disk keeps what was flushed."""
        node = self.nodes[number]
        log = node.log
        if lose_unflushed:
            log.truncate(log.last_index - lose_unflushed + 1)
        self.mail = [item for item in self.mail if item[0] != number]
        self.nodes[number] = Node(
            number,
            self.voters,
            now_us=self.now_us,
            timing=self.timing,
            hard_state=node.hard_state,
            log=log,
        )

    def leader(self) -> int | None:
        leading = [n for n in self.voters if n not in self.down and self[n].role == LEADER]
        return max(leading, key=lambda number: self[number].term, default=None)


VOTERS = (1, 2, 3)


def make_follower(*terms: int, term: int | None = None, voted_for: int | None = None) -> Node:
    entries = [make_entry(entry_term, at + 1) for at, entry_term in enumerate(terms)]
    hard_term = (terms[-1] if terms else 0) if term is None else term
    log = MemoryLog(entries)
    hard_state = HardState(0, hard_term, voted_for, 0)
    return Node(1, VOTERS, hard_state=hard_state, log=log)


def replies(node: Node, kind: type) -> list[Any]:
    return [each.message for each in node.take() if isinstance(each.message, kind)]


def make_append(
    term: int, prev_index: int, prev_term: int, *terms: int, commit_index: int = 0
) -> Append:
    entries = tuple(make_entry(each, prev_index + 1 + at) for at, each in enumerate(terms))
    return Append(term, 2, prev_index, prev_term, commit_index, 0, 77, entries)
