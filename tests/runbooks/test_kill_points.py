"""A slice of `make kill-points`: a worker that dies in the change that must never be made twice.

The steps that need telemetry are left out, so that a round costs seconds; the whole runbook at all
points is `make kill-points`.
"""

from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from tests.kill_points.doors import CHILD, WHOLE
from tests.kill_points.rounds import LOOKING, POINTS
from tests.kill_points.stand import Stand, stand
from tests.runbooks.house import House

pytestmark = pytest.mark.probe


@pytest.fixture(scope="module")
def played(
    tmp_path_factory: pytest.TempPathFactory, django_db_blocker: DjangoDbBlocker
) -> Iterator[Stand]:
    house = House(tmp_path_factory.mktemp("tables"))
    house.migrate()
    with (
        django_db_blocker.unblock(),
        stand(house.home / "console.sqlite3", without=LOOKING) as running,
    ):
        yield running


@pytest.mark.parametrize(
    ("who", "point"),
    [
        (CHILD, "transfer noted, not sent"),
        (CHILD, "after its fence"),
        (WHOLE, "in the middle of the spot check"),
    ],
)
def test_a_worker_that_is_killed_does_everything_once(played: Stand, who: str, point: str) -> None:
    outcome = played.play(who, POINTS[point])

    assert outcome.deaths == len(POINTS[point])
    assert (outcome.state, outcome.transfers, outcome.drains) == ("done", 1, 1), outcome
    assert outcome.problems == []
