"""One trace shows all three disks: a write is asked to be traced, at a follower's own port."""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench import signed
from bench.client import send_once
from bench.cluster import ROOT, Cluster
from telemetry.client import Document, QueryClient, TelemetryUnavailable

WAIT_S_MAX = 25.0
PEER_STAGES = ("peer_receive", "peer_check", "peer_append", "peer_flush")


@contextmanager
def running_telemetry(cluster: Cluster) -> Iterator[QueryClient]:
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "telemetry"],
        cwd=ROOT,
        env=cluster.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield QueryClient(cluster.settings)
    finally:
        process.terminate()
        process.wait(20)


def trace_of(query: QueryClient, trace_id: str) -> Document:
    """As soon as it's stored."""
    give_up_s = time.monotonic() + WAIT_S_MAX
    pause = threading.Event()
    while time.monotonic() < give_up_s:
        try:
            found = query.trace(trace_id)
        except TelemetryUnavailable:
            found = None
        if found is not None:
            return found
        pause.wait(0.1)
    raise AssertionError("the trace was not stored")


@pytest.mark.timeout(90)
def test_a_traced_write_through_a_follower_shows_every_stage_of_every_node(
    cluster: Cluster,
) -> None:
    leader = cluster.wait_ready()
    door = (leader + 1) % 3
    port = cluster.settings.own_port(door)
    with running_telemetry(cluster) as query:
        assert send_once(port, signed.create_container("traced")).status == 201
        trace_id, parent_id = secrets.token_hex(16), secrets.token_hex(8)
        headers = {
            "x-ms-blob-type": "BlockBlob",
            "traceparent": f"00-{trace_id}-{parent_id}-01",
        }
        path = f"/{signed.ACCOUNT}/traced/blob"
        put = signed.raw("PUT", path, body=b"x" * 100_000, headers=headers)
        assert send_once(port, put).status == 201
        trace = trace_of(query, trace_id)

    spans = trace["spans"]
    seen = Counter((span["node"], span["name"]) for span in spans)
    roots = [span for span in spans if span["parent_span_id"] == parent_id]
    assert [root["node"] for root in roots] == [f"node-{door}"]
    stages = {
        *((f"node-{door}", name) for name in ("authorize", "body", "checksum", "forward")),
        *((f"node-{leader}", name) for name in ("append", "flush", "quorum")),
        *((f"node-{peer}", name) for peer in range(3) if peer != leader for name in PEER_STAGES),
    }
    assert {f"{node} {name}" for node, name in stages - seen.keys()} == set(), seen
    ids = {span["span_id"] for span in spans}
    assert all(span["parent_span_id"] in ids | {parent_id} for span in spans)
