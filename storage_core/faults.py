"""Makes the fault switches of this node felt, and unfelt again when their lease ends.

A drill must break what a bad disk, a cut cable, a runaway thread or a careless call would break,
by the same path, or it proves nothing. So a stalled flush waits in front of the real `fdatasync`,
on whatever thread flushes; a cut drops real frames, and at its end the connections are closed, as
after a partition whose ends gave each other up; a hog is real threads of this process.

What always holds: with no switch on, the hot path pays one look at an attribute that is None or
empty; nothing here counts, logs or traces, because a diagnosis that could read the switch would
prove nothing either. Every effect checks its own end, so that a loop that hangs can't prolong it.

Read next: `fault_leases` for kinds and bounds.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from storage_core import fault_leases
from storage_core.fault_leases import IN, OUT, Leases

if TYPE_CHECKING:
    from storage_core.log.writer import LogWriter
    from storage_core.orders import FaultState
    from storage_core.peers import Peers

BURN_PERIOD_S = 0.02
BURN_ROUNDS = 500
"""Additions between two looks at the clock: some 20 us."""


class Stall:
    """Waits before each flush until its time is over or it is released. For any thread."""

    def __init__(self, delay_s: float, until_s: float) -> None:
        self.delay_s = delay_s
        self.until_s = until_s
        self._released = threading.Event()

    def wait(self) -> None:
        """What a slow disk does to a flush."""
        self._released.wait(min(self.delay_s, max(0.0, self.until_s - time.monotonic())))

    def release(self) -> None:
        """Let go whoever waits."""
        self._released.set()


class Burner:
    """Threads that want the time of `share` cores, until `until_s` or until they are stopped."""

    def __init__(self, share: float, until_s: float) -> None:
        self.share = share
        self.until_s = until_s
        self._stopped = threading.Event()
        count = math.ceil(share)
        self._busy_s = BURN_PERIOD_S * share / count
        self._threads = [
            threading.Thread(target=self._burn, name=f"busy-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether any thread still runs."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """End within one period."""
        self._stopped.set()

    def _burn(self) -> None:
        while not self._stopped.is_set() and time.monotonic() < self.until_s:
            began_s = time.monotonic()
            while time.monotonic() - began_s < self._busy_s:
                for _ in range(BURN_ROUNDS):
                    pass
            if self._busy_s < BURN_PERIOD_S:
                self._stopped.wait(BURN_PERIOD_S - self._busy_s)


class Faults:
    """The switches of one node. All methods are called on its loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, *, writer: LogWriter, peers: Peers, allowed: bool
    ) -> None:
        self.allowed = allowed
        self._loop = loop
        self._writer = writer
        self._peers = peers
        self._leases = Leases()
        self._end: asyncio.TimerHandle | None = None
        self._stall: Stall | None = None
        self._burner: Burner | None = None
        self._block: asyncio.Handle | None = None
        self._block_ms = (0, 0)

    def set(self, kind: str, owner: str, params: dict[str, Any], ttl_ms: int) -> None:
        """Switch on, or renew. `params` are checked. Raises BadOrder."""
        assert self.allowed, "who is not allowed was refused before"
        self._leases.renew(kind, owner, params, ttl_ms=ttl_ms, now_ms=_now_ms())
        self._apply()

    def clear(self, owner: str | None = None) -> None:
        """Switch off what `owner` holds, or everything."""
        self._leases.clear(owner)
        self._apply()

    def states(self) -> tuple[FaultState, ...]:
        """What is on."""
        return self._leases.states(_now_ms())

    def close(self) -> None:
        """Everything off; no timer is left."""
        self.clear()
        if self._end is not None:
            self._end.cancel()

    def _apply(self) -> None:
        """Make the node be as the leases say, and look again when the first one ends."""
        now_ms = _now_ms()
        self._leases.expire(now_ms)
        end_ms = self._leases.next_end_ms()
        if self._end is not None:
            self._end.cancel()
            self._end = None
        if end_ms is not None:
            self._end = self._loop.call_later((end_ms - now_ms) / 1000, self._apply)
        self._apply_stall(now_ms)
        self._apply_cut(now_ms)
        self._apply_burner(now_ms)
        self._apply_block(now_ms)

    def _until_s(self, kind: str, now_ms: int) -> float:
        """The end of the last lease of one kind, on the monotonic clock in seconds."""
        left = [s.left_ms for s in self._leases.states(now_ms) if s.kind == kind]
        return (now_ms + max(left, default=0)) / 1000

    def _apply_stall(self, now_ms: int) -> None:
        delay_ms, former = self._leases.delay_ms(now_ms), self._stall
        until_s = self._until_s(fault_leases.FSYNC_STALL, now_ms)
        if former is not None and former.delay_s == delay_ms / 1000:
            former.until_s = until_s
            return
        self._stall = Stall(delay_ms / 1000, until_s) if delay_ms else None
        self._writer.before_flush = None if self._stall is None else self._stall.wait
        if former is not None:
            former.release()

    def _apply_cut(self, now_ms: int) -> None:
        self._peers.cut_off(deaf=self._leases.cut(IN, now_ms), mute=self._leases.cut(OUT, now_ms))

    def _apply_burner(self, now_ms: int) -> None:
        share, former = self._leases.share(now_ms), self._burner
        until_s = self._until_s(fault_leases.CPU_HOG, now_ms)
        if former is not None and former.share == share and former.is_alive:
            former.until_s = until_s
            return
        if former is not None:
            former.stop()
        self._burner = Burner(share, until_s) if share else None

    def _apply_block(self, now_ms: int) -> None:
        wanted = self._leases.block_ms(now_ms)
        if wanted == self._block_ms:
            return
        self._block_ms = wanted
        if self._block is not None:
            self._block.cancel()
            self._block = None
        if wanted[0]:
            self._block = self._loop.call_soon(self._stand_still)

    def _stand_still(self) -> None:
        block_ms, every_ms = self._leases.block_ms(_now_ms())
        if not block_ms:
            self._block_ms, self._block = (0, 0), None
            return
        time.sleep(block_ms / 1000)
        self._block = self._loop.call_later((every_ms - block_ms) / 1000, self._stand_still)


def _now_ms() -> int:
    return time.monotonic_ns() // 1_000_000
