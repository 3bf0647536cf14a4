"""The door to `rounds`, which needs Django's registry of applications."""

import os
import sys
from importlib import import_module

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.exit(import_module("tests.kill_points.rounds").main(sys.argv[1:]))
