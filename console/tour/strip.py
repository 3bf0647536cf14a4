"""What the strip says of the step somebody is at, looked up afresh each time it is shown.

Each step reads what the ordinary pages read: the trace, the drill's row, its incident, the runs of
that incident, the registry. A part that doesn't answer is named; the strip never guesses.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from console.evidence_reads import evidence
from console.incidents.queries import IncidentRow, of_drill
from console.live.observatory import Picture, SourceSilent
from console.live.sources import observatory
from console.tour.steps import BREAK, FAULTS, PROOF, STEPS, Killed, Tour
from console.tour.stopwatch import Hand, read
from console.traces.waterfall import Waterfall, build
from console.triage.queries import top
from runbooks.drills import guards
from runbooks.drills import queries as drills
from runbooks.drills.errors import NoSuchDrill
from runbooks.drills.queries import DrillRow
from runbooks.drills.scenarios import SCENARIOS
from runbooks.queries import RunRow, recent_runs
from storage_core.config import EMULATOR_ACCOUNT, EMULATOR_KEY

EMULATOR_PORT = 10_000
FIRST_FAULT = next(iter(FAULTS))
PICTURE_MAX_AGE_MS = 1500
RUNS_READ = 20
Context = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Victim:
    """The process to kill, and what became of the one that was shown before."""

    shown: Killed
    is_dead: bool
    is_back: bool
    leader: str
    term: int


def context_of(tour: Tour, *, now_ms: int) -> Context:
    """What `tour/strip.html` is rendered with."""
    step = STEPS[tour.step - 1]
    said = _READERS[step.name](tour, now_ms)
    hands: tuple[Hand, ...] = said.get("hands", ())
    is_counting = any(hand.seconds is not None and not hand.is_over for hand in hands)
    is_moving = not said["is_done"] or is_counting
    return {
        "tour": tour,
        "step": step,
        "steps": STEPS,
        "is_moving": is_moving,
        "standing": _standing(tour) if step.number > BREAK + 1 else None,
        **said,
    }


def sdk_lines(trace_id: str) -> str:
    """A program to copy: the vendor's client against this fleet, its write asking to be traced."""
    port = settings.HOLDFAST.blob_port
    # The short form is the vendor's, and fixed to the emulator's port.
    connection = (
        "UseDevelopmentStorage=true"
        if port == EMULATOR_PORT
        else f"AccountName={EMULATOR_ACCOUNT};AccountKey={b64encode(EMULATOR_KEY).decode()};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{EMULATOR_ACCOUNT}"
    )
    return "\n".join(
        (
            "from azure.storage.blob import BlobServiceClient",
            f'service = BlobServiceClient.from_connection_string("{connection}")',
            'yours = service.get_container_client("yours")',
            "yours.exists() or yours.create_container()",
            f'trace = {{"traceparent": "00-{trace_id}-00f067aa0ba902b7-01"}}',
            'yours.upload_blob("hello.txt", b"mine", overwrite=True, headers=trace)',
        )
    )


def victim_of(picture: Picture) -> Killed | None:
    """The process that leads now; None where the nodes or the registry don't tell."""
    leaders = [part.current for part in picture.nodes if part.current is not None]
    leading = [node for node in leaders if node.role == "leader"]
    if not leading:
        return None
    leader = max(leading, key=lambda node: node.term)
    return Killed(name=leader.name, pid=leader.pid, term=leader.term, shown_ms=picture.taken_ms)


def look_at(killed: Killed, picture: Picture) -> Victim:
    """What became of the process that was shown: dead where another runs under its name."""
    processes = {process.name: process for process in picture.supervisor.current or ()}
    now = processes.get(killed.name)
    is_dead = now is not None and now.pid != killed.pid
    leader = victim_of(picture)
    return Victim(
        shown=killed,
        is_dead=is_dead,
        is_back=is_dead and now is not None and now.state == "running" and now.pid is not None,
        leader="" if leader is None else leader.name,
        term=0 if leader is None else leader.term,
    )


