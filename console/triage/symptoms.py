"""What is odd about each node: symptoms from 0 (not at all) to 1 (clearly), or None (not seen).

Pure. Each symptom is compared twice where it can be: with the node's own normal time, and with its
peers at the same moment, which carry the same load. A symptom that all nodes share is the load's,
not a node's. None is kept apart from 0: a curve that was never exported must not speak for anybody.
Every symptom brings its sentence, curve and question, so that a claim is made of proofs.
Read next: `signatures`, which says what symptoms each kind of fault has and lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from console.figures import quantity
from console.triage import links
from console.triage.evidence import Curve, Evidence, NodeNow, Point
from console.triage.findings import Line
from console.triage.measures import (
    STEP_S,
    UNSEEN,
    Contrast,
    Symptom,
    ask_points,
    contrast,
    curve_points,
    thin,
)
from console.triage.robust import known, longest_run, median, quantile, ramp, ratio
from console.triage.stages import Diff
from telemetry import names

STANDS_STILL = "stopped"
RESTART_SLACK_S = 15
ORDERED_MS = 180_000
"""From the start of a run to the restart that it does."""
DISK = frozenset(("append", "flush", "disk", "peer_append", "peer_flush"))
PROCESSOR = frozenset(
    ("receive", "parse", "authorize", "checksum", "apply", "cache", "respond", "queue",
     "peer_receive", "peer_check")
)  # fmt: skip


def of_node(evidence: Evidence, node: str, diffs: Sequence[Diff]) -> dict[str, Symptom]:
    """Every symptom of one node, by name."""
    found = {name: look(evidence, node) for name, look in LOOKS.items()}
    for name, stages in (("disk_time", DISK), ("own_time", PROCESSOR)):
        found[name] = _stage_time(node, diffs, stages)
    return found


def _silent(evidence: Evidence, node: str) -> Symptom:
    """Seconds in which the others reported and this node did not."""
    columns = evidence.seconds.nodes
    others = [name for name in columns if name != node]
    if node not in columns or not others:
        return UNSEEN
    gaps = {}
    for name, window in (("now", evidence.now), ("normal", evidence.normal)):
        own = evidence.seconds.window(node, "writes", window)
        peers = [evidence.seconds.window(other, "writes", window) for other in others]
        gaps[name] = longest_run(
            value is None and any(peer[at] is not None for peer in peers)
            for at, value in enumerate(own)
        )
    strength = ramp(gaps["now"] - gaps["normal"], 1.0, 3.0)
    return Symptom(
        strength=strength,
        line=Line(
            sentence=f"{node} reported nothing for {gaps['now']} s while its peers did"
            if gaps["now"] > 1
            else f"{node} reported every second",
            unit="/s",
            points=thin(
                (at, None if value is None else value)
                for at, value in evidence.seconds.series(node, "writes")
            ),
            question=ask_points(evidence, names.UPTIME.name),
        ),
    )


def _restarted(evidence: Evidence, node: str) -> Symptom:
    """A new process under the old name, or none."""
    since_ms = evidence.now[0] - RESTART_SLACK_S * 1000
    process, status = evidence.process(node), evidence.status(node)
    curve = evidence.curve(names.UPTIME.name, node)
    if process is None and status is None and curve is None:
        return UNSEEN
    began_ms = _reset_ms(curve, since_ms)
    if process is not None and process.state not in ("running", STANDS_STILL, ""):
        return Symptom(strength=1.0, line=Line(sentence=f"{node} is {process.state}"))
    if process is not None and process.restarts > 0 and process.since_ms >= since_ms:
        began_ms = process.since_ms
    if began_ms is None and status is not None and status.is_reachable:
        born_ms = _born_ms(evidence, status)
        # A fleet that was just started is young as a whole, and nobody fell.
        others = [each for each in evidence.nodes if each.is_reachable and each.node != node]
        has_elder = any(_born_ms(evidence, each) < since_ms for each in others)
        began_ms = born_ms if born_ms >= since_ms and has_elder else None
    if began_ms is not None and _was_ordered(evidence, node, began_ms):
        return Symptom(strength=0.0, line=Line(sentence=f"A run of ours restarted {node}"))
    sentence = f"{node} is the same process as before"
    if began_ms is not None:
        ago_s = max(0, evidence.taken_ms - began_ms) // 1000
        sentence = f"{node} is a new process since {ago_s} s: the old one ended"
    question = ask_points(evidence, names.UPTIME.name)
    points = curve_points(curve, lambda point: point.last)
    return Symptom(
        strength=0.0 if began_ms is None else 1.0,
        line=Line(sentence=sentence, unit="s", points=points, question=question),
    )


def _was_ordered(evidence: Evidence, node: str, began_ms: int) -> bool:
    """A runbook that restarts was at work before the new process began: the cure, not the fault."""
    return any(
        change.source == "runs"
        and change.kind == "restart"
        and change.entity in (node, "fleet")
        and began_ms - ORDERED_MS <= change.at_ms <= began_ms
        for change in evidence.changes
    )


def _stands_still(evidence: Evidence, node: str) -> Symptom:
    """The kernel says now that the process is stopped. One that isn't may have been before."""
    process = evidence.process(node)
    if process is None or process.state != STANDS_STILL:
        return UNSEEN
    sentence = f"{node}'s process is there and stands still"
    return Symptom(strength=1.0, line=Line(sentence=sentence))


