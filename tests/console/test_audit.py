"""The trail: who did what, by which way; and that no row goes missing or changes unseen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from console.accounts.actions import make_api_token
from console.accounts.scopes import Scope
from console.audit.actions import record
from console.audit.chain import GENESIS, Head, Link, Sealed, examine, hash_of
from console.audit.head import anchor, head_file, read_head
from console.audit.models import AuditRow
from console.audit.queries import found, verify

START = datetime(2026, 11, 24, 3, tzinfo=UTC)


def chain_of(count: int) -> list[Sealed]:
    rows: list[Sealed] = []
    for number in range(1, count + 1):
        link = Link(
            id=number,
            at=START + timedelta(seconds=number),
            actor="ada",
            role="lead",
            via="ui",
            action="cancel run",
            target=f"run {number}",
            detail={"reason": "late", "count": number},
            trace_id="ab" * 16,
            previous_hash=rows[-1].hash if rows else GENESIS,
        )
        rows.append(Sealed(link=link, hash=hash_of(link)))
    return rows


def head_of(rows: Sequence[Sealed]) -> list[Head]:
    return [Head(id=rows[-1].link.id, hash=rows[-1].hash)]


def resealed(rows: Sequence[Sealed]) -> list[Sealed]:
    """What a careful liar leaves behind: numbers and hashes that fit again."""
    out: list[Sealed] = []
    for number, row in enumerate(rows, start=1):
        previous_hash = out[-1].hash if out else GENESIS
        link = replace(row.link, id=number, previous_hash=previous_hash)
        out.append(Sealed(link=link, hash=hash_of(link)))
    return out


def altered(rows: list[Sealed], at: int, what: str) -> list[Sealed]:
    other: dict[str, Any] = {
        "at": START,
        "detail": {"reason": "late", "count": 0},
        "role": "viewer",
        "trace_id": "",
    }
    link = replace(rows[at].link, **{what: other.get(what, "eve")})
    return [*rows[:at], replace(rows[at], link=link), *rows[at + 1 :]]


def deleted(rows: list[Sealed], at: int, what: str) -> list[Sealed]:
    return [*rows[:at], *rows[at + 1 :]]


def inserted(rows: list[Sealed], at: int, what: str) -> list[Sealed]:
    false = replace(rows[at], link=replace(rows[at].link, actor="eve"))
    return [*rows[:at], false, *rows[at:]]


def moved(rows: list[Sealed], at: int, what: str) -> list[Sealed]:
    other = (at + 1) % len(rows)
    rows = list(rows)
    rows[at], rows[other] = rows[other], rows[at]
    return rows


def truncated(rows: list[Sealed], at: int, what: str) -> list[Sealed]:
    return rows[:at]


TAMPERS = (altered, deleted, inserted, moved, truncated)
FIELDS = ("at", "actor", "role", "via", "action", "target", "detail", "trace_id")


@given(
    st.integers(2, 9),
    st.data(),
    st.sampled_from(TAMPERS),
    st.sampled_from(FIELDS),
    st.booleans(),
)
def test_every_tampering_is_found_even_when_all_hashes_are_made_anew(
    count: int, data: st.DataObject, tamper: Callable[..., list[Sealed]], what: str, careful: bool
) -> None:
    rows = chain_of(count)
    at = data.draw(st.integers(0, count - 1))

    broken = tamper(rows, at, what)
    broken = resealed(broken) if careful else broken

    assert not examine(broken, head_of(rows)).is_whole


@given(st.integers(1, 9), st.integers(1, 9))
def test_a_chain_that_grew_since_its_head_is_whole(count: int, more: int) -> None:
    rows = chain_of(count + more)

    examined = examine(rows, head_of(rows[:count]))

    assert examined.is_whole and examined.unanchored == more
    assert examined.last == head_of(rows)[0] and examined.rows == count + more


def test_rows_cut_off_stay_missed_after_new_ones_were_written() -> None:
    rows = chain_of(9)
    regrown = resealed([*rows[:4], *(replace(rows[4], link=each.link) for each in rows[:6])])

    assert not examine(regrown, head_of(rows)).is_whole


# Below, the real table and the real files.


@pytest.fixture
def trail(db: None, django_capture_on_commit_callbacks: Any) -> Iterator[list[AuditRow]]:
    """Five rows, their head told outside, as after five deeds."""
    head_file().unlink(missing_ok=True)
    with django_capture_on_commit_callbacks(execute=True):
        rows = [record(actor="ada", action="cancel run", target=f"run {n}") for n in range(1, 6)]
    yield rows
    head_file().unlink(missing_ok=True)


def verify_command(*words: str) -> tuple[int, dict[str, Any]]:
    out = StringIO()
    try:
        call_command("audit", "verify", "--json", *words, stdout=out)
    except SystemExit as ended:
        return int(str(ended.code)), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


def sql(statement: str) -> None:
    """What somebody with the database file can do: the triggers don't stop them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        triggers = cursor.fetchall()
        for name, _ in triggers:
            cursor.execute(f"DROP TRIGGER {name}")
        cursor.execute(statement)
        for _, definition in triggers:
            cursor.execute(definition)


