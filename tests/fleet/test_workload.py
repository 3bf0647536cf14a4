"""What the demo traffic may keep."""

from hypothesis import given
from hypothesis import strategies as st

from storage_core.workload import Stored, choose_evictions

KEPT = st.lists(st.builds(Stored, st.text(min_size=1), st.integers(1, 100)), max_size=20)


def test_nothing_goes_while_there_is_room() -> None:
    assert choose_evictions([Stored("a", 4)], coming_bytes=6, budget_bytes=10) == []


def test_the_oldest_go_first_and_no_more_than_needed() -> None:
    kept = [Stored("a", 4), Stored("b", 4), Stored("c", 2)]

    assert choose_evictions(kept, coming_bytes=5, budget_bytes=10) == kept[:2]


@given(KEPT, st.integers(0, 200), st.integers(0, 500))
def test_what_stays_fits_the_budget_or_nothing_stays(
    kept: list[Stored], coming_bytes: int, budget_bytes: int
) -> None:
    victims = choose_evictions(kept, coming_bytes=coming_bytes, budget_bytes=budget_bytes)

    stays = kept[len(victims) :]
    total_bytes = sum(blob.size_bytes for blob in stays) + coming_bytes
    assert list(victims) == kept[: len(victims)]
    assert not stays or total_bytes <= budget_bytes
