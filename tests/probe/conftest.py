"""Real processes: a three-node store of its own for each module that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.cluster import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running
