"""Real processes: a three-node store of its own for each module that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.cluster import Cluster
from tests.apt import may_mount

# `tests/apt.py` names what is left out by this.
collect_ignore = [] if may_mount() else ["test_page_stalled_disk.py"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running
