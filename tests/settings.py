"""The console's own settings, over a home that is thrown away.

pytest-django imports settings before any conftest, so this module is the first place where tests
can be kept off the home, and the running fleet, of whoever runs them.
"""

import atexit
import os
import shutil
import tempfile

HOME_OF_TESTS = tempfile.mkdtemp(prefix="holdfast-")
os.environ["HOLDFAST_HOME"] = HOME_OF_TESTS
atexit.register(shutil.rmtree, HOME_OF_TESTS, ignore_errors=True)

from console.settings import *  # noqa: E402, F403
