"""`make soak`: kill nodes of a real store for hours and count what was acknowledged.

Problem: a loss that needs an hour of bad luck to show is a loss all the same. Idea: writers that
remember every acknowledgement, and in each round a `kill -9` of one, two or all nodes at a random
moment; after each round every acknowledged version is read back from every node. Exit 1 on the
first loss, with the directory kept.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import signed
from bench.client import send_once
from bench.cluster import NODE_COUNT, Cluster
from tests.probe.writers import CONTAINER, Writer, lost_writes, wait_for_count

WRITER_COUNT = 4
WRITES_BETWEEN = 100
PAUSE_S_MAX = 1.5
PROGRESS_S_MAX = 60.0


class Round(NamedTuple):
    """Who died, how many that were, and when every writer had been served again."""

    who: str
    victim_count: int
    recovery_ms: float


class Soak:
    """One cluster, its writers, and what came of each round."""

    def __init__(self, cluster: Cluster, chance: random.Random) -> None:
        self.rounds: list[Round] = []
        self.lost: list[str] = []
        self._cluster = cluster
        self._chance = chance
        self._writers = [Writer(cluster, number) for number in range(WRITER_COUNT)]

    @property
    def acknowledged_count(self) -> int:
        return sum(writer.acknowledged_count for writer in self._writers)

    @property
    def refused_count(self) -> int:
        return sum(len(writer.refused) for writer in self._writers)

    def run(self, give_up_s: float) -> None:
        """Rounds until the time is over or something is lost."""
        send_once(self._cluster.settings.own_port(0), signed.create_container(CONTAINER))
        for writer in self._writers:
            writer.start()
        try:
            while time.monotonic() < give_up_s and not self.lost:
                self._round()
        finally:
            for writer in self._writers:
                writer.stop()
        self.lost += lost_writes(self._cluster, self._writers)

    def _round(self) -> None:
        wait_for_count(self._writers, WRITES_BETWEEN, PROGRESS_S_MAX)
        threading.Event().wait(self._chance.random() * PAUSE_S_MAX)
        leader = self._cluster.leader()
        count = self._chance.choice((1, 1, 1, 1, 2, 3))
        victims = self._chance.sample(range(NODE_COUNT), count)
        if count == 1 and leader is not None and self._chance.random() < 0.5:
            victims = [leader]
        for node in victims:
            self._cluster.kill(node)
        killed_s = time.monotonic()
        # Without a quorum nothing can go on, so somebody must come back first.
        if count > 1:
            self._start(victims)
        self._wait_served()
        recovery_ms = (time.monotonic() - killed_s) * 1000
        if count == 1:
            self._start(victims)
        self._cluster.wait_ready()
        alone = "the leader" if victims == [leader] else "a follower"
        who = {1: alone, 2: "two nodes"}.get(count, "all nodes")
        self.rounds.append(Round(who, count, recovery_ms))
        stale = [name for writer in self._writers for name in writer.stale]
        self.lost += [f"a read after its write found something older: {name}" for name in stale]

    def _wait_served(self) -> None:
        """Until each writer has two more acknowledgements: the first may have been on its way."""
        goals = [writer.acknowledged_count + 2 for writer in self._writers]
        give_up_s = time.monotonic() + PROGRESS_S_MAX
        pause = threading.Event()
        while any(w.acknowledged_count < g for w, g in zip(self._writers, goals, strict=True)):
            assert time.monotonic() < give_up_s, "writes do not go on"
            pause.wait(0.002)

    def _start(self, victims: Sequence[int]) -> None:
        for node in victims:
            self._cluster.start(node)

    def print_table(self) -> None:
        print(f"{'killed':<16}{'rounds':>8}{'recovery p50':>16}{'p99':>12}{'worst':>12}")
        for who in ("a follower", "the leader", "two nodes", "all nodes"):
            times_ms = sorted(found.recovery_ms for found in self.rounds if found.who == who)
            if times_ms:
                p99_ms = times_ms[min(len(times_ms) - 1, int(len(times_ms) * 0.99))]
                print(
                    f"{who:<16}{len(times_ms):>8}{statistics.median(times_ms):>13.0f} ms"
                    f"{p99_ms:>9.0f} ms{times_ms[-1]:>9.0f} ms"
                )
        kills = sum(found.victim_count for found in self.rounds)
        print(
            f"kills {kills}, acknowledged writes {self.acknowledged_count}, "
            f"refused {self.refused_count}, lost {len(self.lost)}"
        )
        for line in self.lost[:20]:
            print("lost:", line)


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="tests.probe", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0, help="how long it takes")
    parser.add_argument("--seed", type=int, default=None, help="of who is killed, and when")
    options = parser.parse_args(argv)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"soak for {options.minutes:g} minutes, seed {seed}", flush=True)
    home = Path(tempfile.mkdtemp(prefix="holdfast-soak-"))
    with Cluster(home=home) as cluster:
        soak = Soak(cluster, random.Random(seed))
        try:
            soak.run(time.monotonic() + options.minutes * 60)
        finally:
            soak.print_table()
            if soak.lost:
                print("kept for a look:", home)
    if soak.lost:
        return 1
    shutil.rmtree(home)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
