"""The arithmetic of majorities against a naive second version: try every subset."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from storage_core.raft import quorum

values = st.lists(st.integers(0, 20), min_size=1, max_size=7)
votes = st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=7)


def naive_majorities(count: int) -> list[tuple[int, ...]]:
    return [
        subset
        for size in range(count + 1)
        for subset in combinations(range(count), size)
        if 2 * size > count
    ]


@given(values)
def test_reached_by_majority_is_the_best_that_some_majority_shares(reached: list[int]) -> None:
    best = max(min(reached[at] for at in subset) for subset in naive_majorities(len(reached)))

    assert quorum.reached_by_majority(reached) == best


@given(votes)
def test_a_verdict_is_given_exactly_when_the_silent_voters_cannot_change_it(
    cast: list[bool | None],
) -> None:
    silent = [at for at, vote in enumerate(cast) if vote is None]
    endings = set()
    for bits in range(1 << len(silent)):
        ballot = [bool(vote) for vote in cast]
        for position, at in enumerate(silent):
            ballot[at] = bool(bits >> position & 1)
        endings.add(2 * sum(ballot) > len(ballot))
    expected = {True: quorum.WON, False: quorum.LOST}[endings.pop()] if len(endings) == 1 else 0

    assert quorum.verdict(cast, voter_count=len(cast)) == expected


@given(st.integers(1, 50))
def test_two_majorities_always_share_a_voter(count: int) -> None:
    assert 2 * quorum.majority(count) > count
    assert 2 * (quorum.majority(count) - 1) <= count
