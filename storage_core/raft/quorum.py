"""The arithmetic of majorities, alone so that it can be checked against a naive second version.

What always holds: two majorities of the same voters share a voter (Raft §5.4.3). Nothing else in
the core decides how many is enough.
"""

from __future__ import annotations

from typing import Iterable, List, Optional, Tuple

PENDING = 0
WON = 1
LOST = 2


def majority(voter_count: int) -> int:
    """The smallest count that no disjoint set of voters can also reach."""
    assert voter_count > 0, "a group has voters"
    return voter_count // 2 + 1


def reached_by_majority(values: List[int]) -> int:
    """The largest value that a majority of voters has reached; one value for each voter."""
    ordered = sorted(values)
    return ordered[len(ordered) - majority(len(ordered))]


def tally(votes: Iterable[Optional[bool]]) -> Tuple[int, int]:
    """How many voted yes and no; None has not voted."""
    granted = refused = 0
    for vote in votes:
        if vote is None:
            continue
        if vote:
            granted += 1
        else:
            refused += 1
    return granted, refused


def verdict(votes: Iterable[Optional[bool]], *, voter_count: int) -> int:
    """WON or LOST as soon as the voters still silent cannot change it, else PENDING."""
    granted, refused = tally(votes)
    assert granted + refused <= voter_count, (granted, refused, voter_count)
    needed = majority(voter_count)
    if granted >= needed:
        return WON
    if voter_count - refused < needed:
        return LOST
    return PENDING
