"""What is written down of an answer, and how pages read it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from console.triage import actions, limits, queries
from console.triage.findings import Silence
from console.triage.models import Diagnosis, Look
from tests.console.triage.conftest import NOW_MS, make_claim, make_findings

pytestmark = pytest.mark.django_db

Keep = Callable[..., Diagnosis | None]


def test_an_answer_is_read_back_as_it_was_written(keep: Keep) -> None:
    claim = make_claim()

    keep(42, claim)

    cause = queries.top(42)
    assert cause is not None
    assert cause.first == claim
    assert cause.record == "not yet scored here"


def test_an_answer_that_says_the_same_is_no_new_version(keep: Keep) -> None:
    keep(42, make_claim())

    again = keep(42, make_claim(score=0.95))

    assert again is None
    assert Diagnosis.objects.count() == 1


def test_a_changed_answer_is_the_next_version_and_the_old_one_stays(keep: Keep) -> None:
    keep(42, make_claim())

    keep(42, make_claim("node-2", "isolated"))

    newest, old = queries.top(42), queries.top(42, version=1)
    assert newest is not None and newest.version == 2
    assert old is not None and old.first is not None and old.first.kind == "fsync_stall"


def test_a_source_gone_blind_is_a_changed_answer(keep: Keep) -> None:
    keep(42, make_claim())

    second = keep(42, make_claim(), missing=(Silence(source="telemetry", reason="away"),))

    assert second is not None


def test_lists_get_the_first_claim_of_each_incident_in_two_queries(
    keep: Keep, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for incident_id in range(1, 31):
        keep(incident_id, make_claim("node-0", "node_down"))
        keep(incident_id, make_claim(f"node-{incident_id % 3}", "isolated"), make_claim())
    keep(31)

    with django_assert_num_queries(2):
        found = queries.findings(range(1, 40))

    assert len(found) == 30
    assert found[4].entity == "node-1" and found[4].version == 2


def test_looks_ripen_and_end() -> None:
    look = actions.open_look(42, since_ms=NOW_MS, due_ms=NOW_MS)
    dues = []
    while look.due_ms is not None:
        dues.append(look.due_ms)
        assert actions.close_look(look, now_ms=look.due_ms, is_over=False)
        look.refresh_from_db()

    assert look.count == len(limits.LOOK_AGAIN_AFTER_S) + 1
    assert dues[1] - dues[0] == limits.LOOK_AGAIN_AFTER_S[0] * 1000


def test_of_two_who_finish_one_look_only_one_counts_it() -> None:
    first = actions.open_look(42, since_ms=NOW_MS, due_ms=NOW_MS)
    second = Look.objects.get(incident_id=42)

    assert actions.close_look(first, now_ms=NOW_MS, is_over=False)
    assert not actions.close_look(second, now_ms=NOW_MS, is_over=False)


def test_the_panel_says_that_it_looks_until_there_is_an_answer(client: Client) -> None:
    page = client.get("/incidents/42/cause").content.decode()

    assert "Looking for the cause" in page
    assert 'data-hx-get="/incidents/42/cause"' in page


def test_the_panel_shows_claim_bars_evidence_and_its_doubts(client: Client, keep: Keep) -> None:
    keep(42, make_claim())

    page = client.get("/incidents/42/cause").content.decode()

    assert "Flush stalls on node-1, the leader" in page
    assert "87 % of the added time is flush on node-1" in page
    assert f"/traces/{'a' * 32}" in page
    assert "/question?ask=node_series&amp;measure=flush_p99_ms" in page
    assert "Why not something else" in page and "What would prove this wrong" in page


def test_an_unknown_cause_shows_what_moved_and_what_is_blind(client: Client, keep: Keep) -> None:
    keep(42, missing=(Silence(source="telemetry", reason="nothing listens"),))

    page = client.get("/incidents/42/cause").content.decode()

    assert "Cause unknown" in page and "What moved most" in page
    assert "Write p99 went from 4.10 ms to 240 ms" in page
    assert "telemetry: nothing listens" in page


def test_the_old_answer_stays_until_the_reader_asks_for_the_new_one(
    client: Client, keep: Keep
) -> None:
    keep(42, make_claim())
    before = client.get("/incidents/42/cause/newer?seen=1").content.decode()
    keep(42, make_claim("node-2", "isolated"))

    after = client.get("/incidents/42/cause/newer?seen=1").content.decode()

    assert before.strip() == ""
    assert "Updated" in after and "show" in after


def test_the_triage_page_keeps_every_version(client: Client, keep: Keep) -> None:
    keep(42, make_claim())
    keep(42, make_claim("node-2", "isolated", headline="node-2 is cut off from its peers"))

    newest = client.get("/incidents/42/triage").content.decode()
    old = client.get("/incidents/42/triage?version=1").content.decode()

    assert "<h1" in newest and "node-2 is cut off from its peers" in newest
    assert "1. Flush stalls on node-1, the leader" in old


def test_the_digest_ignores_figures_but_not_the_claim() -> None:
    same = make_findings(make_claim()).digest == make_findings(make_claim(score=0.1)).digest
    other = make_findings(make_claim("node-0")).digest

    assert same
    assert other != make_findings(make_claim()).digest
