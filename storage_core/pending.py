"""Commands that wait for their outcome, wherever the leader is.

Problem: a client must not see an election. Its SDK would wait 15 seconds after an error that we
could have hidden in half a second. Idea: a submission is routed to the leader, here or over a
peer's bulk connection; if the leader goes away it is parked, and routed again under the same
operation id when a new one is known. The catalog answers a repeated operation with its first
outcome, so routing twice is safe.

What always holds: `on_done` is called exactly once, through the event loop, so that one waiter's
error never touches another's. A submission ends with an outcome, or with `Unavailable` that says
whether anything may have happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple, Protocol

from storage_core import bulk
from storage_core.errors import NotLeader, Overloaded, StoreError, Unavailable
from telemetry import names

if TYPE_CHECKING:
    from storage_core.catalog.commands import Outcome
    from storage_core.stages import BatchTimes
    from telemetry.tracing import StageClock

PARKED_US_MAX = 5_000_000
"""A stock SDK waits longer after an error than this; see ARCHITECTURE, "Parking"."""
RESENT_US_MAX = 5_000_000
"""The catalog remembers the last 65,536 operations: 13,000 a second for this long. What may have
happened is not sent again later than this after it was first submitted."""
PARKED_COUNT_MAX = 8192
"""Submissions that wait for a leader at one time; one more is refused at once."""


class Leadership(Protocol):
    """What a router must know of its node; the engine is one."""

    node: int

    def leader(self) -> int | None: ...
    def propose(self, submission: Submission) -> int: ...
    def bulk_send(self, node: int, message: bulk.BulkMessage) -> bool: ...


class Origin(NamedTuple):
    """Where a forwarded submission came from."""

    node: int
    request_id: int


class Submission:
    """One command on its way. `clock` is None for one that another node forwarded."""

    __slots__ = (
        "body",
        "body_crc",
        "clock",
        "deadline_us",
        "kind",
        "may_have_happened",
        "meta",
        "on_done",
        "op_id",
        "origin",
        "parked_us",
        "sent_to",
        "submitted_us",
    )

    def __init__(
        self,
        *,
        kind: int,
        op_id: bytes,
        meta: bytes,
        body: bytes,
        body_crc: int,
        deadline_us: int,
        clock: StageClock | None = None,
        on_done: Callable[[Outcome | StoreError], None] | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.kind = kind
        self.op_id = op_id
        self.meta = meta
        self.body = body
        self.body_crc = body_crc
        self.deadline_us = deadline_us
        self.clock = clock
        self.on_done = on_done
        self.origin = origin
        self.parked_us = 0
        self.submitted_us = 0
        self.sent_to = -1
        self.may_have_happened = False


class Pending:
    """All submissions of one node. Single-threaded, on the node's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, leadership: Leadership) -> None:
        self._loop = loop
        self._leadership = leadership
        self._by_ticket: dict[int, Submission] = {}
        self._forwarded: dict[int, Submission] = {}
        self._parked: list[Submission] = []
        self._ended: list[tuple[Callable[[Outcome | StoreError], None], Outcome | StoreError]] = []
        self._last_request_id = 0

    @property
    def local_count(self) -> int:
        """Submissions in this node's own log pipeline."""
        return len(self._by_ticket)

    @property
    def parked_count(self) -> int:
        return len(self._parked)

    def submit(self, submission: Submission, now_us: int) -> None:
        """Route it to the leader, or park it."""
        if submission.origin is None:
            if submission.submitted_us == 0:
                submission.submitted_us = now_us
            if self._is_too_late(submission, now_us):
                self._give_up(submission, "no time left")
                return
        leader = self._leadership.leader()
        if leader == self._leadership.node:
            try:
                self._by_ticket[self._leadership.propose(submission)] = submission
            except NotLeader:
                self._park(submission, now_us)
            except Overloaded as error:
                self._refused(submission, error, now_us)
            return
        if submission.origin is not None:
            # Never forwarded twice: its origin knows as well as we do whom to ask.
            self._reply(submission.origin, bulk.NOT_LEADER, None)
            return
        if leader is None or not self._forward(submission, leader):
            self._park(submission, now_us)

    def settled(self, ticket: int, outcome: Outcome, times: BatchTimes | None) -> None:
        """The entry of `ticket` was applied here."""
        submission = self._by_ticket.pop(ticket)
        clock = submission.clock
        if clock is not None and times is not None and submission.on_done is not None:
            clock.stamp_all(
                (names.QUEUE, times.taken_ns),
                (names.APPEND, times.appended_ns),
                (names.FLUSH, times.flushed_ns),
                (names.QUORUM, times.committed_ns),
                (names.APPLY, monotonic_ns()),
            )
        self._finish(submission, outcome)

    def lost(self, ticket: int, outcome: str, now_us: int) -> None:
        """Leadership went while `ticket` was under way; `outcome` is "none" or "unknown"."""
        submission = self._by_ticket.pop(ticket)
        submission.may_have_happened |= outcome == "unknown"
        self._park(submission, now_us)

    def replied(self, reply: bulk.Reply, now_us: int) -> None:
        """The node that we forwarded to has answered; late answers mean nothing any more."""
        submission = self._forwarded.pop(reply.request_id, None)
        if submission is None:
            return
        if submission.clock is not None:
            submission.clock.stamp(names.FORWARD)
        if reply.status == bulk.DONE:
            assert reply.outcome is not None
            self._finish(submission, reply.outcome)
        elif reply.status == bulk.OVERLOADED:
            self._refused(submission, Overloaded("the leader's queue is full"), now_us)
        else:
            submission.may_have_happened = True
            self._park(submission, now_us)

    def leader_changed(self, now_us: int) -> None:
        """Route again what waited for a leader, and what was sent to a former one."""
        leader = self._leadership.leader()
        stale = [key for key, item in self._forwarded.items() if item.sent_to != leader]
        again = [self._forwarded.pop(key) for key in stale]
        for submission in again:
            submission.may_have_happened = True
        self._parked = again + self._parked
        self._route_parked(now_us)

    def disconnected(self, node: int, now_us: int) -> None:
        """The bulk connection to `node` is gone; what it was asked for may have happened."""
        gone = [key for key, item in self._forwarded.items() if item.sent_to == node]
        for key in gone:
            submission = self._forwarded.pop(key)
            submission.may_have_happened = True
            self._park(submission, now_us)

    def sweep(self, now_us: int) -> None:
        """End what waited too long, try the parked again. Called some twenty times a second."""
        kept: list[Submission] = []
        for submission in self._parked:
            parked_us = now_us - submission.parked_us
            if parked_us > PARKED_US_MAX or now_us > submission.deadline_us:
                self._give_up(submission, "no leader")
            else:
                kept.append(submission)
        self._parked = kept
        if kept and self._leadership.leader() is not None:
            self._route_parked(now_us)
        for table in (self._forwarded, self._by_ticket):
            for key in [key for key, item in table.items() if now_us > item.deadline_us]:
                late = table[key]
                if late.on_done is None:
                    continue
                late.may_have_happened = True
                self._give_up(late, "no quorum in time")
                if table is self._forwarded:
                    del table[key]

    def _route_parked(self, now_us: int) -> None:
        parked, self._parked = self._parked, []
        for submission in parked:
            if submission.clock is not None:
                submission.clock.stamp(names.PARK)
            self.submit(submission, now_us)

    def _forward(self, submission: Submission, leader: int) -> bool:
        self._last_request_id += 1
        message = bulk.Submit(
            self._last_request_id,
            submission.kind,
            submission.op_id,
            submission.meta,
            submission.body,
            submission.body_crc,
        )
        if not self._leadership.bulk_send(leader, message):
            return False
        submission.sent_to = leader
        self._forwarded[self._last_request_id] = submission
        return True

    def _is_too_late(self, submission: Submission, now_us: int) -> bool:
        resent = submission.may_have_happened
        return now_us > submission.deadline_us or (
            resent and now_us - submission.submitted_us > RESENT_US_MAX
        )

    def _refused(self, submission: Submission, error: Overloaded, now_us: int) -> None:
        """Overloaded says that nothing happened; of what was sent before, that isn't known."""
        if submission.may_have_happened:
            self._park(submission, now_us)
        else:
            self._finish(submission, error)

    def _park(self, submission: Submission, now_us: int) -> None:
        if submission.origin is not None:
            self._reply(submission.origin, bulk.NOT_LEADER, None)
            return
        if submission.on_done is None:
            return  # its client has been told that nobody knows
        if submission.parked_us == 0:
            submission.parked_us = now_us
        if len(self._parked) >= PARKED_COUNT_MAX:
            self._give_up(submission, "too many requests wait for a leader")
            return
        self._parked.append(submission)

    def _give_up(self, submission: Submission, reason: str) -> None:
        outcome = "unknown" if submission.may_have_happened else "none"
        self._finish(submission, Unavailable(reason, outcome))

    def _finish(self, submission: Submission, result: Outcome | StoreError) -> None:
        if submission.origin is not None:
            if isinstance(result, StoreError):
                self._reply(submission.origin, bulk.OVERLOADED, None)
            else:
                self._reply(submission.origin, bulk.DONE, result)
        elif submission.on_done is not None:
            on_done, submission.on_done = submission.on_done, None
            if not self._ended:
                self._loop.call_soon(self._tell_all)
            self._ended.append((on_done, result))

    def _tell_all(self) -> None:
        """Those that ended in this tick, in one call of the loop: a batch may end 64 at once."""
        ended, self._ended = self._ended, []
        for on_done, result in ended:
            try:
                on_done(result)
            except Exception as error:  # as the loop itself does, so that the others are told
                self._loop.call_exception_handler(
                    {"message": "a waiter failed on its outcome", "exception": error}
                )

    def _reply(self, origin: Origin, status: int, outcome: Outcome | None) -> None:
        """If the origin is gone, nobody waits: it asks the next leader under the same id."""
        self._leadership.bulk_send(origin.node, bulk.Reply(origin.request_id, status, outcome))


def now_us() -> int:
    """Monotonic microseconds, read now."""
    return monotonic_ns() // 1000
