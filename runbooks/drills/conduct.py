"""One process, one clock, one drill: calm, fault, heal, read back, check, result.

It touches no database and no broker, so that a drill can break either and still tell the truth. The
worker starts it (`kind`) and everything it knows goes to the drill's folder at once. Whatever
happens, the fault is taken back: here at the end, in the target when its lease ends, and by the
watcher if this process dies. It can be told to stop by a file in its folder or by SIGTERM.

Read next: `traffic` for who asks, `injector` for faults, `result` for the figures.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from typing import TextIO

from runbooks.drills import healing, limits, mark, result
from runbooks.drills.folder import DrillFolder, EventWriter
from runbooks.drills.injector import CannotInject, Injector, injector_of
from runbooks.drills.mark import DrillMark
from runbooks.drills.sampling import Sampler
from runbooks.drills.scenarios import SCENARIOS, Scenario, Target
from runbooks.drills.traffic import CannotPrepare, Traffic
from storage_core.client import FleetClient, NodeStatus
from telemetry.config import Settings

LOOK_S = 0.1
AFTER_HEAL_S = 2.0
"""Traffic goes on this long over a whole fleet, so that a recovery is seen to last."""

SDK_WAIT_S = 26.0
"""From the fault: the vendor's client first waits 15 to 18 s before it tries again."""


class Stopped(Exception):
    """The drill ends early; the text is the reason that people are told."""


@dataclass(slots=True)
class Times:
    """Of the fault: Unix ms for tables, and seconds on the drill's clock for measuring."""

    fault_ms: int | None = None
    fault_s: float | None = None
    healed_ms: int | None = None


def now_ms() -> int:
    """Unix time."""
    return time.time_ns() // 1_000_000


