"""Which segments to clean, what to move out of them, and which may go.

Problem: blobs are deleted, but their bodies lie between others in the log. Idea (log-structured
file systems): re-append the live bodies of a mostly dead segment as new entries; when no live body
is in it and nobody needs its records, it is recycled. Cleaning is done by the leader alone and
through the log, so that all replicas stay equal.

What always holds: a segment goes only when nothing live is in it, every flushed index is past it,
every voter holds what lies in it, and the Raft log starts behind it.

Read next: `segment`, which recycles; `recovery.walk_segment`, which reads a victim.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from storage_core.log.format import Extent, Position, RecordHeader
from storage_core.log.table import RecordTable

# Below this share of dead bytes cleaning writes more than it frees soon.
GARBAGE_PERCENT_MIN = 40
# The Raft log keeps this many closed segments, so that a follower catches up by entries.
RETAIN_SEGMENTS = 2
# Live bytes re-appended in one round: a small part of what a device writes in that time.
MOVE_BYTES_MAX = 4 * 1024 * 1024

Owner = TypeVar("Owner")


class SegmentFact(NamedTuple):
    """A closed segment. `last_index` is at least the index of the last record in it."""

    segment_seq: int
    live_bytes: int
    last_index: int


def segment_facts(
    segments: Iterable[int], live_bytes: Mapping[int, int], table: RecordTable
) -> list[SegmentFact]:
    """Facts of the closed segments among `segments`; the open one and what lies past it are out."""
    facts: list[SegmentFact] = []
    for segment_seq in sorted(segments):
        if segment_seq >= table.end.position.segment_seq:
            break
        last_index = table.last_index_in(segment_seq)
        if last_index is None:
            # Retained records are contiguous, so what isn't among them lies before the start.
            assert segment_seq <= table.start.position.segment_seq, segment_seq
            last_index = table.start.index
        facts.append(SegmentFact(segment_seq, live_bytes.get(segment_seq, 0), last_index))
    return facts


def compact_to(table: RecordTable, *, limit_index: int, retain_segments: int) -> int:
    """The index up to which the Raft log may be forgotten: the end of a segment.

    `limit_index` is the least of what the flushed index has applied, what every voter holds, and
    the durable watermark. Returns `table.start.index` where nothing may go.
    """
    to_index = table.start.index
    first = table.start.position.segment_seq
    for segment_seq in range(first, table.end.position.segment_seq - retain_segments):
        last_index = table.last_index_in(segment_seq)
        if last_index is None:
            continue
        if last_index > limit_index:
            break
        to_index = last_index
    return to_index


def releasable(facts: Iterable[SegmentFact], *, limit_index: int, start_index: int) -> list[int]:
    """Segments that may be recycled once a watermark with this start is durable."""
    return [
        fact.segment_seq
        for fact in facts
        if fact.live_bytes == 0 and fact.last_index <= min(limit_index, start_index)
    ]


def choose_victims(
    facts: Iterable[SegmentFact],
    *,
    limit_index: int,
    start_index: int,
    open_segment_seq: int,
    segment_bytes: int,
    garbage_percent_min: int = GARBAGE_PERCENT_MIN,
    count_max: int = 1,
) -> list[int]:
    """Segments worth cleaning, best first: by garbage * age / cost (LFS, section 3.6)."""
    scored: list[tuple[int, int]] = []
    for segment_seq, live_bytes, last_index in facts:
        if live_bytes == 0 or last_index > min(limit_index, start_index):
            continue
        assert live_bytes <= segment_bytes, (segment_seq, live_bytes)
        garbage_bytes = segment_bytes - live_bytes
        if garbage_bytes * 100 < garbage_percent_min * segment_bytes:
            continue
        age = open_segment_seq - segment_seq
        # Cleaning reads the whole segment and writes what lives. In parts per million.
        score = garbage_bytes * age * 1_000_000 // (segment_bytes + live_bytes)
        scored.append((-score, segment_seq))
    return [segment_seq for _, segment_seq in sorted(scored)[:count_max]]


def plan_moves(
    records: Iterable[tuple[RecordHeader, bytes]],
    owner_of: Callable[[bytes, Extent], Owner | None],
    bytes_max: int = MOVE_BYTES_MAX,
) -> tuple[list[tuple[Owner, Extent]], Position | None]:
    """One round: live bodies of one segment with their owners, and where the next round begins.

    `owner_of` is the catalog's answer to: who refers to this body now? At most `bytes_max`, but one
    body at least, however large. The position is None when the segment is done.
    """
    moves: list[tuple[Owner, Extent]] = []
    room_bytes = bytes_max
    for header, meta in records:
        if not header.body_length:
            continue
        extent = header.body_extent
        owner = owner_of(meta, extent)
        if owner is None:
            continue
        if extent.length > room_bytes and moves:
            return moves, header.position
        moves.append((owner, extent))
        room_bytes -= extent.length
    return moves, None