def test_a_trail_that_nobody_touched_is_whole(trail: list[AuditRow]) -> None:
    code, said = verify_command()

    assert (code, said["whole"], said["rows"], said["unanchored"]) == (0, True, 5, 0)
    assert said["head"] == f"5:{trail[-1].hash}"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_auditrow SET actor = 'eve' WHERE id = 2",
        "UPDATE audit_auditrow SET detail = '{\"a\": 1}' WHERE id = 5",
        "UPDATE audit_auditrow SET at = '2026-01-01 00:00:00' WHERE id = 1",
        "DELETE FROM audit_auditrow WHERE id = 1",
        "DELETE FROM audit_auditrow WHERE id = 3",
        "DELETE FROM audit_auditrow WHERE id = 5",
        "DELETE FROM audit_auditrow",
        "INSERT INTO audit_auditrow SELECT 6, at, 'eve', role, via, action, target, detail, "
        "trace_id, 'x', hash FROM audit_auditrow WHERE id = 5",
        "UPDATE audit_auditrow SET id = 9 WHERE id = 2",
    ],
)
def test_the_command_finds_what_was_done_to_the_table(
    trail: list[AuditRow], statement: str
) -> None:
    columns = "id, at, actor, role, via, action, target, detail, trace_id, previous_hash, hash"
    sql(statement.replace("audit_auditrow SELECT", f"audit_auditrow ({columns}) SELECT"))

    code, said = verify_command()

    assert code == 1 and said["troubles"]


def test_a_removed_or_forged_head_file_is_a_finding(trail: list[AuditRow]) -> None:
    head_file().write_text(json.dumps({"id": 1, "hash": trail[0].hash, "signature": "0" * 64}))
    assert not verify().is_whole

    head_file().unlink()
    assert not verify().is_whole


def test_the_head_never_goes_back(trail: list[AuditRow]) -> None:
    anchor(Head(id=3, hash=trail[2].hash))

    assert read_head() == Head(id=5, hash=trail[4].hash)
    assert Path(head_file()).stat().st_mode & 0o077 == 0


def test_a_head_noted_elsewhere_tells_what_a_forged_file_hides(trail: list[AuditRow]) -> None:
    noted = f"5:{trail[4].hash}"
    sql("DELETE FROM audit_auditrow WHERE id = 5")
    head_file().unlink()
    anchor(Head(id=4, hash=trail[3].hash))

    assert verify_command()[0] == 0
    assert verify_command("--anchor", noted)[0] == 1
    with pytest.raises(CommandError, match="64 hex digits"):
        verify_command("--anchor", "5:x")


@pytest.mark.django_db
def test_the_database_refuses_to_change_or_remove_a_row() -> None:
    row = record(actor="ada", action="retry run", target="run 1")

    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        AuditRow.objects.filter(pk=row.pk).update(actor="eve")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        AuditRow.objects.filter(pk=row.pk).delete()

    assert AuditRow.objects.get().actor == "ada"


@pytest.mark.django_db
def test_a_row_is_there_though_the_effect_failed(client: Client) -> None:
    client.post("/runs/99/retry")

    assert AuditRow.objects.filter(action="retry run", target="run 99").exists()


@pytest.mark.django_db
def test_a_row_says_by_which_way_and_with_which_role(client: Client) -> None:
    ends = timezone.now() + timedelta(days=1)
    secret = make_api_token("ci", scopes=[Scope.RUNS_WRITE], expires_at=ends, made_by="ada")

    client.post("/runs/99/retry")
    Client().post(
        "/api/v1/profiles",
        '{"target": "node-1"}',
        content_type="application/json",
        headers={"Authorization": f"Bearer {secret}"},
    )
    call_command("login-link", "grace", stdout=StringIO())
    record(actor="policy", action="start run", target="run 1")

    said = AuditRow.objects.order_by("id").values_list("actor", "role", "via")
    assert list(said) == [
        ("ada", "admin", "ui"),
        ("token ci", "responder", "api"),
        ("terminal", "admin", "cli"),
        ("policy", "", "auto"),
    ]


@pytest.mark.django_db
def test_rows_are_found_by_parts_and_page_by_page() -> None:
    for number in range(5):
        record(actor="ada" if number % 2 else "bob", action="cancel run", target=f"run {number}")

    assert [row.target for row in found({"actor": "AD"}, before=None, limit=9)] == [
        "run 3",
        "run 1",
    ]
    assert [row.pk for row in found({}, before=3, limit=9)] == [2, 1]
    assert found({"via": "ui"}, before=None, limit=9) == []


@pytest.mark.django_db
def test_the_export_is_all_rows_with_what_their_hashes_cover() -> None:
    for number in range(3):
        record(actor="ada", action="test", target=f"row {number}", detail={"n": number})
    out = StringIO()

    call_command("audit", "export", "--after", "1", stdout=out)

    rows = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [row["target"] for row in rows] == ["row 1", "row 2"]
    for row in rows:
        at, said_hash = datetime.fromisoformat(row.pop("at")), row.pop("hash")
        assert hash_of(Link(**row, at=at)) == said_hash
