"""Columns of the chain, empty. The triggers step aside until the rows are sealed (0004)."""

from typing import ClassVar

from django.db import migrations, models

REFUSE = """
CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit_auditrow
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed or removed'); END
"""


def text(length: int) -> "models.CharField[str, str]":
    return models.CharField(max_length=length, blank=True, default="")


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0001_initial")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.RunSQL("DROP TRIGGER audit_no_update", REFUSE.format(verb="update")),
        migrations.RunSQL("DROP TRIGGER audit_no_delete", REFUSE.format(verb="delete")),
        migrations.AlterField("auditrow", "at", models.DateTimeField(db_index=True)),
        migrations.AddField("auditrow", "role", text(12)),
        migrations.AddField("auditrow", "via", text(8)),
        migrations.AddField("auditrow", "trace_id", text(32)),
        migrations.AddField("auditrow", "previous_hash", text(64)),
        migrations.AddField("auditrow", "hash", text(64)),
    ]
