"""The audit table and the triggers that keep it append-only."""

from typing import ClassVar

from django.db import migrations, models

REFUSE = """
CREATE TRIGGER audit_no_{verb} BEFORE {verb} ON audit_auditrow
BEGIN SELECT RAISE(ABORT, 'audit rows are never changed or removed'); END
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar[list[tuple[str, str]]] = []

    operations: ClassVar[list[migrations.operations.base.Operation]] = [
        migrations.CreateModel(
            name="AuditRow",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("actor", models.CharField(max_length=150)),
                ("action", models.CharField(max_length=60)),
                ("target", models.CharField(max_length=200)),
                ("detail", models.JSONField(default=dict)),
            ],
            options={"ordering": ("-id",)},
        ),
        migrations.RunSQL(REFUSE.format(verb="update"), "DROP TRIGGER audit_no_update"),
        migrations.RunSQL(REFUSE.format(verb="delete"), "DROP TRIGGER audit_no_delete"),
    ]
