"""No two rows follow the same one, every row is sealed, and the triggers are back."""

from typing import ClassVar

from django.db import migrations, models

REFUSE = """
CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit_auditrow
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed or removed'); END
"""


class Migration(migrations.Migration):
    dependencies: ClassVar[list[tuple[str, str]]] = [("audit", "0003_seal_rows")]

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.AlterField(
            "auditrow", "previous_hash", models.CharField(max_length=64, unique=True)
        ),
        migrations.AlterField("auditrow", "hash", models.CharField(max_length=64)),
        migrations.RunSQL(REFUSE.format(verb="update"), "DROP TRIGGER audit_no_update"),
        migrations.RunSQL(REFUSE.format(verb="delete"), "DROP TRIGGER audit_no_delete"),
    ]
