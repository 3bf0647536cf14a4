"""How the process itself is: late timers, time on a core and off it, silence of peers.

A slow request has many causes that its stages can't tell apart: somebody else's threads, a core
that wasn't free, a call that held the loop, a cable. So twenty times a second this asks itself how
late it is and who was heard, and once a second what the kernel says of the loop's thread. It counts
for all and decides nothing.

What always holds: a loop that was late itself blames no peer for its silence; their frames may lie
unread.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, NamedTuple

from storage_core.raft.ready import LEADER
from telemetry import names

if TYPE_CHECKING:
    from storage_core.peers import Peers
    from storage_core.raft.replica import Replica
    from telemetry.metrics import Counter, Histogram, MetricSet

SAMPLE_S = 0.05
"""As often as heartbeats."""
SAMPLES_PER_SECOND = 20
LATE_S = 0.1
SILENCE_S_MAX = 0.15
"""Three heartbeats: what is due from a leader to its followers, and back."""
SILENCE_S_MAX_ALONE = 1.0
"""Without a leader peers only speak when they campaign or are asked."""
SCHEDSTAT = "/proc/self/schedstat"


class ThreadTimes(NamedTuple):
    """Of the loop's thread since its start, in nanoseconds."""

    running_ns: int
    waiting_ns: int


def read_thread_times(path: str = SCHEDSTAT) -> ThreadTimes | None:
    """What the scheduler says of the main thread; None on a kernel that doesn't."""
    try:
        with open(path, encoding="ascii") as file:
            running, waiting, _ = file.read().split()
            return ThreadTimes(int(running), int(waiting))
    except (OSError, ValueError):
        return None


class Vitals:
    """The samples of one node. Runs on its loop from `start` to `stop`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        replica: Replica,
        peers: Peers,
        metrics: MetricSet,
    ) -> None:
        self._loop = loop
        self._replica = replica
        self._peers = peers
        self._delay = metrics.histogram(names.LOOP_DELAY)
        self._process_cpu = metrics.counter(names.PROCESS_CPU)
        self._loop_cpu = metrics.counter(names.LOOP_CPU)
        self._run_queue = metrics.counter(names.LOOP_RUN_QUEUE)
        self._round_trips: dict[int, Histogram] = {}
        self._missed: dict[int, Counter] = {}
        for peer in replica.progress:
            named = {names.PEER: f"node-{peer}"}
            self._round_trips[peer] = metrics.histogram(names.PEER_ROUND_TRIP, named)
            self._missed[peer] = metrics.counter(names.PEER_HEARTBEATS_MISSED, named)
        self._answers: dict[int, int] = {}
        self._process_us = time.process_time_ns() // 1000
        self._thread = read_thread_times()
        self._sample_count = 0
        self._was_late = False
        self._due_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._due_s = time.monotonic() + SAMPLE_S
        self._timer = self._loop.call_later(SAMPLE_S, self._sample)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sample(self) -> None:
        now_s = time.monotonic()
        late_s = max(0.0, now_s - self._due_s)
        self._delay.record(int(late_s * 1e9))
        # What is due next counts from now: one long pause is one late timer.
        self._due_s = now_s + SAMPLE_S
        self._timer = self._loop.call_later(SAMPLE_S, self._sample)
        is_late = late_s > LATE_S
        if not is_late and not self._was_late:
            self._look_at_peers()
        self._was_late = is_late
        self._sample_count += 1
        if self._sample_count % SAMPLES_PER_SECOND == 0:
            self._ask_the_kernel()

    def _look_at_peers(self) -> None:
        replica = self._replica
        leads = replica.role == LEADER
        for peer, progress in replica.progress.items():
            if leads and progress.answers != self._answers.get(peer):
                self._answers[peer] = progress.answers
                if progress.answers:
                    self._round_trips[peer].record(progress.round_trip_us * 1000)
            if leads or replica.leader == peer:
                silence_s_max = SILENCE_S_MAX
            elif replica.leader is None:
                silence_s_max = SILENCE_S_MAX_ALONE
            else:
                continue  # followers have nothing to say to each other
            if self._peers.silence_s(peer) > silence_s_max:
                self._missed[peer].add()

    def _ask_the_kernel(self) -> None:
        process_us = time.process_time_ns() // 1000
        self._process_cpu.add(process_us - self._process_us)
        self._process_us = process_us
        before, now = self._thread, read_thread_times()
        if before is not None and now is not None:
            self._loop_cpu.add((now.running_ns - before.running_ns) // 1000)
            self._run_queue.add((now.waiting_ns - before.waiting_ns) // 1000)
        self._thread = now