def _born_ms(evidence: Evidence, status: NodeNow) -> int:
    return int(evidence.taken_ms - status.uptime_s * 1000)


def _reset_ms(curve: Curve | None, since_ms: int) -> int | None:
    """When the uptime last fell, which only a new process explains."""
    points = () if curve is None else curve.points
    for before, after in pairwise(points):
        if after.last < before.last - 1.0 and after.at_ms >= since_ms - STEP_S * 1000:
            return after.at_ms
    return None


def _unreachable(evidence: Evidence, node: str) -> Symptom:
    status = evidence.status(node)
    if status is None:
        return UNSEEN
    sentence = f"{node} answers on its admin port" if status.is_reachable else status.why
    return Symptom(strength=0.0 if status.is_reachable else 1.0, line=Line(sentence=sentence))


def _flush(evidence: Evidence, node: str) -> Symptom:
    """Flush p99 against the node's own normal time and its peers' now."""
    now = known(evidence.seconds.window(node, "flush_p99_ms", evidence.now))
    if not now:
        return UNSEEN
    value = quantile(now, 0.75)
    usual = median(known(evidence.seconds.window(node, "flush_p99_ms", evidence.normal)))
    peers = [
        quantile(known(evidence.seconds.window(other, "flush_p99_ms", evidence.now)), 0.75)
        for other in evidence.seconds.nodes
        if other != node
    ]
    best = median([peer for peer in peers if peer > 0])
    strength = min(
        ramp(ratio(value, usual, 3.0), 2.0, 6.0),
        ramp(ratio(value, best, 3.0), 2.0, 6.0),
        ramp(value, 8.0, 25.0),
    )
    return Symptom(
        strength=strength,
        line=Line(
            sentence=f"Flush p99 on {node} is {quantity(value, 'ms')}; before "
            f"{quantity(usual, 'ms')}, its peers now {quantity(best, 'ms')}",
            unit="ms",
            points=thin(evidence.seconds.series(node, "flush_p99_ms")),
            question=ask_points(evidence, names.FLUSH_DURATION.name),
        ),
    )


def _loop_late(evidence: Evidence, node: str) -> Symptom:
    """How late the event loop woke, in milliseconds."""
    found = contrast(evidence, names.LOOP_DELAY.name, node, lambda point: point.p99)
    if found is None:
        return UNSEEN
    strength = min(
        ramp(ratio(found.value, found.usual, 4.0), 1.7, 4.0),
        ramp(ratio(found.value, found.peers, 4.0), 1.5, 3.0),
        ramp(found.value, 15.0, 60.0),
    )
    return Symptom(
        strength=strength,
        line=_contrast_line(
            evidence, names.LOOP_DELAY.name, node, found, "Event loop delay p99", "ms",
            lambda point: point.p99,
        ),
    )  # fmt: skip


def _cpu(evidence: Evidence, node: str) -> Symptom:
    """Cores that the process used beyond what its loop's own work explains."""

    def cores(point: Point) -> float | None:
        return point.total / (STEP_S * 1e6)

    found = contrast(evidence, names.PROCESS_CPU.name, node, cores, 0.5)
    if found is None:
        return UNSEEN
    strength = min(_more_cores(found.value, found.usual), _more_cores(found.value, found.peers))
    return Symptom(
        strength=strength,
        line=_contrast_line(
            evidence, names.PROCESS_CPU.name, node, found, "Processor time", "cores", cores
        ),
    )


