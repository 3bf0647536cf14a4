"""The supervisor: keeps every part of the table running until it is told to stop.

One task per part tells that part's whole life: wait for those before it, start, wait until ready,
wait for its end, wait a moment, again. Around them stand the watchers: beats, SIGCHLD, a tick of
50 ms, the control socket. Whatever they see ends in two things only: the registry is written, and
the front door is brought in line. The supervisor holds no state that its successor can't find
again, so it may die at any moment and harms no child.

Read next: `front_door` for the rule, `survivors` for taking over, `restarts` for the delays.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from storage_core.config import BEAT_MISSING_MS, Settings
from storage_core.fleet.beats import BeatSocket
from storage_core.fleet.front_door import FrontDoor
from storage_core.fleet.parts import ROOT, Part
from storage_core.fleet.probes import PartFacts, Succeeds
from storage_core.fleet.process import PartProcess, last_lines, start_process, trim_log
from storage_core.fleet.registry import (
    ASKED_VARIABLE,
    HOME_VARIABLE,
    PART_VARIABLE,
    Record,
    write_registry,
)
from storage_core.fleet.restarts import describe_end, describe_restart, restart_delay_s
from storage_core.fleet.watched import WatchedPart

TICK_S: Final = 0.05
OVERSLEPT_S: Final = 0.2
"""A tick that comes later than this tells of our own delay, not of the nodes' silence."""

PROBE_EVERY_S: Final = 0.1
SLOW_AFTER_S: Final = 5.0
SLOW_AGAIN_S: Final = 10.0
LOG_LOOK_EVERY_S: Final = 60.0
START_AGAIN_S: Final = 5.0
"""No program, no memory or no disk for the log: none of them is back in less."""

STOP_GRACE_S: Final = 5.0
"""Four waves of this stay below the half minute after which a person takes to kill -9."""

FRONT_VARIABLE: Final = "HOLDFAST_FRONT_FD"

Say = Callable[[str], None]


