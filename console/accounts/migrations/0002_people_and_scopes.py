"""Roles of people, scopes and expiry of tokens."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

ROLES = ("viewer", "responder", "lead", "admin")


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("accounts", "0001_links_and_tokens"),
    ]

    operations = [
        migrations.CreateModel(
            name="Person",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "role",
                    models.CharField(max_length=12, choices=[(word, word) for word in ROLES]),
                ),
                ("email", models.CharField(blank=True, default="", max_length=254)),
                ("slack_id", models.CharField(blank=True, default="", max_length=40)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="person",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("role__in", ROLES)), name="person_role_known"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="apitoken", name="scopes", field=models.JSONField(default=list)
        ),
        migrations.AddField(
            model_name="apitoken",
            name="made_by",
            field=models.CharField(blank=True, default="", max_length=150),
        ),
        migrations.AddField(
            model_name="apitoken", name="expires_at", field=models.DateTimeField(null=True)
        ),
    ]
