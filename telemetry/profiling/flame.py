"""Flame graphs as trees: what the page draws, and the difference of two captures.

A node's value is the number of samples in which it was on the stack at that place; children never
add up to more than their parent. In a difference, captures of different length are compared by
share of their samples, never by count. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypedDict

from telemetry.profiling.stacks import Stack

NODES_MAX: Final = 50_000
"""A page can't draw more; what is left out still counts in its parent's value."""
ROOT: Final = "all"


class Flame(TypedDict):
    """One frame at one place of the tree."""

    name: str
    value: int
    children: list[Flame]


class FlameDifference(TypedDict):
    """One frame in two captures. `delta_percent` is in points of all samples, after - before."""

    name: str
    value: int
    before: int
    delta_percent: float
    children: list[FlameDifference]


class _Node:
    __slots__ = ("after", "before", "children", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.after = 0
        self.before = 0
        self.children: dict[str, _Node] = {}


def _grow(root: _Node, stacks: Mapping[Stack, int], *, before: bool, room: int) -> int:
    ordered = sorted(stacks.items(), key=lambda item: (-item[1], item[0]))
    for stack, count in ordered:
        node = root
        for frame in (None, *stack):
            if frame is not None:
                child = node.children.get(frame)
                if child is None:
                    if room <= 0:
                        break
                    room -= 1
                    child = node.children[frame] = _Node(frame)
                node = child
            if before:
                node.before += count
            else:
                node.after += count
    return room


def _leaves_first(root: _Node) -> list[_Node]:
    # Without recursion: a stack may be deeper than Python's own limit allows on top of a request.
    ordered, waiting = [], [root]
    while waiting:
        node = waiting.pop()
        ordered.append(node)
        waiting.extend(node.children.values())
    ordered.reverse()
    return ordered


def flame(stacks: Mapping[Stack, int]) -> Flame:
    """The tree of one capture; the widest child first."""
    root = _Node(ROOT)
    _grow(root, stacks, before=False, room=NODES_MAX)
    made: dict[int, Flame] = {}
    for node in _leaves_first(root):
        children = [made.pop(id(child)) for child in node.children.values()]
        children.sort(key=lambda child: (-child["value"], child["name"]))
        assert sum(child["value"] for child in children) <= node.after, node.name
        made[id(node)] = Flame(name=node.name, value=node.after, children=children)
    return made[id(root)]


def difference(before: Mapping[Stack, int], after: Mapping[Stack, int]) -> FlameDifference:
    """The tree of both captures, with what grew and what shrank."""
    root = _Node(ROOT)
    room = _grow(root, after, before=False, room=NODES_MAX)
    _grow(root, before, before=True, room=room)
    before_all, after_all = max(1, root.before), max(1, root.after)
    made: dict[int, FlameDifference] = {}
    for node in _leaves_first(root):
        children = [made.pop(id(child)) for child in node.children.values()]
        children.sort(key=lambda child: (-child["value"], -child["before"], child["name"]))
        delta = 100.0 * (node.after / after_all - node.before / before_all)
        made[id(node)] = FlameDifference(
            name=node.name,
            value=node.after,
            before=node.before,
            delta_percent=delta,
            children=children,
        )
    return made[id(root)]
