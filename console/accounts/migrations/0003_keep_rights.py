"""Whoever could do something before roles and scopes still can: nobody is locked out.

All people could do what responders can, and the first of them ran the console. All tokens could
read and start profiles.
"""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

OLD_TOKEN_SCOPES = ["read", "runs:write"]


def grant(apps: Apps, editor: BaseDatabaseSchemaEditor) -> None:
    user_model = apps.get_model("auth", "User")
    person_model = apps.get_model("accounts", "Person")
    for position, user in enumerate(user_model.objects.order_by("pk")):
        role = "responder" if position else "admin"
        person_model.objects.get_or_create(user_id=user.pk, defaults={"role": role})
    apps.get_model("accounts", "ApiToken").objects.filter(scopes=[]).update(scopes=OLD_TOKEN_SCOPES)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_people_and_scopes"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [migrations.RunPython(grant, migrations.RunPython.noop)]
