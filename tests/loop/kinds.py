"""What the loop breaks: eight kinds of fault, the drill that makes each, and what may answer it."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """`drills` are taken in turn. `runbook` may start by itself for `cause`; "" where there is
    none. `hold_s` is how long the fault stands unless it is cured; None: as the drill likes.
    """

    name: str
    drills: tuple[str, ...]
    cause: str
    runbook: str = ""
    hold_s: float | None = 110.0


KINDS = (
    Kind("leader-kill", ("failover-leader",), "node_down", hold_s=None),
    Kind("process-pause", ("pause-leader",), "process_pause", "hung-node"),
    Kind("fsync-stall", ("fsync-stall-leader",), "fsync_stall", "leader-fsync-stall"),
    Kind(
        "isolate-node",
        ("isolate-leader", "isolate-leader-one-way"),
        "isolated",
        "isolated-node",
    ),
    Kind("cpu-hog", ("cpu-hog",), "cpu_hog", "cpu-hog"),
    Kind("loop-block", ("loop-block",), "loop_block", "loop-block"),
    Kind("noisy-tenant", ("noisy-tenant",), "noisy_tenant", "noisy-tenant"),
    Kind("bad-config", ("bad-config",), "bad_config", "revert-config"),
)
