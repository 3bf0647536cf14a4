"""A follower that stands still costs its leader a bounded amount of memory, and comes back."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from bench import signed
from bench.client import RawClient, send_once
from bench.cluster import NODE_COUNT, Cluster

CONTAINER = "stopped"
BODY = os.urandom(4 * 1024 * 1024)
STOPPED_S = 10.0
CATCH_UP_S_MAX = 25.0
GROWTH_BYTES_MAX = 200 * 1024 * 1024
# Enough to overrun every queue many times, little enough for a small disk.
UPLOADS_MAX = 150


class Uploader(threading.Thread):
    """Puts large blobs until told to stop."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__()
        self.count = 0
        self.statuses: set[int] = set()
        self._requests = [
            signed.put_blob(CONTAINER, f"b{number}-{version}", BODY) for version in range(2)
        ]
        self._port = port
        self._stopping = threading.Event()

    def run(self) -> None:
        with RawClient(self._port, timeout_s=40) as client:
            while not self._stopping.is_set() and self.count < UPLOADS_MAX // 3:
                answer = client.send(self._requests[self.count % 2])
                self.statuses.add(answer.status)
                self.count += 1

    def stop(self) -> None:
        self._stopping.set()
        self.join(60)


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def wait_caught_up(cluster: Cluster, leader: int, follower: int) -> None:
    give_up_s = time.monotonic() + CATCH_UP_S_MAX
    pause = threading.Event()
    while time.monotonic() < give_up_s:
        status = cluster.client.status(leader, timeout_s=2)
        if status.peers[follower].lag_entries == 0:
            return
        pause.wait(0.05)
    raise AssertionError(f"the follower did not catch up: {cluster.statuses()}")


@pytest.mark.timeout(120)
def test_a_stopped_follower_costs_little_memory_and_catches_up(cluster: Cluster) -> None:
    leader = cluster.wait_ready()
    follower = (leader + 1) % NODE_COUNT
    port = cluster.settings.own_port(leader)
    send_once(port, signed.create_container(CONTAINER))
    for number in range(12):  # caches and memtables fill before we measure
        assert send_once(port, signed.put_blob(CONTAINER, f"w{number}", BODY)).status == 201
    stopped, leading = cluster.nodes[follower], cluster.nodes[leader]
    assert stopped is not None and leading is not None
    before = highest = resident_bytes(leading.pid)
    uploaders = [Uploader(port, number) for number in range(3)]
    pause = threading.Event()

    os.kill(stopped.pid, signal.SIGSTOP)
    try:
        for uploader in uploaders:
            uploader.start()
        give_up_s = time.monotonic() + STOPPED_S
        while time.monotonic() < give_up_s:
            highest = max(highest, resident_bytes(leading.pid))
            pause.wait(0.05)
    finally:
        os.kill(stopped.pid, signal.SIGCONT)
    highest = max(highest, resident_bytes(leading.pid))
    for uploader in uploaders:
        uploader.stop()
    wait_caught_up(cluster, leader, follower)
    highest = max(highest, resident_bytes(leading.pid))

    written = sum(uploader.count for uploader in uploaders) * len(BODY)
    assert written > 20 * len(BODY)
    assert {status for uploader in uploaders for status in uploader.statuses} == {201}
    assert highest - before < GROWTH_BYTES_MAX
    with RawClient(cluster.settings.own_port(follower), timeout_s=30) as client:
        assert client.send(signed.get_blob(CONTAINER, "b0-0")).body == BODY
