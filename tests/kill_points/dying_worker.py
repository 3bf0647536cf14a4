"""`manage.py worker`, which kills itself where it is told to (see `doors`)."""

import os
from importlib import import_module

import django
from django.core.management import call_command

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    django.setup()
    import_module("tests.kill_points.doors").wrap_all()
    call_command("worker")
