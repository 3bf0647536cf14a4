"""Nothing acknowledged is lost, whichever node is killed, and whoever was leading."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from bench import signed
from bench.client import send_once
from bench.cluster import NODE_COUNT, Cluster
from tests.probe.writers import CONTAINER, Writer, lost_writes, wait_for_count

KILLS = 8


@pytest.fixture
def writers(cluster: Cluster) -> Iterator[list[Writer]]:
    send_once(cluster.settings.own_port(0), signed.create_container(CONTAINER))
    found = [Writer(cluster, number) for number in range(4)]
    for writer in found:
        writer.start()
    yield found
    for writer in found:
        writer.stop()


def _stop(writers: list[Writer]) -> None:
    for writer in writers:
        writer.stop()


@pytest.mark.timeout(180)
def test_killing_nodes_under_load_loses_no_acknowledged_write(
    cluster: Cluster, writers: list[Writer]
) -> None:
    chance = random.Random(20)
    for round_number in range(KILLS):
        wait_for_count(writers, 50)
        leader = cluster.leader()
        victim = chance.randrange(NODE_COUNT) if round_number % 2 or leader is None else leader
        cluster.kill(victim)
        wait_for_count(writers, 50)
        cluster.start(victim)
        cluster.wait_ready()
    _stop(writers)

    assert lost_writes(cluster, writers) == []
    assert [writer.stale for writer in writers] == [[], [], [], []]


@pytest.mark.timeout(180)
def test_killing_all_nodes_at_once_loses_no_acknowledged_write(
    cluster: Cluster, writers: list[Writer]
) -> None:
    for _ in range(3):
        wait_for_count(writers, 100)
        for node in range(NODE_COUNT):
            cluster.kill(node)
        for node in range(NODE_COUNT):
            cluster.start(node)
        cluster.wait_ready()
    _stop(writers)

    assert lost_writes(cluster, writers) == []
    assert [writer.stale for writer in writers] == [[], [], [], []]
