"""`make bench`: the speed of a three-node store on this machine, as one table.

Client and all replicas share the cores, and neighbours may be noisy: every row is the median of
several short runs, alternatives run side by side, and nothing here fails on wall time. What must
hold in CI is counted instead, in tests/probe/test_budget.py.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence

from bench import failover, signed, wrk
from bench.client import send_once
from bench.cluster import Cluster

SMALL_BYTES = 4096
LARGE_BYTES = 4 * 1024 * 1024
CONTAINER = "bench"
NAME_COUNT = 20_000


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=4, help="length of one run")
    parser.add_argument("--runs", type=int, default=3, help="runs per row; the median counts")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args(argv)
    table = Table(options.seconds, options.runs, options.only)
    with Cluster() as cluster:
        leader = cluster.wait_ready()
        own, shared = cluster.settings.own_port(leader), cluster.settings.blob_port
        send_once(own, signed.create_container(CONTAINER))
        puts = small_puts()
        table.head()
        for connections in (1, 16, 64):
            table.row(f"PUT 4 KiB, leader, c={connections}", own, puts, connections)
        # wrk asks its script once before it begins, so the first name is never sent.
        gets = [signed.get_blob(CONTAINER, f"small-{n}") for n in range(1, 2001)]
        for connections in (1, 16, 64):
            table.row(f"GET 4 KiB hot, leader, c={connections}", own, gets, connections)
        for connections in (1, 64):
            table.row(f"PUT 4 KiB, shared port, c={connections}", shared, puts, connections)
            table.row(f"GET 4 KiB, shared port, c={connections}", shared, gets, connections)
        large = [signed.put_blob(CONTAINER, f"large-{n}", bytes(LARGE_BYTES)) for n in range(24)]
        table.row("PUT 4 MiB, leader, c=4", own, large, 4, LARGE_BYTES)
        reads = [signed.get_blob(CONTAINER, f"large-{n}") for n in range(24)]
        table.row("GET 4 MiB, leader, c=4", own, reads, 4, LARGE_BYTES)
        if options.only in "failover":
            gaps = [failover.measure(cluster) for _ in range(options.runs)]
            print(
                f"leader killed under load: longest gap between acknowledged writes, "
                f"median {statistics.median(gaps):.0f} ms, worst {max(gaps):.0f} ms"
            )
    if options.only in "tracing":
        compare_tracing(options.seconds, options.runs)
    return 0


def small_puts() -> list[bytes]:
    """Distinct names, one body."""
    body = bytes(range(256)) * (SMALL_BYTES // 256)
    return [signed.put_blob(CONTAINER, f"small-{n}", body) for n in range(NAME_COUNT)]


class Table:
    """Rows of medians."""

    def __init__(self, seconds: int, runs: int, only: str) -> None:
        self._seconds = seconds
        self._runs = runs
        self._only = only

    def head(self) -> None:
        print(f"{'row':<32}{'per s':>10}{'p50':>12}{'p99':>12}{'MB/s':>9}{'errors':>8}")

    def row(
        self,
        name: str,
        port: int,
        requests: Sequence[bytes],
        connections: int,
        body_bytes: int = 0,
    ) -> None:
        """Run and print one row."""
        if self._only not in name:
            return
        loads = [
            wrk.run(port, requests, connections=connections, seconds=self._seconds)
            for _ in range(self._runs)
        ]
        rate = statistics.median(load.requests_per_s for load in loads)
        p50 = statistics.median(load.p50_us for load in loads)
        p99 = statistics.median(load.p99_us for load in loads)
        errors = sum(load.error_count for load in loads)
        volume = f"{rate * body_bytes / 1e6:.0f}" if body_bytes else ""
        print(
            f"{name:<32}{rate:>10.0f}{p50 / 1000:>9.3f} ms{p99 / 1000:>9.3f} ms"
            f"{volume:>9}{errors:>8}",
            flush=True,
        )


def compare_tracing(seconds: int, runs: int) -> None:
    """The same load on two stores, in turns: traces kept as by default, and none."""
    off = {
        "HOLDFAST_TRACE_RANDOM_RATIO": "0",
        "HOLDFAST_SLOW_WRITE_MS": "600000",
        "HOLDFAST_SLOW_READ_MS": "600000",
    }
    puts = small_puts()
    with Cluster() as with_traces, Cluster(extra=off) as without:
        rates: list[list[float]] = [[], []]
        ports = []
        for cluster in (with_traces, without):
            port = cluster.settings.own_port(cluster.wait_ready())
            send_once(port, signed.create_container(CONTAINER))
            ports.append(port)
        for _ in range(runs):
            for side, port in enumerate(ports):
                load = wrk.run(port, puts, connections=64, seconds=seconds)
                rates[side].append(load.requests_per_s)
        on_rate, off_rate = (statistics.median(side) for side in rates)
        print(
            f"tracing on {on_rate:.0f}/s, off {off_rate:.0f}/s: "
            f"{(1 - on_rate / off_rate) * 100:.1f} % of throughput"
        )


if __name__ == "__main__":
    began_s = time.monotonic()
    code = main(sys.argv[1:])
    print(f"took {time.monotonic() - began_s:.0f} s")
    sys.exit(code)
