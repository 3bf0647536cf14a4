from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from console.audit.actions import record
from console.audit.models import AuditRow

pytestmark = pytest.mark.django_db


def test_the_database_refuses_to_change_or_remove_a_row() -> None:
    row = record(actor="ada", action="retry run", target="run 1")

    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        AuditRow.objects.filter(pk=row.pk).update(actor="eve")
    with pytest.raises(DatabaseError, match="never changed"), transaction.atomic():
        AuditRow.objects.filter(pk=row.pk).delete()

    assert AuditRow.objects.get().actor == "ada"


def test_a_row_is_there_though_the_effect_failed(client: Client) -> None:
    client.post("/runs/99/retry")

    assert AuditRow.objects.filter(action="retry run", target="run 99").exists()
