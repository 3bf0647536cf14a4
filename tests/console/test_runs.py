from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from console.audit.models import AuditRow
from runbooks import actions
from runbooks.models import Run
from tests.console.twins import FleetTwin

pytestmark = pytest.mark.django_db


def test_the_form_starts_a_profile_and_shows_its_run(client: Client) -> None:
    form = {"target": "node-1", "seconds": "3", "rate_hz": ""}

    answer = client.post("/profiles", form, follow=True)

    run = Run.objects.get()
    assert run.params == {"seconds": 3, "rate_hz": 100} and run.actor == "ada"
    assert f"Run {run.pk}: capture a profile on node-1, queued" in answer.content.decode()
    assert AuditRow.objects.get().action == "start profile"


@pytest.mark.parametrize(
    ("field", "value"), [("seconds", "\u0661"), ("seconds", "61"), ("rate_hz", "x")]
)
def test_a_bad_field_is_named_and_what_was_typed_is_kept(
    client: Client, field: str, value: Any
) -> None:
    form = {"target": "node-1", "seconds": "3", "rate_hz": "100"} | {field: value}

    answer = client.post("/profiles", form)

    assert answer.status_code == 400
    page = answer.content.decode()
    assert f"{field} is" in page and f'value="{value}"' in page
    assert not Run.objects.exists()


def test_a_cancelled_run_can_be_retried_and_both_are_audited(
    client: Client, make_run: Callable[..., Run]
) -> None:
    run = make_run()

    cancelled = client.post(f"/runs/{run.pk}/cancel", follow=True)
    retried = client.post(f"/runs/{run.pk}/retry", follow=True)

    assert f"Retry run {run.pk}" in cancelled.content.decode()
    assert f"Cancel run {run.pk}" in retried.content.decode()
    assert Run.objects.get().state == "queued"
    assert list(AuditRow.objects.values_list("action", flat=True)) == ["retry run", "cancel run"]


def test_who_comes_second_is_told_who_was_first(
    client: Client, make_run: Callable[..., Run]
) -> None:
    run = make_run()
    actions.cancel(run.pk, "grace")

    answer = client.post(f"/runs/{run.pk}/cancel")

    assert answer.status_code == 409
    assert "by grace" in answer.content.decode()


def test_runs_wait_in_words_while_no_worker_answers(
    client: Client, fleet: FleetTwin, make_run: Callable[..., Run]
) -> None:
    fleet.down = {"worker"}
    make_run()

    page = client.get("/runs").content.decode()

    assert "1 run not finished, and no worker answers" in page
    assert "nothing is lost" in page


def test_the_open_page_of_a_run_asks_for_itself_until_the_run_ends(
    client: Client, make_run: Callable[..., Run]
) -> None:
    run = make_run()

    running = client.get(f"/runs/{run.pk}", headers={"HX-Request": "true"}).content.decode()
    actions.cancel(run.pk, "ada")
    ended = client.get(f"/runs/{run.pk}", headers={"HX-Request": "true"}).content.decode()

    assert "every 2s" in running and "<html" not in running
    assert "every 2s" not in ended
