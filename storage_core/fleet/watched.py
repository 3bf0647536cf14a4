"""What the supervisor keeps about one part over all its incarnations."""

from __future__ import annotations

import asyncio
import time

from storage_core.fleet.beats import Beat
from storage_core.fleet.front_door import NodeView
from storage_core.fleet.parts import Part
from storage_core.fleet.process import PartProcess
from storage_core.fleet.registry import DEAD, RESTARTING, RUNNING, STOPPED, Record
from storage_core.fleet.restarts import FORGIVEN_AFTER_S

LEADER = "leader"


class WatchedPart:
    """`was_ready` is set once and stays: a restart of one part doesn't restart those after it."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.process: PartProcess | None = None
        self.beat: Beat | None = None
        self.beat_s = 0.0
        self.was_ready = asyncio.Event()
        self.is_ready = False
        self.wanted = asyncio.Event()
        self.wanted.set()
        self.hurry = asyncio.Event()
        """Somebody asked for it now: don't wait out the delay."""
        self.was_asked = False
        """The coming end was asked for, so it counts as no crash."""
        self.ends = 0
        self.restarts = 0
        self.since_ms = 0
        self.last_words = ""
        """The end of its log as people were last shown it."""
        self.pause_timer: asyncio.TimerHandle | None = None

    @property
    def name(self) -> str:
        """The part's name."""
        return self.part.name

    @property
    def state(self) -> str:
        """One of the registry's four words."""
        if self.process is not None and not self.process.ended.is_set():
            return STOPPED if self.process.is_stopped else RUNNING
        return RESTARTING if self.wanted.is_set() else DEAD

    def begin(self, process: PartProcess) -> None:
        """A new incarnation runs."""
        if self.since_ms:
            self.restarts += 1
        self.process = process
        self.beat = None
        self.is_ready = False
        self.was_asked = False
        self.since_ms = time.time_ns() // 1_000_000

    def resume(self, process: PartProcess, record: Record | None) -> None:
        """An incarnation that an earlier supervisor started runs on."""
        self.begin(process)
        if record is not None:
            self.since_ms, self.restarts = record.since_ms, record.restarts

    def end(self) -> PartProcess:
        """The incarnation has ended; counts it unless it was asked for."""
        process = self.process
        assert process is not None and process.ended.is_set(), self.name
        self.process = None
        self.beat = None
        self.is_ready = False
        self.since_ms = time.time_ns() // 1_000_000
        if self.was_asked:
            self.ends = 0
        elif time.monotonic() - process.started_s >= FORGIVEN_AFTER_S:
            self.ends = 1
        else:
            self.ends += 1
        return process

    def hear(self, beat: Beat, now_s: float) -> bool:
        """Take a beat in; True if it says something new. A stranger's beat doesn't count."""
        if self.process is None or beat.pid != self.process.identity.pid:
            return False
        is_news = self.beat != beat
        self.beat = beat
        self.beat_s = now_s
        return is_news

    def view(self, *, now_s: float, heard_from_s: float, missing_s: float) -> NodeView:
        """What the front door needs to know. Silence while we ourselves slept isn't silence."""
        process, beat = self.process, self.beat
        is_alive = process is not None and not process.ended.is_set() and not process.is_stopped
        is_fresh = now_s - max(self.beat_s, heard_from_s) <= missing_s
        return NodeView(
            is_alive=is_alive,
            is_beating=beat is not None and is_fresh,
            is_serving=beat is not None and beat.ready and is_fresh,
            is_leader=beat is not None and beat.role == LEADER,
        )

    def record(self) -> Record:
        """The registry's line."""
        is_running = self.process is not None and not self.process.ended.is_set()
        return Record(
            name=self.name,
            identity=self.process.identity if self.process is not None and is_running else None,
            state=self.state,
            ready=self.is_ready and is_running,
            since_ms=self.since_ms,
            restarts=self.restarts,
        )
