"""A real store, broker, watcher and dying worker, and what one killed run left behind.

Effects are counted where they were made: in the memory that each node keeps of the orders that it
carried out, in the terms that the nodes went through, in the store's own listing. The journal is
what is being proved, so it counts for nothing but how the run ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from django.test import override_settings

from bench import signed
from bench.client import send_once
from bench.cluster import NODE_COUNT, Cluster
from runbooks import actions, library, queries
from runbooks.errors import PlanChanged
from runbooks.models import Run
from runbooks.steps.spot_check import CONTAINER
from storage_core import memory
from storage_core.client import NodeStatus
from tests.kill_points.doors import PLAN, WHOLE
from tests.runbooks.house import House, eventually, lived_in

NAME = "leader-fsync-stall"
WHY = "a test of killed workers"
RUN_S_MAX = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run came to. Counts are of the store; `terms` are leaderships that began."""

    state: str
    reason: str
    deaths: int
    transfers: int
    terms: int
    drains: int
    is_drained: bool
    blobs_left: int

    @property
    def problems(self) -> list[str]:
        """What may never be, in words; empty if all is as it must be."""
        is_done = self.state == "done"
        wrong = {
            f"it ended {self.state}: {self.reason}": self.state not in ("done", "unknown"),
            f"{self.transfers} transfers": self.transfers > 1 or (is_done and not self.transfers),
            f"{self.terms} terms for one transfer": is_done and self.terms < 1,
            f"{self.drains} drains": self.drains > 1 or (is_done and not self.drains),
            "done, but not drained": is_done and not self.is_drained,
            f"{self.blobs_left} blobs left": is_done and self.blobs_left > 0,
        }
        return [told for told, is_so in wrong.items() if is_so]


class Stand:
    """One store and its house; the worker is started when it is first needed."""

    def __init__(self, cluster: Cluster, house: House) -> None:
        self.cluster = cluster
        self.house = house

    def leave_out(self, *steps: str) -> None:
        """Runs from now on do without these steps."""
        write_runbook(self.house.home, without=steps)

    def play(self, who: str, points: tuple[str, ...]) -> Outcome:
        """One run, whose worker dies at these points, one after the other."""
        leader = self._ready_leader()
        before = self._status(leader)
        plan = self.house.home / PLAN
        plan.write_text("".join(f"{who} {point}\n" for point in points))
        run = actions.start_runbook(NAME, {"node": f"node-{leader}"}, actor="ann")
        eventually(lambda: self._is_over(run, who), f"run {run.pk} ends", timeout_s=RUN_S_MAX)
        deaths = len(points) - len(plan.read_text().splitlines())
        return self._outcome(run, leader, before, deaths)

    def _ready_leader(self) -> int:
        for node in range(NODE_COUNT):
            self.cluster.client.drain(node, False)
        self._keep_worker()
        return self.cluster.wait_ready()

    def _keep_worker(self) -> None:
        """A new worker where the last one died as a whole. It may die of its first message, too."""
        worker = self.house.processes.get("worker")
        if worker is not None and worker.poll() is None:
            return
        new = self.house.python("worker", "-m", "tests.kill_points.dying_worker")
        eventually(
            lambda: new.poll() is not None or self.house.beat("worker").pid == new.pid,
            "the worker listens, or is dead again",
        )

    def _is_over(self, run: Run, who: str) -> bool:
        """Do what people and the supervisor do meanwhile; True when the run has ended."""
        if who == WHOLE:
            self._keep_worker()
        row = queries.run_detail(run.pk).run
        if row.state == "waiting":
            _approve(run.pk, row.plan_hash)
        return not row.is_active

    def _outcome(self, run: Run, leader: int, before: NodeStatus, deaths: int) -> Outcome:
        row = queries.run_detail(run.pk).run
        after = self._status(self.cluster.wait_ready())
        remembered = [
            operation
            for node in range(NODE_COUNT)
            for operation in memory.read(self._folder(node) / memory.FILE_NAME).rows
            if operation.run == run.pk and operation.was_done
        ]
        return Outcome(
            state=row.state,
            reason=row.reason,
            deaths=deaths,
            transfers=sum(1 for each in remembered if each.step == "transfer"),
            terms=after.term - before.term,
            drains=sum(1 for each in remembered if each.step == "drain"),
            is_drained=self._status(leader).drained,
            blobs_left=self._blobs_of(run),
        )

    def _status(self, node: int) -> NodeStatus:
        return self.cluster.client.status(node, timeout_s=5)

    def _folder(self, node: int) -> Path:
        return self.cluster.settings.data(node)

    def _blobs_of(self, run: Run) -> int:
        query = {"restype": "container", "comp": "list", "prefix": f"run-{run.pk}-"}
        port = self.cluster.settings.own_port(0)
        answer = send_once(port, signed.raw("GET", f"/devstoreaccount1/{CONTAINER}", query=query))
        return answer.body.count(b"<Blob>") if answer.status == 200 else 0


def _approve(run_id: int, plan_hash: str) -> None:
    """As a person who reads the plan again when it has changed."""
    for _ in range(5):
        try:
            actions.approve(run_id, actor="ann", plan_hash=plan_hash, reason=WHY, alone=True)
            return
        except PlanChanged as changed:
            plan_hash = changed.plan_hash
    raise AssertionError(f"the plan of run {run_id} never stands still")


def write_runbook(home: Path, *, without: tuple[str, ...]) -> None:
    """Ours, as the user's own file: the disk is well, so nothing is made of its share, and being
    well for 5 s is enough.
    """
    document: dict[str, Any] = yaml.safe_load((library.SHIPPED / f"{NAME}.yaml").read_text())
    document["steps"] = [step for step in document["steps"] if step["id"] not in without]
    for step in document["steps"]:
        if step["id"] == "confirm":
            step["expect"] = "share >= 0"
        if step["id"] == "recover":
            step["with"] = {"seconds": 5}
    (home / "runbooks").mkdir(exist_ok=True)
    (home / "runbooks" / f"{NAME}.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


@contextmanager
def stand(tables: Path, *, without: tuple[str, ...] = ()) -> Iterator[Stand]:
    """Everything up, with `tables` as the database; telemetry only if a step asks it."""
    with ExitStack() as open_ones:
        cluster = open_ones.enter_context(Cluster())
        house = House(cluster.home, beside=cluster.environment)
        open_ones.callback(house.close)
        house.take_tables(tables)
        write_runbook(house.home, without=without)
        house.start_valkey()
        if not {"confirm", "recover"} <= set(without):
            house.start_telemetry()
        house.start_watcher()
        open_ones.enter_context(lived_in(house))
        open_ones.enter_context(override_settings(HOLDFAST=house.settings, HOME=house.home))
        yield Stand(cluster, house)
