"""Drives one port with wrk and prepared requests, and reads what it measured."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SCRIPT = Path(__file__).with_name("replay.lua")


class Load(NamedTuple):
    """One run. Latencies in microseconds; `error_count` is statuses over 399 and broken calls."""

    requests_per_s: float
    p50_us: float
    p99_us: float
    request_count: int
    error_count: int


def run(port: int, requests: Sequence[bytes], *, connections: int, seconds: int) -> Load:
    """Replay `requests` in a circle. Raises RuntimeError if wrk says nothing."""
    with tempfile.NamedTemporaryFile(prefix="replay-", suffix=".bin") as file:
        for request in requests:
            file.write(b"%d\n%s\n" % (len(request), request))
        file.flush()
        done = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{connections}",
                f"-d{seconds}s",
                "--timeout",
                "10s",
                "-s",
                str(SCRIPT),
                f"http://127.0.0.1:{port}",
                "--",
                file.name,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    for line in done.stdout.splitlines():
        if line.startswith("RESULT "):
            count, duration_us, p50, p99, statuses, broken = line.split()[1:]
            rate = int(count) / (int(duration_us) / 1e6)
            return Load(rate, float(p50), float(p99), int(count), int(statuses) + int(broken))
    raise RuntimeError(f"wrk failed: {done.stdout[-500:]} {done.stderr[-500:]}")
