"""The chain of audit rows, and finding where it was broken. Pure.

Each row's hash covers all that the row says, its number, and the hash of the row before; numbers
have no gaps. So a row that is changed, taken out, put in or moved no longer fits its neighbours.
Whoever rewrites every hash behind the change ends up with another last hash, and whoever cuts the
end off has fewer rows: both are told by a head that is kept outside the table.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

GENESIS = "0" * 64  # What the first row follows.
TROUBLES_MAX = 20  # One broken row breaks its neighbours; nobody reads more than these.

Detail = Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a row says, and where it stands."""

    id: int
    at: datetime
    actor: str
    role: str
    via: str
    action: str
    target: str
    detail: Detail
    trace_id: str
    previous_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    link: Link
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest row at some moment, as it was told to the outside."""

    id: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    row: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """`unanchored` counts rows that are younger than the youngest head: a crash may leave some."""

    rows: int
    last: Head | None
    troubles: Sequence[Trouble]
    unanchored: int

    @property
    def is_whole(self) -> bool:
        return not self.troubles


def hash_of(link: Link) -> str:
    """SHA-256 over the row in one canonical spelling, 64 hex digits."""
    said = {each.name: getattr(link, each.name) for each in fields(link)}
    said["at"] = link.at.astimezone(UTC).isoformat(timespec="microseconds")
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def examine(rows: Iterable[Sealed], heads: Sequence[Head]) -> Examined:
    """Walk the rows in the order of their numbers; `heads` were kept outside, at any time."""
    troubles: list[Trouble] = []
    waiting = {head.id: head for head in heads}
    last = Head(id=0, hash=GENESIS)
    count = 0
    for row in rows:
        count += 1
        troubles += _row_troubles(row, last)
        head = waiting.pop(row.link.id, None)
        if head is not None and head.hash != row.hash:
            troubles.append(Trouble(row=head.id, text="is not the row that was told outside"))
        last = Head(id=row.link.id, hash=row.hash)
        del troubles[TROUBLES_MAX:]
    for head in waiting.values():
        text = f"was told outside and is gone: the rows end at {last.id}"
        troubles.append(Trouble(row=head.id, text=text))
    youngest = max((head.id for head in heads), default=0)
    return Examined(
        rows=count,
        last=last if count else None,
        troubles=troubles[:TROUBLES_MAX],
        unanchored=max(0, last.id - youngest),
    )


def _row_troubles(row: Sealed, last: Head) -> list[Trouble]:
    found: list[Trouble] = []
    link = row.link
    if link.id != last.id + 1:
        found.append(Trouble(row=link.id, text=f"follows row {last.id}: rows between are missing"))
    if link.previous_hash != last.hash:
        found.append(Trouble(row=link.id, text=f"was not written after row {last.id}"))
    if hash_of(link) != row.hash:
        found.append(Trouble(row=link.id, text="was altered"))
    return found
