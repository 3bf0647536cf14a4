"""The door to `measure`, which needs Django's registry of applications."""

import os
import sys
from importlib import import_module

import django

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    django.setup()
    sys.exit(import_module("tests.engine_speed.measure").main())
