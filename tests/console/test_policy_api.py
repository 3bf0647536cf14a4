"""What may start by itself, for programs of an admin."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.test import Client
from django.utils import timezone

from console.accounts.actions import make_api_token
from console.accounts.scopes import Scope
from console.audit.models import AuditRow
from runbooks import policies

STALL = {"finding_kind": "fsync_stall", "runbook": "leader-fsync-stall", "is_on": True}


def asked(scope: Scope, body: object) -> Any:
    token = make_api_token(
        f"loop-{scope.value.replace(':', '-')}",
        scopes=[scope],
        expires_at=timezone.now() + timedelta(days=1),
        made_by="ada",
    )
    return Client().post(
        "/api/v1/policies",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )


def test_an_admins_program_lets_a_runbook_start_by_itself_and_stops_that(db: None) -> None:
    answer = asked(Scope.ADMIN, STALL)

    assert answer.status_code == 200
    (policy,) = answer.json()["policies"]
    assert (policy["finding_kind"], policy["is_on"], policy["min_score"]) == (
        "fsync_stall",
        True,
        policies.MIN_SCORE,
    )
    assert AuditRow.objects.filter(action="allow policy", target="fsync_stall").exists()


def test_switching_off_needs_no_runbook(db: None) -> None:
    policies.allow("fsync_stall", "leader-fsync-stall", actor="ada")

    answer = asked(Scope.ADMIN, {"finding_kind": "fsync_stall", "is_on": False})

    assert answer.json()["policies"][0]["is_on"] is False
    assert not policies.all()[0].is_on


def test_a_program_that_may_only_run_things_may_not_decide_what_runs_by_itself(db: None) -> None:
    answer = asked(Scope.RUNS_WRITE, STALL)

    assert answer.status_code == 403
    assert policies.all() == ()


def test_a_runbook_that_is_not_for_that_kind_is_refused_by_name(db: None) -> None:
    answer = asked(Scope.ADMIN, {**STALL, "finding_kind": "cpu_hog"})

    assert answer.status_code == 400
    assert answer.json()["field"] == "finding_kind"
