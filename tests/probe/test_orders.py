"""Keepers and drills against real processes: the commands people type, the switches drills use."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable
from threading import Event
from typing import Any

from bench import signed
from bench.client import send_once
from bench.cluster import ROOT, Cluster
from storage_core.client import NodeStatus
from storage_core.errors import NodeUnreachable
from storage_core.fault_leases import FSYNC_STALL, ISOLATE

CONTAINER = "orders"
WAIT_S_MAX = 20.0
STALL_MS = 400


def manage(cluster: Cluster, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=cluster.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def nodes_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)["nodes"]
    return found


def until(happened: Callable[[], object], what: str) -> None:
    give_up_s, pause = time.monotonic() + WAIT_S_MAX, Event()
    while not happened():
        assert time.monotonic() < give_up_s, f"not in {WAIT_S_MAX:g} s: {what}"
        pause.wait(0.05)


def status(cluster: Cluster, node: int) -> NodeStatus | None:
    try:
        return cluster.client.status(node, timeout_s=2)
    except NodeUnreachable:
        return None


def leads(cluster: Cluster, node: int) -> bool:
    found = status(cluster, node)
    return found is not None and found.role == "leader"


def put(cluster: Cluster, node: int, name: str) -> float:
    """How long one small write through `node` takes, in seconds."""
    began_s = time.monotonic()
    port = cluster.settings.own_port(node)
    assert send_once(port, signed.put_blob(CONTAINER, name, b"x")).status == 201
    return time.monotonic() - began_s


def test_the_lead_is_moved_and_kept_away_by_hand(cluster: Cluster) -> None:
    leader = cluster.wait_ready()
    to = (leader + 1) % 3

    moved = manage(cluster, "rescue", "transfer", str(to), "--json")

    assert moved.returncode == 0, moved.stderr
    assert nodes_of(moved)[f"node-{to}"]["role"] == "leader"
    drained = manage(cluster, "rescue", "drain", str(to), "--json")
    assert drained.returncode == 0, drained.stderr
    shown = nodes_of(drained)[f"node-{to}"]
    assert (shown["role"], shown["drained"]) == ("follower", True)
    assert manage(cluster, "rescue", "undrain", str(to)).returncode == 0
    listed = manage(cluster, "rescue")
    assert listed.returncode == 0
    assert "drained" not in listed.stdout
    wrong = manage(cluster, "rescue", "transfer", "7")
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "not done: NODE: must be a number from 0 to 2\n",
    )


def test_a_tenant_is_made_and_its_key_works(cluster: Cluster) -> None:
    cluster.wait_ready()

    made = manage(cluster, "blob", "accounts", "add", "tenant2", "--json")

    assert made.returncode == 0, made.stderr
    shown = json.loads(made.stdout)
    assert f"AccountKey={shown['key']};" in shown["connection_string"]
    assert len(b64decode(shown["key"])) == 64
    listed = manage(cluster, "blob", "accounts", "list").stdout
    assert [line.split()[0] for line in listed.splitlines()] == [
        "devstoreaccount1",
        "holdfastcanary",
        "tenant2",
    ]
    again = manage(cluster, "blob", "accounts", "add", "tenant2")
    assert (again.returncode, again.stdout) == (1, "")
    assert "AccountAlreadyExists" in again.stderr


def test_a_stalled_disk_is_felt_and_ends_with_its_lease(cluster: Cluster) -> None:
    leader = cluster.wait_ready()
    send_once(cluster.settings.own_port(leader), signed.create_container(CONTAINER))
    params = {"delay_ms": STALL_MS}

    cluster.client.set_fault(leader, FSYNC_STALL, params, ttl_ms=3_000, owner="probe")

    assert put(cluster, leader, "stalled") >= STALL_MS / 1000
    until(lambda: cluster.client.faults(leader) == (), "the lease ends")
    quick = min(put(cluster, leader, f"quick{number}") for number in range(5))
    assert quick < STALL_MS / 1000


def test_an_isolated_leader_is_replaced_and_follows_after_its_lease(cluster: Cluster) -> None:
    leader = cluster.wait_ready()
    others = [node for node in range(3) if node != leader]
    send_once(cluster.settings.own_port(leader), signed.create_container(CONTAINER))
    params = {"peers": others, "direction": "both"}

    cluster.client.set_fault(leader, ISOLATE, params, ttl_ms=5_000, owner="probe")

    until(lambda: any(leads(cluster, node) for node in others), "another one leads")
    (next_leader,) = [node for node in others if leads(cluster, node)]
    put(cluster, next_leader, "meanwhile")
    until(lambda: not leads(cluster, leader), "the isolated one gives up")
    until(lambda: cluster.client.faults(leader) == (), "the lease ends")
    assert cluster.wait_ready() != leader
    read = send_once(cluster.settings.own_port(leader), signed.get_blob(CONTAINER, "meanwhile"))
    assert (read.status, read.body) == (200, b"x")
