"""Collapsed stacks: one line a stack, its frames from the root on, and how often it was seen.

This text is what py-spy writes and what is stored; everything else (the flame graph, the top of
the list, a difference) is computed from it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

STACKS_MAX: Final = 100_000
DEPTH_MAX: Final = 512
"""Deeper frames are cut: nobody reads a flame graph of a runaway recursion to its tip."""

Stack = tuple[str, ...]


class MalformedStacks(Exception):
    """The text is not collapsed stacks; `line` counts from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line


def parse(text: str) -> dict[Stack, int]:
    """Counts by stack; a stack that stands on two lines is added up."""
    found: dict[Stack, int] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        frames, _, count = line.rpartition(" ")
        if not frames or not count.isdigit():
            raise MalformedStacks(number, "expected frames, a space and a count")
        stack = tuple(frames.split(";")[:DEPTH_MAX])
        found[stack] = found.get(stack, 0) + int(count)
        if len(found) > STACKS_MAX:
            raise MalformedStacks(number, f"more than {STACKS_MAX} different stacks")
    return found


def render(stacks: Mapping[Stack, int]) -> str:
    """The text of counts by stack, the most frequent first."""
    ordered = sorted(stacks.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"{';'.join(stack)} {count}\n" for stack, count in ordered)


def merge(many: Iterable[Mapping[Stack, int]]) -> dict[Stack, int]:
    """Counts of several captures together."""
    merged: dict[Stack, int] = {}
    for stacks in many:
        for stack, count in stacks.items():
            merged[stack] = merged.get(stack, 0) + count
    return merged


class FrameShare(NamedTuple):
    """How much of a capture one function accounts for, in samples."""

    frame: str
    self_count: int
    total_count: int


def hottest(stacks: Mapping[Stack, int], limit: int) -> list[FrameShare]:
    """The functions that were at the tip of a stack most often."""
    own: dict[str, int] = {}
    total: dict[str, int] = {}
    for stack, count in stacks.items():
        own[stack[-1]] = own.get(stack[-1], 0) + count
        # A function that calls itself is still on the stack once.
        for frame in set(stack):
            total[frame] = total.get(frame, 0) + count
    ordered = sorted(total, key=lambda frame: (-own.get(frame, 0), -total[frame], frame))
    return [FrameShare(frame, own.get(frame, 0), total[frame]) for frame in ordered[:limit]]
