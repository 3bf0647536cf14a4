"""What the pages of triage show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from console.triage import accuracy
from console.triage.accuracy import Case
from console.triage.accuracy import Verdict as Judged
from console.triage.queries import Cause
from console.triage.questions import Curve
from console.verdict import Verdict, plural

MISSES = (Judged.MISS, Judged.TOP3, Judged.ABSTAINED, Judged.FALSE_ALARM)


def triage_verdict(incident_id: int, cause: Cause | None) -> Verdict:
    """The answer of the triage page."""
    if cause is None:
        return Verdict(
            state="unknown",
            sentence=f"Nothing said about incident {incident_id} yet",
            context="A first answer usually comes within 10 s of the alert.",
        )
    blind = "; blind: " + ", ".join(each.source for each in cause.missing) if cause.missing else ""
    context = f"version {cause.version}, {cause.cpu_ms / 1000:.2f} s of processor time{blind}"
    if cause.first is None:
        return Verdict(state="unknown", sentence="Cause unknown", context=context)
    return Verdict(state="warning", sentence=cause.first.headline, context=context)


def accuracy_verdict(cases: Sequence[Case]) -> Verdict:
    """ "Right first time 19 of 22", its interval, and what was left out."""
    whole = accuracy.tally("all", cases)
    if not cases:
        return Verdict(
            state="idle",
            sentence="Nothing judged yet: run a drill",
            context="Every drill whose objective moved is a case; its fault is never shown to "
            "triage.",
        )
    left_out = sum(1 for case in cases if case.verdict is Judged.NOT_JUDGED)
    tail = f" · {plural(left_out, 'drill')} not judged: no objective moved" if left_out else ""
    if whole.first.total == 0:
        return Verdict(state="idle", sentence="No drill could be judged yet", context=tail[3:])
    first = whole.first
    return Verdict(
        state="idle",
        sentence=f"Right first time {first.count} of {first.total}",
        context=f"{percent(first.low)} to {percent(first.high)} with 95 % confidence; cases made "
        f"here are easier than what production brings{tail}",
    )


def question_verdict(asked: Mapping[str, str], curves: Sequence[Curve]) -> Verdict:
    """What was asked, and how many curves answer it."""
    what = asked.get("measure") or asked.get("name", "")
    return Verdict(
        state="idle" if curves else "unknown",
        sentence=f"{what}, {plural(len(curves), 'curve')}" if curves else f"No figures for {what}",
        context="The figures behind a piece of evidence, read afresh from telemetry.",
    )


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def misses(cases: Sequence[Case]) -> list[Case]:
    return [case for case in cases if case.verdict in MISSES]
