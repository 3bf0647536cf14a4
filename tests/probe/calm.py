"""`make calm`: the demo for hours, parts killed, nothing wrong with the store: nobody is paged.

Problem: a page that turns out to be nothing teaches people to sleep through the next one. Idea: the
whole of Holdfast with its demo traffic, real receivers, and a `kill -9` of telemetry or the worker
every two minutes; what pages then is false. A machine that others keep busy may be slow in truth,
so requests of our own, one write and one read a second, are timed beside them: a page at a time
when those were slow or failed, too, is called overload, and is not counted as false. Exit 1 if
there was a false page.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from console.slos import state
from runbooks import clock
from storage_core.fleet.client import SupervisorAway
from tests.probe.paging import Paged, paged_fleet
from tests.probe.timing import Hand, Round

KILL_EVERY_S = 120.0
VICTIMS = (("telemetry",), ("worker",), ("telemetry", "worker"))
BEFORE_PAGE_MS = 60_000
"""A page speaks of what was measured for so long before it."""
BAD_SHARE_MIN = 0.05
"""The objectives allow 5 % slow requests; with so many of ours, a page tells the truth."""


class Page(NamedTuple):
    """One page, and what our own requests met in the minute before."""

    headline: str
    rounds: Sequence[Round]

    @property
    def bad_share(self) -> float:
        return sum(one.is_bad for one in self.rounds) / len(self.rounds) if self.rounds else 0.0

    @property
    def is_false(self) -> bool:
        return self.bad_share < BAD_SHARE_MIN

    def __str__(self) -> str:
        word = "FALSE" if self.is_false else "overload"
        slowest_ms = max((one.write_ms + one.read_ms for one in self.rounds), default=0.0)
        return (
            f"page, {word}: {self.headline} (ours in the minute before: {len(self.rounds)} rounds, "
            f"{self.bad_share:.0%} slow or failed, slowest {slowest_ms:.0f} ms)"
        )


class Calm:
    """One fleet, its receivers, our hand, and what came."""

    def __init__(self, paged: Paged, chance: random.Random) -> None:
        self.kills: Counter[str] = Counter()
        self.alerts: Counter[str] = Counter()
        self.pages: list[Page] = []
        self.hand = Hand(paged.fleet.settings)
        self._paged = paged
        self._chance = chance
        self._firing: set[str] = set()

    def run(self, give_up_s: float) -> None:
        self.hand.start()
        pause, kill_s = threading.Event(), time.monotonic() + KILL_EVERY_S / 2
        while time.monotonic() < give_up_s:
            self._look()
            if time.monotonic() >= kill_s:
                kill_s += KILL_EVERY_S * self._chance.uniform(0.7, 1.3)
                self._kill(self._chance.choice(VICTIMS))
            pause.wait(1.0)
        self.hand.stop()
        self._look()

    def _look(self) -> None:
        for got in self._paged.pages()[len(self.pages) :]:
            now_ms = clock.now_ms()
            rounds = self.hand.between(now_ms - BEFORE_PAGE_MS, now_ms)
            page = Page(got.json["data"]["headline"], rounds)
            self.pages.append(page)
            say(str(page))
        found = state.read(self._paged.fleet.settings.run, now_ms=clock.now_ms())
        firing = {row.key: row for row in found.firing}
        for key in firing.keys() - self._firing:
            self.alerts[f"{firing[key].severity} {key}"] += 1
            say(f"alert, {firing[key].severity}: {firing[key].headline}")
        self._firing = set(firing)

    def _kill(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                os.kill(self._paged.fleet.pid(name), signal.SIGKILL)
            except (SupervisorAway, ProcessLookupError, TypeError) as error:
                say(f"{name} is not there to be killed: {error!r}")
                continue
            self.kills[name] += 1
            say(f"killed {name}")

    def print_table(self, minutes: float) -> None:
        kills = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        print(f"\n{minutes:.0f} min; killed: {kills or 'nobody'}")
        rounds = self.hand.rounds
        print(
            f"our own requests: {len(rounds)} rounds, {sum(bool(r.reason) for r in rounds)} failed,"
        )
        for word, took_ms in (
            ("writes", sorted(one.write_ms for one in rounds)),
            ("reads", sorted(one.read_ms for one in rounds)),
        ):
            p50_ms, p99_ms = took_ms[len(took_ms) // 2], took_ms[int(len(took_ms) * 0.99)]
            print(f"  {word}: p50 {p50_ms:.1f} ms, p99 {p99_ms:.1f} ms, worst {took_ms[-1]:.0f} ms")
        print(f"  slow by the objectives' thresholds: {sum(one.is_slow for one in rounds)}")
        for name, count in sorted(self.alerts.items()):
            print(f"alert {name}: {count}")
        false = sum(page.is_false for page in self.pages)
        print(
            f"pages: {len(self.pages)}, of them overload {len(self.pages) - false}, false {false}"
        )


def say(text: str) -> None:
    print(time.strftime("%H:%M:%S", time.gmtime()), text, flush=True)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.probe.calm", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=120.0, help="how long it takes")
    parser.add_argument("--home", type=Path, default=None, help="keep the state of the fleet here")
    options = parser.parse_args(argv)
    with paged_fleet(home=options.home, demo=True) as paged:
        say(f"calm for {options.minutes:g} minutes in {paged.fleet.home}")
        calm = Calm(paged, random.Random())
        began_s = time.monotonic()
        try:
            calm.run(began_s + options.minutes * 60)
        finally:
            calm.print_table((time.monotonic() - began_s) / 60)
    return int(any(page.is_false for page in calm.pages))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
