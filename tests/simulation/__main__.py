"""`python -m tests.simulation --seeds 300`; `--seed N` replays one, `--mutants` tests the tests.

Seeds are shared out to two processes of the same interpreter.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from typing import Dict, List, Optional

from tests.simulation.mutants import MUTANTS, plant
from tests.simulation.simulation import Report, run_seed

PROCESS_COUNT = 2
MUTANT_SEEDS_MAX = 100


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=0, help="run seeds FIRST..FIRST+n-1")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="replay one seed and show where it failed")
    parser.add_argument("--mutants", action="store_true", help="plant each bug and catch it")
    parser.add_argument("--mutant", choices=[mutant.slug for mutant in MUTANTS])
    parser.add_argument("--share", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.mutant:
        plant(chosen.mutant)
    if chosen.seed is not None:
        return _replay(chosen.seed)
    if chosen.share is not None:
        return _work(chosen.first + chosen.share, chosen.first + chosen.seeds)
    failed = 0 if chosen.mutants else _run_all(chosen.first, chosen.seeds)
    # Planted bugs are counted only where nothing else fails: a real one would "catch" them all.
    escaped = 0 if failed else _catch_all(chosen.first)
    tried = (0 if chosen.mutants else chosen.seeds) + (0 if failed else len(MUTANTS))
    print("%d passed, %d failed" % (tried - failed - escaped, failed + escaped))
    return 1 if failed + escaped else 0


def _replay(seed: int) -> int:
    report = run_seed(seed)
    print("seed %d  trace %s" % (seed, report.trace_hash))
    print(
        "%d events, %.1f s simulated, %d operations, %d with unknown outcome"
        % (
            report.event_count,
            report.simulated_us / 1e6,
            report.operation_count,
            report.unknown_count,
        )
    )
    print("faults: %s" % _counts(report.faults))
    print(report.detail or "all held")
    return 1 if report.violation else 0


def _work(first: int, stop: int) -> int:
    """One process: every other seed, one line of JSON for each."""
    for seed in range(first, stop, PROCESS_COUNT):
        print(json.dumps(run_seed(seed)._asdict()), flush=True)
    return 0


def _run_all(first: int, count: int) -> int:
    """How many seeds failed."""
    begun_s = time.monotonic()
    reports = _share_out(first, count)
    passed = [report for report in reports if not report.violation]
    faults: Dict[str, int] = {}
    for report in reports:
        for name, times in report.faults.items():
            faults[name] = faults.get(name, 0) + times
        if report.violation:
            print("seed %d: %s" % (report.seed, report.violation))
            print("  replay: python -m tests.simulation --seed %d" % report.seed)
    took_s = time.monotonic() - begun_s
    events = sum([report.event_count for report in reports])
    simulated_s = sum([report.simulated_us for report in reports]) / 1e6
    print("%d seeds from %d, %.0f s on %s" % (count, first, took_s, sys.implementation.name))
    print("%.2f simulated hours, %.0f times real time" % (simulated_s / 3600, simulated_s / took_s))
    print("%d events, %d in a second" % (events, events / took_s))
    operations = sum([report.operation_count for report in reports])
    unknown = sum([report.unknown_count for report in reports])
    print("%d operations, %d with unknown outcome" % (operations, unknown))
    print("%d faults: %s" % (sum(faults.values()), _counts(faults)))
    print("%d violations" % (len(reports) - len(passed)))
    return count - len(passed)


def _share_out(first: int, count: int) -> List[Report]:
    command = [sys.executable, "-m", "tests.simulation", "--seeds", str(count)]
    command += ["--first", str(first), "--share"]
    workers = [
        subprocess.Popen([*command, str(share)], stdout=subprocess.PIPE, text=True)
        for share in range(PROCESS_COUNT)
    ]
    reports = []
    for worker in workers:
        output, _ = worker.communicate()
        reports += [Report(**json.loads(line)) for line in output.splitlines()]
    return sorted(reports)


def _catch_all(first: int) -> int:
    """How many planted bugs were not found. Each lives in a process of its own."""
    escaped = 0
    for mutant in MUTANTS:
        begun_s = time.monotonic()
        seed = _catch(mutant.slug, first)
        took_s = time.monotonic() - begun_s
        if seed is None:
            escaped += 1
            print("ESCAPED %d seeds: %s" % (MUTANT_SEEDS_MAX, mutant.slug), flush=True)
        else:
            print("caught by seed %3d, %4.1f s: %s" % (seed, took_s, mutant.slug), flush=True)
    return escaped


def _catch(slug: str, first: int) -> Optional[int]:
    """The first seed that fails with the bug in place."""
    command = [sys.executable, "-m", "tests.simulation", "--mutant", slug, "--share", "0"]
    command += ["--first", str(first), "--seeds", str(MUTANT_SEEDS_MAX * PROCESS_COUNT)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    try:
        for line in worker.stdout:
            report = Report(**json.loads(line))
            if report.violation:
                return report.seed
        return None
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()


def _counts(faults: Dict[str, int]) -> str:
    return ", ".join(["%s %d" % item for item in sorted(faults.items())]) or "none"


if __name__ == "__main__":
    sys.exit(main())