class Supervisor:
    """Lives in one event loop; nothing here blocks it for longer than a look at /proc."""

    def __init__(self, settings: Settings, parts: Iterable[Part], say: Say) -> None:
        self.settings = settings
        self.say = say
        self.parts: dict[str, WatchedPart] = {part.name: WatchedPart(part) for part in parts}
        self.door = FrontDoor(settings.blob_port)
        self.is_stopping = False
        self._beats = BeatSocket(settings.run / "beat.sock")
        self._heard_from_s = time.monotonic()
        self._lives: list[asyncio.Task[None]] = []
        self._rush = asyncio.Event()
        self._environment = {
            name: value for name, value in os.environ.items() if name != FRONT_VARIABLE
        }

    def start(self) -> None:
        """Begin to watch, and begin every part's life."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._beats.fileno(), self._on_beats)
        loop.add_signal_handler(signal.SIGCHLD, self._on_child_signal)
        for watched in self.parts.values():
            if watched.process is not None:
                watched.process.watch(self.on_change)
        self._lives = [loop.create_task(self._live(part)) for part in self.parts.values()]
        self._lives.append(loop.create_task(self._tick()))
        self.on_change()

    async def wait_ready(self) -> None:
        """Return when every part was ready once."""
        for watched in self.parts.values():
            await watched.was_ready.wait()

    def records(self) -> Mapping[str, Record]:
        """The registry: every part that is a process, not a command."""
        return {name: p.record() for name, p in self.parts.items() if not p.part.once}

    def on_change(self) -> None:
        """Something about a process changed: first the door, then the book."""
        self._keep_door()
        try:
            write_registry(self.settings.run / "registry.json", self.records())
        except OSError as error:
            # A full disk must not stop the watch; a successor finds the parts by their names.
            self.say(f"  the registry can't be written: {error}")

    def failure(self) -> BaseException | None:
        """What broke one of our own tasks, if anything did."""
        for life in self._lives:
            if life.done() and not life.cancelled() and life.exception() is not None:
                return life.exception()
        return None

    # -- one part's life --------------------------------------------------------------------

    async def _live(self, watched: WatchedPart) -> None:
        for name in watched.part.after:
            if name in self.parts:
                await self.parts[name].was_ready.wait()
        was_asked = False
        while True:
            await watched.wanted.wait()
            if watched.process is None:
                await self._start_part(watched, was_asked=was_asked)
            await self._until_ready_or_ended(watched)
            assert watched.process is not None, watched.name
            await watched.process.ended.wait()
            was_asked = watched.was_asked
            process = watched.end()
            if watched.part.once and process.exit_code == 0:
                self._note_ready(watched, process)
                return
            self.on_change()
            if not was_asked:
                await self._wait_before_restart(watched, process)

    async def _start_part(self, watched: WatchedPart, *, was_asked: bool) -> None:
        """`was_asked`: its last process ended because somebody wanted it, by SIGKILL or not."""
        part = watched.part
        environment = {
            **self._environment,
            **part.environment,
            HOME_VARIABLE: str(self.settings.home),
            PART_VARIABLE: part.name,
            "PYTHONUNBUFFERED": "1",
        }
        descriptors = []
        if part.node is not None:
            descriptors.append(self.door.descriptor(part.node))
            environment[FRONT_VARIABLE] = str(descriptors[0])
        if was_asked:
            environment[ASKED_VARIABLE] = "1"
        while watched.process is None:
            try:
                process = start_process(
                    part.command,
                    folder=ROOT,
                    environment=environment,
                    log=self.log(part.name),
                    descriptors=descriptors,
                )
            except OSError as error:
                self.say(f"  {part.name:<10} can't be started: {error}; trying again")
                await asyncio.sleep(START_AGAIN_S)
            else:
                watched.begin(process)
                process.watch(self.on_change)
        self.on_change()

    async def _until_ready_or_ended(self, watched: WatchedPart) -> None:
        process, part = watched.process, watched.part
        assert process is not None, watched.name
        next_word_s = time.monotonic() + SLOW_AFTER_S
        while not process.ended.is_set():
            said_ready = watched.beat is not None and watched.beat.ready
            facts = PartFacts(pid=process.identity.pid, said_ready=said_ready)
            if await part.probe.is_ready(facts) and not process.ended.is_set():
                self._note_ready(watched, process)
                return
            if time.monotonic() >= next_word_s:
                waited_s = time.monotonic() - process.started_s
                self.say(
                    f"  {part.name:<10} {waited_s:5.0f} s, waiting for {part.probe.waits_for}"
                    f" (log: {self.log(part.name)})"
                )
                next_word_s += SLOW_AGAIN_S
            await asyncio.sleep(PROBE_EVERY_S)

    def _note_ready(self, watched: WatchedPart, process: PartProcess) -> None:
        seconds = time.monotonic() - process.started_s
        word = "done " if isinstance(watched.part.probe, Succeeds) else "ready"
        whence = "" if process.is_ours else "  (was running)"
        self.say(f"  {watched.name:<10} {word} {seconds:5.1f} s{whence}")
        watched.is_ready = True
        watched.was_ready.set()
        self.on_change()

    async def _wait_before_restart(self, watched: WatchedPart, process: PartProcess) -> None:
        part = watched.part
        delay_s = restart_delay_s(
            ends=watched.ends, exit_code=process.exit_code, at_once=part.restart_at_once
        )
        plan = describe_restart(ends=watched.ends, delay_s=delay_s)
        self.say(f"  {part.name:<10} {describe_end(process.exit_code)}; {plan}")
        last_words = last_lines(self.log(part.name), 3)
        if (process.exit_code or 0) > 0 and last_words != watched.last_words:
            self.say(last_words)
            watched.last_words = last_words
        watched.hurry.clear()
        try:
            async with asyncio.timeout(delay_s):
                await watched.hurry.wait()
        except TimeoutError:
            return

    def log(self, name: str) -> Path:
        """Where a part's output goes."""
        return self.settings.logs / f"{name}.log"

    # -- watching ---------------------------------------------------------------------------

    def _on_beats(self) -> None:
        now_s = time.monotonic()
        is_news = False
        for beat in self._beats.receive():
            watched = self.parts.get(beat.name)
            if watched is not None and watched.hear(beat, now_s):
                is_news = True
        if is_news:
            self._keep_door()

    def _on_child_signal(self) -> None:
        # Told of stops, continuations and ends alike; ends are seen through the pidfd.
        if self._look_at_processes():
            self.on_change()

    def _look_at_processes(self) -> bool:
        looks = [p.process.look() for p in self.parts.values() if p.process is not None]
        return any(looks)

    async def _tick(self) -> None:
        last_s = last_logs_s = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = time.monotonic()
            if now_s - last_s > OVERSLEPT_S:
                self._heard_from_s = now_s
            last_s = now_s
            # Adopted processes aren't our children, so no signal tells of their stops.
            if self._look_at_processes():
                self.on_change()
            self._keep_door()
            if now_s - last_logs_s >= LOG_LOOK_EVERY_S:
                last_logs_s = now_s
                self._trim_logs()

    def _trim_logs(self) -> None:
        for name in self.parts:
            try:
                trim_log(self.log(name))
            except OSError as error:
                self.say(f"  {name:<10} its log can't be set aside: {error}")

    def _keep_door(self) -> None:
        if self.is_stopping:
            return
        now_s = time.monotonic()
        self.door.apply(
            {
                watched.part.node: watched.view(
                    now_s=now_s,
                    heard_from_s=self._heard_from_s,
                    missing_s=BEAT_MISSING_MS / 1000,
                )
                for watched in self.parts.values()
                if watched.part.node is not None
            },
            now_s=now_s,
        )

    # -- what people ask for ----------------------------------------------------------------

    async def stop_part(self, watched: WatchedPart) -> None:
        """End it and leave it ended."""
        watched.wanted.clear()
        watched.was_asked = True
        if watched.process is not None:
            await watched.process.stop(STOP_GRACE_S)
        self.on_change()

    def start_part(self, watched: WatchedPart) -> None:
        """Start it if it isn't running, without waiting out a delay."""
        watched.wanted.set()
        watched.hurry.set()

    async def restart_part(self, watched: WatchedPart) -> None:
        """End it and start it again."""
        watched.was_asked = True
        if watched.process is not None:
            await watched.process.stop(STOP_GRACE_S)
        self.start_part(watched)

    # -- the end ----------------------------------------------------------------------------

    def rush(self) -> None:
        """Asked to stop a second time: no more grace."""
        self._rush.set()

    async def stop(self) -> None:
        """Stop every part, those that make work first, those that keep data last."""
        self.is_stopping = True
        for life in self._lives:
            life.cancel()
        await asyncio.gather(*self._lives, return_exceptions=True)
        for wave in sorted({watched.part.stop_wave for watched in self.parts.values()}):
            running = [
                watched
                for watched in self.parts.values()
                if watched.part.stop_wave == wave and watched.process is not None
            ]
            await asyncio.gather(*(self._stop_for_good(watched) for watched in running))
        write_registry(self.settings.run / "registry.json", {})
        self.door.close()
        asyncio.get_running_loop().remove_reader(self._beats.fileno())
        self._beats.close()

    async def _stop_for_good(self, watched: WatchedPart) -> None:
        process = watched.process
        assert process is not None, watched.name
        grace = asyncio.ensure_future(process.stop(STOP_GRACE_S))
        rush = asyncio.ensure_future(self._rush.wait())
        await asyncio.wait({grace, rush}, return_when=asyncio.FIRST_COMPLETED)
        rush.cancel()
        if not grace.done():
            process.signal(signal.SIGKILL)
        if not await grace:
            self.say(f"  {watched.name:<10} did not end in time and was killed")
