"""One look at everything, shared by every page and every stream of this process.

Looking costs each part one request, so it must not grow with the number of open pages: all callers
share the newest picture and only one thread at a time takes another. All parts are asked at once,
each with its own deadline, so a picture takes as long as the slowest deadline and no longer; a
part that fails makes its own reading silent and touches no other.
"""

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from console.live.facts import ProcessFacts, Traffic
from console.live.reading import Reading, Sight, answered, silent
from storage_core.client import NodeStatus

LOOKERS_MAX = 14  # Threads: nodes (at most 9) and five other parts.


class SourceSilent(Exception):
    """A part gave no usable answer before its deadline; the text says why, for people."""


class Sources(Protocol):
    """Everything the console looks at. Each call has a deadline and raises SourceSilent."""

    node_count: int

    def node(self, node: int) -> NodeStatus: ...

    def traffic(self) -> Traffic: ...

    def processes(self) -> tuple[ProcessFacts, ...]: ...

    def queue_lengths(self) -> Mapping[str, int]: ...

    def heartbeat(self, process: str) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    sequence: int
    taken_ms: int
    nodes: tuple[Reading[NodeStatus], ...]
    telemetry: Reading[Traffic]
    supervisor: Reading[tuple[ProcessFacts, ...]]
    broker: Reading[Mapping[str, int]]
    worker: Reading[str]
    watcher: Reading[str]

    @property
    def parts(self) -> tuple[Reading[Any], ...]:
        return (
            self.telemetry,
            *self.nodes,
            self.worker,
            self.watcher,
            self.broker,
            self.supervisor,
        )

    @property
    def silent_parts(self) -> tuple[Reading[Any], ...]:
        """Every part that did not answer this time, blind ones first."""
        quiet = [part for part in self.parts if part.sight is not Sight.OK]
        return tuple(sorted(quiet, key=lambda part: part.sight is not Sight.BLIND))


class Observatory:
    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(LOOKERS_MAX, thread_name_prefix="look")
        self._picture: Picture | None = None

    def picture(self, *, max_age_ms: int) -> Picture:
        """A picture at most `max_age_ms` old; waits while another thread takes one."""
        with self._lock:
            before = self._picture
            if before is not None and _now_ms() - before.taken_ms <= max_age_ms:
                return before
            self._picture = self._take(before)
            return self._picture

    def _take(self, before: Picture | None) -> Picture:
        source = self._sources
        ask: dict[str, Callable[[], Any]] = {
            "telemetry": source.traffic,
            "supervisor": source.processes,
            "job queue": source.queue_lengths,
            "worker": partial(source.heartbeat, "worker"),
            "watcher": partial(source.heartbeat, "watcher"),
        }
        ask |= {f"node-{node}": partial(source.node, node) for node in range(source.node_count)}
        known = {part.part: part for part in before.parts} if before else {}
        looking = {
            part: self._pool.submit(look, part, question, known.get(part))
            for part, question in ask.items()
        }
        return Picture(
            sequence=before.sequence + 1 if before else 1,
            nodes=tuple(looking[f"node-{n}"].result() for n in range(source.node_count)),
            telemetry=looking["telemetry"].result(),
            supervisor=looking["supervisor"].result(),
            broker=looking["job queue"].result(),
            worker=looking["worker"].result(),
            watcher=looking["watcher"].result(),
            taken_ms=_now_ms(),
        )


def look(part: str, ask: Callable[[], Any], before: Reading[Any] | None) -> Reading[Any]:
    try:
        value = ask()
    except SourceSilent as error:
        return silent(part, before, str(error), _now_ms())
    except Exception as error:  # The edge: a part of another release may answer whatever it likes.
        told = f"its answer can't be read: {type(error).__name__} {error}"[:120]
        return silent(part, before, told, _now_ms())
    return answered(part, value, _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
