"""A node that is told to stop hands over what it does, and goes without an error."""

from __future__ import annotations

import signal

import pytest

from bench import signed
from bench.client import send_once
from bench.cluster import NODE_COUNT, Cluster
from tests.probe.writers import CONTAINER, Writer, lost_writes, wait_for_count

EXIT_S_MAX = 20


@pytest.mark.timeout(120)
def test_every_node_in_turn_stops_under_load_and_nobody_notices(cluster: Cluster) -> None:
    send_once(cluster.settings.own_port(0), signed.create_container(CONTAINER))
    writers = [Writer(cluster, number) for number in range(6)]
    for writer in writers:
        writer.start()
    codes = []
    for _ in range(NODE_COUNT):
        leader = cluster.wait_ready()
        wait_for_count(writers, 200)
        process = cluster.nodes[leader]
        assert process is not None
        process.send_signal(signal.SIGTERM)
        codes.append(process.wait(EXIT_S_MAX))
        wait_for_count(writers, 50)
        cluster.start(leader)
    cluster.wait_ready()
    for writer in writers:
        writer.stop()

    assert codes == [0, 0, 0]
    assert [writer.refused for writer in writers] == [[]] * 6
    assert lost_writes(cluster, writers) == []
