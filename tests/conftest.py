"""What all tests share: the way that properties are tried, and a home that is nobody's."""

import os

from hypothesis import settings

from tests.settings import HOME_OF_TESTS

# Two busy cores make any single example slow at times, so time is no verdict. In CI the examples
# are the same on each run: a red build must mean that the change did it.
settings.register_profile("here", deadline=None, print_blob=True)
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "here")

assert os.environ["HOLDFAST_HOME"] == HOME_OF_TESTS, "tests must not meet a running fleet's home"
