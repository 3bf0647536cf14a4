"""Recorded cases: evidence of a real fleet whose fault was known, on a busy machine.

Each file is what `gather` saw some 16 s after a fault (or after nothing), cut to the seconds around
it. The weights were set while looking at those in TUNED_ON; the others were only ever scored. Those
named "-bare" were recorded before nodes exported loop delay, processor time and missed heartbeats:
there triage has to do without. Those named "drill-" were recorded during drills; "upgraded" is one
shortly after a start with a new version, at which triage once looked away from the disk, and
"standing" one with a process that still stood still, which was once called dead.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from console.triage import onset
from console.triage.accuracy import Pair, Verdict, verdict_of, wilson
from console.triage.diagnose import diagnose
from console.triage.evidence import Evidence
from console.triage.evidence_json import decode

FOLDER = Path(__file__).parent / "cases"
FILES = sorted(FOLDER.glob("*.json"))
TUNED_ON = frozenset(
    ("fsync-leader-400-bare", "isolate-leader-both-bare", "isolate-leader-in-bare", "hog-leader-1",
     "pause-leader-6s", "tenant-small", "drill-fsync-300-upgraded",
     "drill-pause-standing")
)  # fmt: skip
CASE_BYTES_MAX = 90_000
RIGHT_FIRST_MIN = 0.75
FALSE_SHARE_MAX = 0.05


@dataclass(frozen=True)
class Case:
    name: str
    truth: Pair | None
    burn_ms: int
    evidence: Evidence


@cache
def load(path: Path) -> Case:
    raw = json.loads(path.read_text(encoding="utf-8"))
    entity, kind = raw["truth"]
    return Case(
        name=raw["name"],
        truth=(entity, kind) if kind else None,
        burn_ms=raw["burn_ms"],
        evidence=decode(raw["evidence"]),
    )


def verdict(case: Case) -> Verdict:
    said = [(claim.entity, claim.kind) for claim in diagnose(case.evidence).claims]
    return verdict_of(truth=case.truth, claims=said, has_moved=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_case_is_small_enough_to_be_read(path: Path) -> None:
    assert path.stat().st_size < CASE_BYTES_MAX


@pytest.mark.parametrize("is_tuned_on", [True, False], ids=["tuned on", "held out"])
def test_three_of_four_faults_are_named_first(is_tuned_on: bool) -> None:
    cases = [load(path) for path in FILES]
    faults = [
        case for case in cases if case.truth is not None and (case.name in TUNED_ON) == is_tuned_on
    ]
    verdicts = {case.name: verdict(case) for case in faults}

    right = sum(1 for each in verdicts.values() if each is Verdict.RIGHT)
    score = wilson(right, len(faults))

    print(f"right first {right} of {len(faults)}, 95 %: {score.low:.2f} to {score.high:.2f}")
    assert score.share >= RIGHT_FIRST_MIN, verdicts


def test_hardly_ever_is_somebody_innocent_named() -> None:
    verdicts = {load(path).name: verdict(load(path)) for path in FILES}

    false = [
        name
        for name, each in verdicts.items()
        if each in (Verdict.MISS, Verdict.TOP3, Verdict.FALSE_ALARM)
    ]

    assert len(false) <= FALSE_SHARE_MAX * len(verdicts), false


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_onset_of_a_case_is_found_again(path: Path) -> None:
    case = load(path)

    found = onset.find(case.evidence.seconds, now_ms=case.evidence.taken_ms, burn_ms=case.burn_ms)

    assert (found.at_ms, found.now) == (case.evidence.onset_ms, case.evidence.now)


def test_a_flood_that_makes_loops_late_is_the_tenants() -> None:
    assert verdict(load(FOLDER / "tenant-small.json")) is Verdict.RIGHT


def test_a_pause_is_told_from_a_blocked_loop_by_the_reports_that_are_missing() -> None:
    assert verdict(load(FOLDER / "pause-leader-6s.json")) is Verdict.RIGHT


def test_a_hog_is_seen_where_cores_are_short() -> None:
    assert verdict(load(FOLDER / "hog-leader-1.json")) is Verdict.RIGHT
