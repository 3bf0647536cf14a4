"""Clients that write without a pause and remember what was acknowledged."""

from __future__ import annotations

import hashlib
import threading
import time

from bench import signed
from bench.client import RawClient
from bench.cluster import NODE_COUNT, Cluster

CONTAINER = "probe"


def content(name: str, version: int) -> bytes:
    """What version `version` of a blob holds: told from any other at a glance."""
    return f"{name}:{version}:".encode() + hashlib.sha256(f"{name}{version}".encode()).digest() * 40


class Writer(threading.Thread):
    """Overwrites its own few blobs in turn, moving on to another node when one fails it."""

    def __init__(self, cluster: Cluster, number: int) -> None:
        super().__init__(name=f"writer-{number}")
        self.acknowledged: dict[str, int] = {}
        self.attempted: dict[str, int] = {}
        self.stale: list[str] = []
        self.refused: list[int] = []
        self.acknowledged_count = 0
        self._cluster = cluster
        self._number = number
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(timeout=60)
        assert not self.is_alive(), "a writer hangs"

    def run(self) -> None:
        node = self._number % NODE_COUNT
        version = 0
        while not self._stopping.is_set():
            try:
                client = RawClient(self._cluster.settings.own_port(node), timeout_s=8)
            except OSError:
                node = (node + 1) % NODE_COUNT
                self._stopping.wait(0.01)
                continue
            try:
                while not self._stopping.is_set():
                    version += 1
                    self._write_and_read(client, version)
            except OSError:
                node = (node + 1) % NODE_COUNT
            finally:
                client.close()

    def _write_and_read(self, client: RawClient, version: int) -> None:
        name = f"w{self._number}-{version % 7}"
        self.attempted[name] = version
        answer = client.send(signed.put_blob(CONTAINER, name, content(name, version)))
        if answer.status != 201:
            self.refused.append(answer.status)
            return
        self.acknowledged[name] = version
        self.acknowledged_count += 1
        if version % 5 == 0:
            read = client.send(signed.get_blob(CONTAINER, name))
            if read.status == 200 and read.body != content(name, version):
                self.stale.append(name)


def lost_writes(cluster: Cluster, writers: list[Writer]) -> list[str]:
    """Acknowledged versions that a read from each node no longer finds."""
    lost = []
    for node in range(NODE_COUNT):
        client = RawClient(cluster.settings.own_port(node))
        for writer in writers:
            for name, version in writer.acknowledged.items():
                allowed = {content(name, version), content(name, writer.attempted[name])}
                answer = client.send(signed.get_blob(CONTAINER, name))
                if answer.body not in allowed:
                    lost.append(f"node {node}: {name} version {version}: {answer.status}")
        client.close()
    return lost


def wait_for_count(writers: list[Writer], count: int, seconds: float = 30) -> None:
    """Until the writers together have `count` more acknowledged writes."""
    goal = sum(writer.acknowledged_count for writer in writers) + count
    give_up_s = time.monotonic() + seconds
    pause = threading.Event()
    while sum(writer.acknowledged_count for writer in writers) < goal:
        assert time.monotonic() < give_up_s, "writes do not go on"
        pause.wait(0.02)
