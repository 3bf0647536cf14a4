"""The bugs: parts that take the place of the product's own, each wrong in one way.

They are the three ways in which a replicated store has lied to its users more than once:
acknowledging what only one disk holds, answering reads from the past, and giving a version out
twice while the second write is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping

from storage_core.catalog import put_blob
from storage_core.catalog.batch import Batch
from storage_core.catalog.commands import UNCONDITIONAL, Outcome, etag_of
from storage_core.catalog.machine import Catalog
from storage_core.core import Core, Effects
from storage_core.log.format import Position
from storage_core.raft.messages import Entry
from storage_core.startup import Opened

LOST_EVERY = 7
"""Of log entries: the put that has such a place is lost, on every node."""


class AcknowledgesEarly(Core):
    """A plain put is answered when the leader's own disk has it."""

    def take(self, now_us: int) -> Effects:
        effects = super().take(now_us)
        early = []
        for index, (term, ticket) in list(self._waiting.items()):
            if index > self.log.durable_index:
                continue
            entry = self.log.entries(index, index, 0)[0]
            if not put_blob.is_put_blob(entry.meta):
                continue
            if put_blob.decode(entry.meta).conditions == UNCONDITIONAL:
                del self._waiting[index]
                told = Outcome("", index, term, etag_of(index), entry.time_ms, b"")
                early.append((ticket, told))
        return effects._replace(settled=effects.settled + early)


class ReadsThePast(Core):
    """A node answers from what it has, without asking whether that is all there is."""

    def can_read_now(self, now_us: int) -> bool:
        return True

    def read(self, context: int, now_us: int) -> None:
        self._reads.append((0, context))


class LosesAndReuses(Catalog):
    """Some puts are dropped, and acknowledged with the version of the put before."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__(catalog._index)
        self._etags: dict[tuple[bytes, bytes], str] = {}

    def _apply_one(
        self, changes: Batch, entry: Entry, position: Position, meta_bytes: int
    ) -> Outcome:
        if not put_blob.is_put_blob(entry.meta):
            return super()._apply_one(changes, entry, position, meta_bytes)
        command = put_blob.decode(entry.meta)
        blob = (command.container_key, command.name)
        earlier = self._etags.get(blob, "")
        if earlier and entry.index % LOST_EVERY == 0 and command.conditions == UNCONDITIONAL:
            return Outcome("", entry.index, entry.term, earlier, entry.time_ms, b"")
        outcome = super()._apply_one(changes, entry, position, meta_bytes)
        if outcome.etag:
            self._etags[blob] = outcome.etag
        return outcome


def _with_core(core: type[Core], opened: Opened) -> Opened:
    own = opened.core
    return opened._replace(core=core(replica=own.replica, log=own.log, catalog=own.catalog))


def _with_catalog(opened: Opened) -> Opened:
    own, catalog = opened.core, LosesAndReuses(opened.catalog)
    core = Core(replica=own.replica, log=own.log, catalog=catalog)
    return opened._replace(core=core, catalog=catalog)


BUGS: Mapping[str, str] = {
    "acknowledges-early": "an acknowledged write was on one disk only",
    "reads-the-past": "a read answers with less than was acknowledged before",
    "loses-and-reuses": "a version names two writes, one of which is lost",
}


def plant(bug: str, opened: Opened) -> Opened:
    """The node's parts with this bug among them."""
    if bug == "acknowledges-early":
        return _with_core(AcknowledgesEarly, opened)
    if bug == "reads-the-past":
        return _with_core(ReadsThePast, opened)
    assert bug == "loses-and-reuses", bug
    return _with_catalog(opened)
