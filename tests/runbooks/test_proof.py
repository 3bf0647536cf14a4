"""What past runs prove of a runbook."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from runbooks import proof
from runbooks.models import Run

pytestmark = pytest.mark.django_db


def make_runs(kind: str, count: int, **changed: object) -> None:
    """Ended runs of a runbook, each of 20 s."""
    now = timezone.now()
    facts: dict[str, object] = {"state": "done", "started_at": now - timedelta(seconds=20)}
    Run.objects.bulk_create(
        Run(
            kind=kind, target="node-1", actor="ann", key=f"{kind}-{number}", created_at=now,
            deadline=now, ring_at=now, finished_at=now, **(facts | changed),
        )
        for number in range(count)
    )  # fmt: skip


def test_a_runbook_that_runs_all_the_time_hides_nothing_of_the_others(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    make_runs("hung-node", 2)
    make_runs("capture-evidence", 3 * proof.RUNS_LOOKED_AT_MAX)

    with django_assert_num_queries(1):
        found = proof.many(("hung-node", "capture-evidence", "rolling-restart"), {})

    assert found["hung-node"].sentence == "2 of 2, median 20 s"
    assert found["capture-evidence"].tried == proof.RUNS_LOOKED_AT_MAX
    assert found["rolling-restart"].sentence == "Never proven here"


def test_what_failed_or_is_unknown_counts_and_what_was_dry_or_cancelled_does_not() -> None:
    make_runs("a", 3)
    make_runs("a-failed", 1, state="failed")
    Run.objects.filter(kind="a-failed").update(kind="a")
    for state, mode in (("cancelled", "real"), ("done", "dry")):
        make_runs(f"a-{state}-{mode}", 1, state=state, mode=mode)
    Run.objects.filter(kind__startswith="a-").update(kind="a")

    assert proof.of("a").sentence == "3 of 4, median 20 s"