def stopwatch_of(
    drill: DrillRow | None, incident: IncidentRow | None, *, now_ms: int
) -> tuple[Hand, ...]:
    """From the drill's fault to its incident's times."""
    is_over = drill is not None and not drill.is_active and incident is None
    return read(
        now_ms=now_ms,
        fault_ms=_ms(None if drill is None else drill.faulted_at),
        detected_ms=_ms(None if incident is None else incident.opened_at),
        named_ms=_ms(None if incident is None else incident.named_at),
        fixed_ms=_ms(None if incident is None else incident.fixed_at),
        is_over=is_over or (incident is not None and incident.resolved_at is not None),
    )


def _standing(tour: Tour) -> DrillRow | None:
    """The drill of step 2 while its fault still stands: whoever goes on should end it first."""
    drill = _drill(tour.drill)
    return drill if drill is not None and drill.is_active else None


def _not_yet(drill: DrillRow | None, scenario: str) -> str:
    """What keeps the button back now, in the guards' words; empty where nothing does."""
    if drill is not None and drill.is_active:
        return ""
    found = guards.check(SCENARIOS[scenario])
    return next((guard.text for guard in found if not guard.passed), "")


def _store(tour: Tour, now_ms: int) -> Context:
    found: Waterfall | None = None
    blind = ""
    try:
        spans = evidence.trace(tour.trace_id) if tour.trace_id else ()
        found = build(spans) if spans else None
    except SourceSilent as error:
        blind = str(error)
    return {
        "lines": sdk_lines(tour.trace_id),
        "waterfall": found,
        "blind": blind,
        "is_done": found is not None,
    }


def _break(tour: Tour, now_ms: int) -> Context:
    drill, incident = _drill_and_incident(tour.drill)
    return {
        "faults": FAULTS,
        "not_yet": _not_yet(drill, FIRST_FAULT),
        "drill": drill,
        "incident": incident,
        "hands": stopwatch_of(drill, incident, now_ms=now_ms),
        "is_done": incident is not None and incident.named_at is not None,
    }


def _judge(tour: Tour, now_ms: int) -> Context:
    drill, incident = _drill_and_incident(tour.drill)
    cause = None if incident is None else top(incident.id)
    finding = None if cause is None else cause.first
    right = None
    if drill is not None and finding is not None and drill.truth_kind:
        right = (finding.entity, finding.kind) == (drill.truth_entity, drill.truth_kind)
    return {
        "drill": drill,
        "incident": incident,
        "finding": finding,
        "right": right,
        "is_done": right is not None,
    }


def _fix(tour: Tour, now_ms: int) -> Context:
    drill, incident = _drill_and_incident(tour.drill)
    runs: list[RunRow] = []
    if incident is not None:
        runs = recent_runs(RUNS_READ, subject=f"incident:{incident.id}")
    return {
        "drill": drill,
        "incident": incident,
        "dry": next((run for run in runs if run.is_dry), None),
        "real": next((run for run in runs if not run.is_dry), None),
        "hands": stopwatch_of(drill, incident, now_ms=now_ms),
        "is_done": incident is not None and incident.fixed_at is not None,
    }


def _kill(tour: Tour, now_ms: int) -> Context:
    picture = observatory.picture(max_age_ms=PICTURE_MAX_AGE_MS)
    victim = None if tour.killed is None else look_at(tour.killed, picture)
    return {"victim": victim, "is_done": victim is not None and victim.is_back}


def _prove(tour: Tour, now_ms: int) -> Context:
    first, incident = _drill_and_incident(tour.drill)
    proof = _drill(tour.proof)
    return {
        "proof": proof,
        "not_yet": _not_yet(proof, PROOF),
        "hands": stopwatch_of(first, incident, now_ms=now_ms),
        "is_done": proof is not None and not proof.is_active,
    }


_READERS: Mapping[str, Callable[[Tour, int], Context]] = {
    "store": _store,
    "break": _break,
    "judge": _judge,
    "fix": _fix,
    "kill": _kill,
    "prove": _prove,
}


def _drill_and_incident(number: int | None) -> tuple[DrillRow | None, IncidentRow | None]:
    drill = _drill(number)
    return drill, None if drill is None else of_drill(drill.id)


def _drill(number: int | None) -> DrillRow | None:
    if number is None:
        return None
    try:
        return drills.report(number)
    except NoSuchDrill:
        return None


def _ms(moment: Any) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
