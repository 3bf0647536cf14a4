"""A store that lies is caught: each planted bug ends in `violated` and the operations that show it.

The nodes are real processes with one part exchanged; who asks, the history, the checker and the
verdict are those of every drill.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from bench.cluster import NODE_COUNT, ROOT, Cluster
from runbooks.drills import prober, result, wire
from runbooks.drills.history import Operation
from runbooks.drills.prober import Client, Recorder
from runbooks.drills.result import READ_BACK

pytestmark = pytest.mark.probe

CONTAINER = "planted"
Fault = tuple[str, dict[str, object]]
CALM_COUNT, FAULT_MS, AFTER_COUNT = 60, 2_000, 120
WAIT_S_MAX = 30.0
ISOLATED: Fault = ("isolate", {"direction": "both"})
SLOW: Fault = ("fsync-stall", {"delay_ms": 300})


class PlantedCluster(Cluster):
    """Nodes that have the bug."""

    def __init__(self, bug: str) -> None:
        super().__init__()
        self._bug = bug

    def command(self, node: int) -> Sequence[str]:
        return (*super().command(node)[:1], "-m", "tests.drills.planted", self._bug, str(node))


async def until(condition: Callable[[], bool], what: str) -> None:
    """Look now and then, off the loop, which has clients to serve."""
    give_up_s = time.monotonic() + WAIT_S_MAX
    pause = threading.Event()
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < give_up_s, what
        await asyncio.to_thread(pause.wait, 0.05)


async def ask_and_break(
    cluster: Cluster, node: int, fault: Fault | None
) -> tuple[Sequence[Operation], int]:
    """The history of some seconds with a fault in the middle, and when the fault began (us)."""
    recorder = Recorder(io.StringIO(), started_s=time.monotonic())
    ports = {f"node-{n}": cluster.settings.own_port(n) for n in range(NODE_COUNT)}
    stopped = asyncio.Event()

    def client(number: int, path: str, port: int) -> Client:
        return Client(number, path, port, container=CONTAINER, recorder=recorder, seed=1)

    connection = wire.Connection(ports["node-0"])
    made = await connection.ask(wire.container("PUT", CONTAINER), timeout_s=5)
    connection.close()
    assert made.status == 201
    doors = [(path, port) for path, port in ports.items() for _ in range(2)]
    tasks = [
        asyncio.create_task(client(number, *door).run(stopped)) for number, door in enumerate(doors)
    ]
    await until(lambda: len(recorder.operations) > CALM_COUNT, "a calm time")
    fault_us = recorder.now_us()
    if fault is not None:
        kind, params = fault
        if kind == "isolate":
            params = params | {"peers": [n for n in range(NODE_COUNT) if n != node]}
        await asyncio.to_thread(
            cluster.client.set_fault, node, kind, params, ttl_ms=FAULT_MS, owner="test"
        )
        await until(lambda: not cluster.client.faults(node, 2.0), "the fault ends")
    count = len(recorder.operations)
    await until(lambda: len(recorder.operations) > count + AFTER_COUNT, "some time after")
    stopped.set()
    await asyncio.gather(*tasks)
    await asyncio.to_thread(cluster.wait_ready)
    readers = [client(100 + n, READ_BACK, ports[f"node-{n}"]) for n in range(NODE_COUNT)]
    keys = sorted({op.key for op in recorder.operations if op.is_change})
    await prober.read_back(readers, keys, everywhere=False)
    for reader in readers:
        reader.close()
    return recorder.operations, fault_us


def judged(cluster: Cluster, *, leader: bool, fault: Fault | None) -> None:
    led = cluster.leader()
    assert led is not None
    node = led if leader else (led + 1) % NODE_COUNT
    operations, fault_us = asyncio.run(ask_and_break(cluster, node, fault))
    nodes = [f"node-{n}" for n in range(NODE_COUNT)]

    found = result.findings(operations, [], fault_us=fault_us, nodes=nodes)
    verdict, reason = result.verdict_of(found, target=f"node-{node}", target_ms=3_000)

    assert verdict == "violated", (verdict, reason)
    shown = found.consistency.counterexample
    assert 2 <= len(shown) <= 6, [(op.kind, op.key, op.value, op.version) for op in shown]
    assert len({op.key for op in shown}) == 1
    assert found.consistency.culprit in [op.index for op in shown]
    assert reason


def test_a_write_that_only_the_leader_had_is_missed() -> None:
    with PlantedCluster("acknowledges-early") as cluster:
        judged(cluster, leader=True, fault=ISOLATED)


def test_a_read_from_the_past_is_noticed() -> None:
    with PlantedCluster("reads-the-past") as cluster:
        judged(cluster, leader=False, fault=SLOW)


def test_a_version_that_names_two_writes_is_noticed() -> None:
    with PlantedCluster("loses-and-reuses") as cluster:
        judged(cluster, leader=True, fault=None)


def test_the_bugs_are_no_part_of_the_product() -> None:
    product = [
        path
        for folder in ("storage_core", "runbooks", "console", "telemetry")
        for path in Path(ROOT, folder).rglob("*.py")
        if "tests.drills" in path.read_text(encoding="utf-8")
    ]

    assert product == []
