"""Seals the rows that were written before there was a chain, in their order.

The spelling is frozen here: it is what rows of this age were sealed with.
"""

import hashlib
import json
from datetime import UTC
from typing import ClassVar

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

GENESIS = "0" * 64


def seal(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    rows = apps.get_model("audit", "AuditRow").objects
    previous_hash = GENESIS
    number = 0
    # Numbers may have gaps from before; renumbering upwards-only keeps each new one free.
    for old_id in list(rows.order_by("id").values_list("id", flat=True)):
        number += 1
        row = rows.get(pk=old_id)
        said = {
            "id": number,
            "at": row.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "actor": row.actor,
            "role": "",
            "via": "",
            "action": row.action,
            "target": row.target,
            "detail": row.detail,
            "trace_id": "",
            "previous_hash": previous_hash,
        }
        text = json.dumps(said, sort_keys=True, separators=(",", ":"))
        sealed = hashlib.sha256(text.encode()).hexdigest()
        rows.filter(pk=old_id).update(id=number, previous_hash=previous_hash, hash=sealed)
        previous_hash = sealed


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0002_chain_columns")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.RunPython(seal, migrations.RunPython.noop)
    ]
