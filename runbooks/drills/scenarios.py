"""The table of drills: what each breaks, for how long, and which answer would be right.

`truth` is what a perfect diagnosis says. It is written into the drill's row and shown to no part
that diagnoses. A scenario whose fault is taken back by the store itself (a killed node starts
again) has no lease to renew; every other fault ends by itself in its target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Target(StrEnum):
    """Which node a scenario takes; it is looked up when the drill starts, never before."""

    LEADER = "leader"
    FOLLOWER = "follower"
    TENANT = "tenant"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One kind of drill. `hold_s` is how long the fault stands unless something else is asked,
    `calm_s` the traffic before it.

    `rto_target_ms` is for writes through the nodes that were not hit; where the store can't heal
    itself (`lasts`), it counts from the fault's end. `truth_kind` is a cause's
    name; its entity is the node or tenant that the drill took. `costs_a_node` says whether the
    quorum must do without the target meanwhile. `switch` is the fault's name in the node, "" where
    the supervisor or the drill's own process makes it.
    """

    name: str
    title: str
    what: str
    target: Target
    truth_kind: str
    hold_s: float
    calm_s: float = 4.0
    rto_target_ms: int = 3_000
    costs_a_node: bool = True
    lasts: bool = False
    switch: str = ""
    params: Mapping[str, object] = field(default_factory=dict)

    def target_ms(self, hold_s: float) -> int:
        """Writes are to be back this long after a fault that stood for `hold_s` began."""
        return self.rto_target_ms + (int(hold_s * 1000) if self.lasts else 0)


_ALL = (
    Scenario(
        name="failover-leader",
        title="Kill the leader",
        what="kill -9 of the node that leads; it starts again by itself.",
        target=Target.LEADER,
        truth_kind="node_down",
        hold_s=6.0,
    ),
    Scenario(
        name="pause-leader",
        title="Pause the leader",
        what="The node that leads stands still (SIGSTOP) and goes on later.",
        target=Target.LEADER,
        truth_kind="process_pause",
        hold_s=20.0,
        rto_target_ms=5_000,
    ),
    Scenario(
        name="isolate-leader",
        title="Cut the leader off",
        what="The node that leads hears no peer and no peer hears it; clients still reach it.",
        target=Target.LEADER,
        truth_kind="isolated",
        hold_s=20.0,
        rto_target_ms=5_000,
        switch="isolate",
        params={"direction": "both"},
    ),
    Scenario(
        name="isolate-leader-one-way",
        title="Cut the leader off, one way",
        what="The node that leads is heard by its peers and hears none of them.",
        target=Target.LEADER,
        truth_kind="isolated",
        hold_s=20.0,
        rto_target_ms=5_000,
        switch="isolate",
        params={"direction": "in"},
    ),
    Scenario(
        name="fsync-stall-leader",
        title="Stall the leader's disk",
        what="Every flush of the node that leads takes 300 ms longer.",
        target=Target.LEADER,
        truth_kind="fsync_stall",
        hold_s=20.0,
        rto_target_ms=5_000,
        costs_a_node=False,
        lasts=True,
        switch="fsync-stall",
        params={"delay_ms": 300},
    ),
    Scenario(
        name="slow-follower",
        title="Slow one follower",
        what="Every flush of one follower takes 300 ms longer; nobody should notice.",
        target=Target.FOLLOWER,
        truth_kind="fsync_stall",
        hold_s=10.0,
        rto_target_ms=1_000,
        switch="fsync-stall",
        params={"delay_ms": 300},
    ),
    Scenario(
        name="cpu-hog",
        title="Hog the leader's processor",
        what="Four threads of the node that leads burn processor time on nothing.",
        target=Target.LEADER,
        truth_kind="cpu_hog",
        hold_s=20.0,
        rto_target_ms=5_000,
        costs_a_node=False,
        lasts=True,
        switch="cpu-hog",
        params={"share": 4.0},
    ),
    Scenario(
        name="loop-block",
        title="Block the leader's loop",
        what="The event loop of the node that leads stands still for 200 ms, twice a second.",
        target=Target.LEADER,
        truth_kind="loop_block",
        hold_s=20.0,
        rto_target_ms=5_000,
        costs_a_node=False,
        lasts=True,
        switch="loop-block",
        params={"block_ms": 200, "every_ms": 500},
    ),
    Scenario(
        name="noisy-tenant",
        title="Let one tenant flood",
        what="A second account writes as fast as it can, through the front door.",
        target=Target.TENANT,
        truth_kind="noisy_tenant",
        hold_s=20.0,
        rto_target_ms=5_000,
        costs_a_node=False,
        lasts=True,
    ),
    Scenario(
        name="bad-config",
        title="Change a setting for the worse",
        what="Requests to one follower may wait 1 ms for the store and then fail.",
        target=Target.FOLLOWER,
        truth_kind="bad_config",
        hold_s=20.0,
        rto_target_ms=5_000,
        costs_a_node=False,
        lasts=True,
        params={"request_wait_ms": 1},
    ),
)

SCENARIOS: Mapping[str, Scenario] = {scenario.name: scenario for scenario in _ALL}