def _more_cores(value: float, base: float) -> float:
    """Half a core more is much anywhere; where cores are short, several times as much is."""
    grown = min(ramp(ratio(value, base, 0.02), 1.8, 3.2), ramp(value - base, 0.05, 0.12))
    return max(ramp(value - base, 0.2, 0.5), grown)


def _run_queue(evidence: Evidence, node: str) -> Symptom:
    """Milliseconds a second that the loop's thread was ready and had no core."""

    def waited(point: Point) -> float | None:
        return point.total / (STEP_S * 1e3)

    found = contrast(evidence, names.LOOP_RUN_QUEUE.name, node, waited, 0.5)
    if found is None:
        return UNSEEN
    strength = min(
        ramp(found.value - found.usual, 50.0, 250.0), ramp(found.value - found.peers, 50.0, 250.0)
    )
    return Symptom(
        strength=strength,
        line=_contrast_line(
            evidence, names.LOOP_RUN_QUEUE.name, node, found, "Loop waited for a core", "ms/s",
            waited,
        ),
    )  # fmt: skip


def _came_back(evidence: Evidence, node: str) -> Symptom:
    """Seconds that the process itself says it did not report in: it stood still and lives."""
    curve = evidence.curve(names.REPORTS_MISSED.name, node)
    if curve is None:
        return (
            UNSEEN if not evidence.curves_of(names.REPORTS_MISSED.name) else Symptom(strength=0.0)
        )
    missed = sum(
        point.total
        for point in curve.points
        if evidence.now[0] - STEP_S * 1000 <= point.at_ms < evidence.now[1]
    )
    return Symptom(
        strength=ramp(missed, 0.5, 2.0),
        line=Line(
            sentence=f"{node} itself says that it missed {missed:.0f} reports and went on",
            points=curve_points(curve, lambda point: point.total),
            question=ask_points(evidence, names.REPORTS_MISSED.name),
        ),
    )


def _cut(evidence: Evidence, node: str) -> Symptom:
    """Whether the pairs that this node is part of are broken, and those of the others are not."""
    found = links.of(evidence, node)
    if found is None:
        return UNSEEN
    return Symptom(
        strength=found.strength,
        line=Line(
            sentence=found.sentence,
            question=ask_points(evidence, names.PEER_HEARTBEATS_MISSED.name, by=names.PEER),
        ),
    )


def _stage_time(node: str, diffs: Sequence[Diff], stages: frozenset[str]) -> Symptom:
    """The node's share of the added time, in these stages."""
    if not diffs:
        return UNSEEN
    best, line = 0.0, Line(sentence="")
    for diff in diffs:
        if diff.added_ms <= 1.0:
            continue
        mine = [
            (place, ms) for place, ms in diff.added() if place[1] == node and place[0] in stages
        ]
        share = sum(diff.share(place) for place, _ in mine)
        if share > best:
            best = share
            named = ", ".join(dict.fromkeys(place[0] for place, _ in mine[:2]))
            kind = "writes" if diff.kind == names.KIND_WRITE else "reads"
            line = Line(
                sentence=f"{100 * share:.0f} % of the added time of {kind} is {named} on {node}",
            )
    most_ms = max(diff.added_ms for diff in diffs)
    return Symptom(strength=ramp(best, 0.15, 0.6) * ramp(most_ms, 3.0, 12.0), line=line)


LOOKS: Mapping[str, Callable[[Evidence, str], Symptom]] = {
    "silent": _silent,
    "restarted": _restarted,
    "stands_still": _stands_still,
    "unreachable": _unreachable,
    "flush": _flush,
    "loop_late": _loop_late,
    "cpu": _cpu,
    "run_queue": _run_queue,
    "came_back": _came_back,
    "cut": _cut,
}


def _contrast_line(
    evidence: Evidence,
    metric: str,
    node: str,
    found: Contrast,
    what: str,
    unit: str,
    read: Callable[[Point], float | None],
) -> Line:
    return Line(
        sentence=f"{what} on {node} is {quantity(found.value, unit)}; before "
        f"{quantity(found.usual, unit)}, its peers now {quantity(found.peers, unit)}",
        unit=unit,
        points=curve_points(evidence.curve(metric, node), read),
        question=ask_points(evidence, metric),
    )
