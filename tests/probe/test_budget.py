"""What one operation costs, counted on real processes: bench/budget.toml says what it may.

Flushes and system calls are counts, so a busy machine changes nothing about them. CPU time is
taken from /proc as the least of a few short rounds, since neighbours only ever add to it; how much
of the machine they took is taken as well, because beside many of them it is a measure of them.
"""

from __future__ import annotations

import os
import resource
import threading
import tomllib
from typing import NamedTuple

import pytest

from bench import signed, wrk
from bench.client import RawClient, send_once
from bench.cluster import NODE_COUNT, ROOT, Cluster
from tests.probe.tracing import FLUSHES, CallLog, wall_s

CONTAINER = "budget"
COUNT = 300
BODY = bytes(range(256)) * 16
IDLE_S = 2.0
ROUNDS = 6

Budget = dict[str, dict[str, float]]


class Stretch(NamedTuple):
    """A stretch of wall time."""

    began_s: float
    ended_s: float

    @property
    def length_s(self) -> float:
        return self.ended_s - self.began_s


class Round(NamedTuple):
    """CPU microseconds an operation on the leader; what others took of the machine, up to 1."""

    cpu_us: float
    others_share: float


@pytest.fixture(scope="module")
def budget() -> Budget:
    with (ROOT / "bench" / "budget.toml").open("rb") as file:
        return tomllib.load(file)


@pytest.fixture(scope="module")
def logs(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> list[CallLog]:
    """All nodes under strace: node 0, which is made leader, with every call."""
    folder = tmp_path_factory.mktemp("calls")
    only = [frozenset[str](), FLUSHES, FLUSHES]
    found = [CallLog(folder / f"node-{n}.log", only[n]) for n in range(NODE_COUNT)]
    for node, log in enumerate(found):
        cluster.kill(node)
        cluster.start(node, log.wrapper)
    if cluster.wait_ready() != 0:
        cluster.client.transfer(0)
        while cluster.leader() != 0:
            threading.Event().wait(0.05)
        cluster.wait_ready()
    send_once(cluster.settings.own_port(0), signed.create_container(CONTAINER))
    return found


@pytest.fixture(scope="module")
def stretches(cluster: Cluster, logs: list[CallLog]) -> dict[str, Stretch]:
    """One connection's writes, its reads, and a while without either."""
    found = {}
    with RawClient(cluster.settings.own_port(0)) as client:
        client.send(signed.put_blob(CONTAINER, "first", BODY))
        names = [f"b{number}" for number in range(COUNT)]
        for what, requests, status in (
            ("put", [signed.put_blob(CONTAINER, name, BODY) for name in names], 201),
            ("get", [signed.get_blob(CONTAINER, name) for name in names], 200),
        ):
            began_s = wall_s()
            for request in requests:
                assert client.send(request).status == status
            found[what] = Stretch(began_s, wall_s())
    began_s = wall_s()
    threading.Event().wait(IDLE_S)
    found["idle"] = Stretch(began_s, wall_s())
    for node in range(NODE_COUNT):
        cluster.kill(node)  # the tracer writes what it still holds
    for node in range(NODE_COUNT):
        cluster.start(node)
    cluster.wait_ready()
    return found


@pytest.mark.timeout(120)
def test_a_write_alone_is_one_flush_on_each_node(
    logs: list[CallLog], stretches: dict[str, Stretch], budget: Budget
) -> None:
    flushes = budget["flushes"]
    stretch = stretches["put"]
    beside = flushes["beside_count"] + flushes["beside_per_s"] * stretch.length_s

    for node, log in enumerate(logs):
        calls = log.between(*stretch)
        count = sum(calls[name] for name in FLUSHES)
        assert count >= COUNT, f"node {node} acknowledged what was not flushed"
        assert count - beside <= COUNT * flushes["per_put_per_node"], (node, calls)


@pytest.mark.timeout(120)
def test_a_request_costs_its_leader_few_system_calls(
    logs: list[CallLog], stretches: dict[str, Stretch], budget: Budget
) -> None:
    idle_calls = logs[0].between(*stretches["idle"])
    idle_per_s = idle_calls.total() / stretches["idle"].length_s

    for what in ("put", "get"):
        calls = logs[0].between(*stretches[what])
        each = (calls.total() - idle_per_s * stretches[what].length_s) / COUNT
        assert each <= budget["syscalls_on_leader"][f"per_{what}"], (
            what,
            each,
            calls.most_common(12),
        )


@pytest.mark.timeout(120)
def test_a_request_costs_its_leader_little_cpu_time(cluster: Cluster, budget: Budget) -> None:
    leader = cluster.wait_ready()
    port = cluster.settings.own_port(leader)
    send_once(port, signed.create_container(CONTAINER))
    puts = [signed.put_blob(CONTAINER, f"c{number}", BODY) for number in range(2000)]
    gets = [signed.get_blob(CONTAINER, f"c{number}") for number in range(1, 500)]

    limits = budget["cpu_us_on_leader"]
    for what, requests in (("put", puts), ("get", gets)):
        rounds = [_round(cluster, leader, requests) for _ in range(ROUNDS)]
        quiet = [each for each in rounds if each.others_share <= limits["crowded_share"]]
        factor = 1.0 if quiet else limits["crowded_factor"]
        least_us = min(each.cpu_us for each in quiet or rounds)
        assert least_us <= limits[f"per_{what}"] * factor, (what, rounds)


def _round(cluster: Cluster, node: int, requests: list[bytes]) -> Round:
    machine_s, ours_s, node_s = _machine_cpu_s(), _ours_cpu_s(cluster), cluster.cpu_seconds(node)
    began_s = wall_s()
    load = wrk.run(cluster.settings.own_port(node), requests, connections=16, seconds=1)
    assert load.error_count == 0
    node_s = cluster.cpu_seconds(node) - node_s
    others_s = _machine_cpu_s() - machine_s - (_ours_cpu_s(cluster) - ours_s)
    capacity_s = (wall_s() - began_s) * (os.cpu_count() or 1)
    return Round(node_s * 1e6 / load.request_count, others_s / capacity_s)


def _machine_cpu_s() -> float:
    """What all processes used so far, and what the host kept for itself."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _ours_cpu_s(cluster: Cluster) -> float:
    """The nodes, the clients that have ended, and this process."""
    used_s = sum(cluster.cpu_seconds(node) for node in range(NODE_COUNT))
    for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF):
        usage = resource.getrusage(who)
        used_s += usage.ru_utime + usage.ru_stime
    return used_s