class Conductor:
    """The phases of one drill, in order; `_wait` is where it can be told to stop."""

    def __init__(
        self, settings: Settings, folder: DrillFolder, run_id: int, history: TextIO
    ) -> None:
        plan = folder.plan()
        assert plan is not None, "a drill is made with its plan"
        self._settings = settings
        self._folder = folder
        self._run_id = run_id
        self._history = history
        self._scenario: Scenario = SCENARIOS[str(plan["scenario"])]
        self._seed = int(str(plan["seed"]))
        self._hold_s = float(str(plan["hold_s"]))
        self._started_s = time.monotonic()
        self._started_ms = now_ms()
        self._times = Times()
        self._target = ""
        self._entity = ""
        self._signalled = False
        self.journal = EventWriter(folder.events, started_s=self._started_s)

    def stop_soon(self) -> None:
        """Asked to end by a signal."""
        self._signalled = True

    async def run(self) -> dict[str, object]:
        """The whole drill; the result whatever happens short of this process's death."""
        self.journal.note(
            "started", scenario=self._scenario.name, seed=self._seed, hold_s=self._hold_s
        )
        marking = asyncio.create_task(self._keep_mark())
        traffic = Traffic(
            self._settings,
            container=f"drill-{self._run_id}-{self._started_ms}",
            seed=self._seed,
            history=self._history,
            started_s=self._started_s,
        )
        try:
            return await self._drill(traffic)
        except (Stopped, CannotInject, CannotPrepare) as error:
            return await self._aborted(str(error))
        finally:
            await traffic.stop()
            await traffic.stop_sdk(until_s=time.monotonic() + 0.5)
            await traffic.clean_up()
            marking.cancel()
            mark.clear(self._settings.run, self._run_id)
            self.journal.note("ended")
            self.journal.close()

    async def _drill(self, traffic: Traffic) -> dict[str, object]:
        node = await asyncio.to_thread(self._choose)
        await traffic.prepare()
        client = FleetClient(self._settings)
        sampler = Sampler(client, self.journal, self._settings.nodes)
        sampled = asyncio.Event()
        sampling = asyncio.create_task(sampler.run(sampled))
        try:
            await traffic.start()
            self.journal.note("calm", seconds=self._scenario.calm_s)
            await self._wait(self._scenario.calm_s, sampler)
            await self._break(
                injector_of(self._scenario, self._settings, node, hold_s=self._hold_s),
                traffic,
                sampler,
            )
            await self._wait_whole(sampler)
            await self._wait(AFTER_HEAL_S, sampler)
        finally:
            sampled.set()
            await sampling
        await traffic.stop()
        assert self._times.fault_s is not None, "the fault was made"
        await traffic.stop_sdk(until_s=self._times.fault_s + SDK_WAIT_S)
        self.journal.note("read-back")
        await traffic.read_back()
        return await self._conclude(traffic)

    def _choose(self) -> int:
        """The node that this scenario takes, as the fleet is now."""
        statuses = FleetClient(self._settings).statuses()
        up = [status for status in statuses.values() if isinstance(status, NodeStatus)]
        leaders = [status for status in up if status.role == "leader"]
        if not leaders:
            raise Stopped("no node leads")
        leader = max(leaders, key=lambda status: status.term)
        node = leader.node
        if self._scenario.target is Target.FOLLOWER:
            others = sorted(status.node for status in up if status.node != leader.node)
            node = random.Random(self._seed).choice(others)
        self._target = f"node-{node}"
        is_tenant = self._scenario.target is Target.TENANT
        self._entity = f"tenant:{limits.NOISY_TENANT}" if is_tenant else self._target
        self.journal.note("target", node=node, leader=leader.node, term=leader.term)
        return node

    async def _break(self, injector: Injector, traffic: Traffic, sampler: Sampler) -> None:
        """Make the fault, hold it, take it back. It is taken back however this ends."""
        self._times.fault_s, self._times.fault_ms = time.monotonic(), now_ms()
        try:
            await asyncio.to_thread(injector.begin)
            self.journal.note(
                "fault",
                target=self._target,
                entity=self._entity,
                kind=self._scenario.truth_kind,
                t_fault_ms=self._drill_ms(self._times.fault_s),
                lease_ms=limits.FAULT_LEASE_MS,
            )
            await self._hold(injector, traffic, sampler)
        finally:
            traffic.recorder.slower = 1.0
            self.journal.note("healing")
            await asyncio.to_thread(injector.end)

    async def _hold(self, injector: Injector, traffic: Traffic, sampler: Sampler) -> None:
        """Until the time is over or a cure has removed the fault. One that only leads around it is
        proved for a while with the fault where it is.
        """
        assert self._times.fault_s is not None, "the fault was made"
        until_s = self._times.fault_s + self._hold_s
        is_cured = False
        while (left_s := until_s - time.monotonic()) > 0:
            await self._wait(min(limits.FAULT_RENEW_S, left_s), sampler)
            if time.monotonic() >= until_s:
                return
            if time.monotonic() - self._times.fault_s > limits.BUSY_S_MAX:
                traffic.recorder.slower = limits.SLOWER_FACTOR
            cure = await asyncio.to_thread(injector.cure)
            if cure.text and not is_cured:
                is_cured = True
                self.journal.note("cured", how=cure.text, is_gone=cure.is_gone)
                until_s = min(until_s, time.monotonic() + limits.CURED_HOLD_S)
            if cure.is_gone:
                return
            await asyncio.to_thread(injector.renew)

    async def _wait_whole(self, sampler: Sampler) -> None:
        """Until every node serves and has caught up."""
        give_up_s = time.monotonic() + limits.HEAL_S_MAX
        problem = await asyncio.to_thread(healing.problem_of, self._settings)
        while problem:
            if time.monotonic() > give_up_s:
                raise Stopped(f"the fleet is not whole {limits.HEAL_S_MAX:g} s after: {problem}")
            await self._wait(LOOK_S, sampler)
            problem = await asyncio.to_thread(healing.problem_of, self._settings)
        self._times.healed_ms = now_ms()
        self.journal.note("healed")

    async def _conclude(self, traffic: Traffic) -> dict[str, object]:
        self.journal.note("checking", operations=len(traffic.recorder.operations))
        assert self._times.fault_s is not None, "the fault was made"
        fault_us = int((self._times.fault_s - self._started_s) * 1_000_000)
        nodes = [f"node-{node}" for node in range(self._settings.nodes)]
        began_s = time.monotonic()
        found = await asyncio.to_thread(
            result.findings,
            traffic.recorder.operations,
            traffic.sdk_operations(),
            fault_us=fault_us,
            nodes=nodes,
        )
        target_ms = self._scenario.target_ms(self._hold_s)
        verdict, reason = result.verdict_of(found, target=self._target, target_ms=target_ms)
        numbers = result.numbers_of(
            found,
            target=self._target,
            target_ms=target_ms,
            check_s=time.monotonic() - began_s,
        )
        self.journal.note("verdict", verdict=verdict, reason=reason)
        return self._result(verdict, reason) | {"numbers": numbers | self._frame()}

    async def _aborted(self, reason: str) -> dict[str, object]:
        problem = ""
        if self._times.fault_ms is not None:
            problem = await asyncio.to_thread(healing.heal, self._settings)
        told = f"{reason}; the fault is gone" if self._times.fault_ms is not None else reason
        told = f"{reason}; NOT WHOLE: {problem}" if problem else told
        if self._times.fault_ms is not None and not problem:
            self._times.healed_ms = self._times.healed_ms or now_ms()
        self.journal.note("verdict", verdict="aborted", reason=told)
        return self._result("aborted", told) | {"numbers": self._frame()}

    def _result(self, verdict: str, reason: str) -> dict[str, object]:
        is_broken = self._times.fault_ms is not None
        return {
            "verdict": verdict,
            "reason": reason,
            "faulted_ms": self._times.fault_ms,
            "healed_ms": self._times.healed_ms,
            "finished_ms": now_ms(),
            "truth": [self._entity, self._scenario.truth_kind] if is_broken else None,
        }

    def _frame(self) -> dict[str, object]:
        """Where things stand on the drill's own clock."""
        fault_s = self._times.fault_s
        return {
            "node": self._target,
            "started_ms": self._started_ms,
            "fault_t_ms": None if fault_s is None else self._drill_ms(fault_s),
            "took_s": round(time.monotonic() - self._started_s, 1),
        }

    def _drill_ms(self, at_s: float) -> float:
        return round((at_s - self._started_s) * 1000, 1)

    async def _wait(self, seconds: float, sampler: Sampler) -> None:
        """Let time pass, unless something says stop. Raises Stopped."""
        until_s = time.monotonic() + seconds
        while True:
            self._check_stop(sampler)
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                return
            await asyncio.sleep(min(LOOK_S, left_s))

    def _check_stop(self, sampler: Sampler) -> None:
        asked = self._folder.stop_asked()
        if asked is not None:
            raise Stopped(str(asked.get("reason", "")))
        if self._signalled:
            raise Stopped("the conducting process was told to end")
        if sampler.quorum_gone:
            raise Stopped("quorum margin: no quorum of nodes answers")
        took_s = time.monotonic() - self._started_s
        if took_s > self._hold_s + limits.REST_S_MAX - limits.CHECK_S_MAX:
            raise Stopped("the drill took too long")

    async def _keep_mark(self) -> None:
        while True:
            mark.write(
                self._settings.run,
                DrillMark(
                    run_id=self._run_id,
                    scenario=self._scenario.name,
                    since_ms=self._started_ms,
                    until_ms=now_ms() + limits.MARK_TTL_MS,
                ),
            )
            await asyncio.sleep(1.0)


async def conduct(conductor: Conductor) -> dict[str, object]:
    """Run it, listening to signals."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, conductor.stop_soon)
    return await conductor.run()


def conduct_once(settings: Settings, run_id: int) -> bool:
    """Conduct this drill unless somebody does or did; False then."""
    folder = DrillFolder(settings.home, run_id)
    with open(folder.path / "lock", "w", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if folder.has_begun() or folder.plan() is None:
            return False
        # A line is on its way to the disk before the operation that it tells of.
        with open(folder.history, "w", encoding="utf-8", buffering=1) as history:
            conductor = Conductor(settings, folder, run_id, history)
            folder.conclude(asyncio.run(conduct(conductor)))
    return True


def main(argv: list[str]) -> int:
    """`python -m runbooks.drills.conduct RUN`, started by the worker."""
    os.umask(0o077)
    return 0 if conduct_once(Settings.from_environment(), int(argv[0])) else 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
