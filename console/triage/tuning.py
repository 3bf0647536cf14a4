"""Settings as a cause: who runs with another value than its peers, or since shortly before.

Pure. That something changed proves nothing: a change is named only if it touches what moved, the
node or the stage (a tool that blamed every recent change was right by luck). Two proofs count: the
effective settings of one node differ from those of most, or a settings change came within a quarter
of an hour before the onset, the later the likelier.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from console.triage.evidence import ChangeSeen, Evidence
from console.triage.findings import Line
from console.triage.measures import Symptom
from console.triage.stages import Diff

BEFORE_MS = 15 * 60_000
AFTER_MS = 2 * 60_000
FADE_MS = 5 * 60_000
DIFFERS = 0.9
SETTINGS_SOURCES = frozenset(("settings", "api"))
FLEET = "fleet"

TOUCHES: Mapping[str, frozenset[str]] = {
    "batch": frozenset(("queue", "append", "flush", "quorum", "forward")),
    "flight": frozenset(("admit", "queue", "forward", "quorum")),
    "apply": frozenset(("apply", "queue", "quorum", "forward", "barrier")),
    "cache": frozenset(("cache", "disk")),
    "unreplicated": frozenset(("body", "admit", "forward")),
    "request_wait": frozenset(("park", "forward", "barrier", "queue")),
    "election": frozenset(("park", "forward", "barrier", "quorum")),
    "heartbeat": frozenset(("park", "forward", "barrier", "quorum")),
    "lease": frozenset(("park", "forward", "barrier")),
}
"""Which stages a setting can move, by a piece of its name."""


def of(evidence: Evidence, diffs: Sequence[Diff]) -> dict[str, dict[str, Symptom]]:
    """By entity: "setting" (it differs, or changed) and "setting_stage" (what it touches moved)."""
    found: dict[str, dict[str, Symptom]] = {}
    for node, name, value, usual in strangers(evidence):
        found[node] = {
            "setting": Symptom(
                strength=DIFFERS,
                line=Line(sentence=f"{node} runs with {name} = {value}, its peers with {usual}"),
            ),
            "setting_stage": touched(name, node, diffs),
        }
    for change in recent(evidence):
        entity = change.entity if change.entity.startswith("node-") else FLEET
        strength = _fading(evidence, change)
        before = found.get(entity)
        if before is not None and (before["setting"].strength or 0.0) >= strength:
            continue
        minutes = max(0.0, ((evidence.onset_ms or evidence.now[0]) - change.at_ms) / 60_000)
        sentence = f"{change.title}, {minutes:.1f} min before it began"
        found[entity] = {
            "setting": Symptom(strength=strength, line=Line(sentence=sentence)),
            "setting_stage": touched(change.title, entity, diffs),
        }
    return found


def strangers(evidence: Evidence) -> list[tuple[str, str, int, int]]:
    """(node, setting, its value, the others') where one node differs from all its peers."""
    told = {each.node: each.settings for each in evidence.nodes if each.settings}
    found = []
    for name in sorted({name for settings in told.values() for name in settings}):
        values = {node: settings[name] for node, settings in told.items() if name in settings}
        usual, count = Counter(values.values()).most_common(1)[0] if values else (0, 0)
        # Two that differ don't say which of them is wrong.
        if len(values) >= 3 and count > len(values) / 2:
            found += [
                (node, name, value, usual) for node, value in values.items() if value != usual
            ]
    return found


def remedy(evidence: Evidence, entity: str) -> dict[str, str | int]:
    """The setting in which a node differs, and its peers' value; empty if it differs in none."""
    for node, name, _, usual in strangers(evidence):
        if node == entity:
            return {"name": name, "value": usual}
    return {}


def recent(evidence: Evidence) -> list[ChangeSeen]:
    """Changes of settings near the onset, oldest first."""
    onset_ms = evidence.onset_ms or evidence.now[0]
    return sorted(
        (
            change
            for change in evidence.changes
            if change.source in SETTINGS_SOURCES
            # A new version is no setting, however soon after its start something breaks.
            and change.kind != "version"
            and onset_ms - BEFORE_MS <= change.at_ms <= onset_ms + AFTER_MS
        ),
        key=lambda change: change.at_ms,
    )


def _fading(evidence: Evidence, change: ChangeSeen) -> float:
    onset_ms = evidence.onset_ms or evidence.now[0]
    return math.exp(-max(0, onset_ms - change.at_ms) / FADE_MS)


def touched(name: str, entity: str, diffs: Sequence[Diff]) -> Symptom:
    """How much of the added time lies in stages that this setting can move."""
    lower = name.lower()
    stages = frozenset().union(*(each for piece, each in TOUCHES.items() if piece in lower))
    if not stages:
        return Symptom(strength=None)
    share = max(
        (
            sum(diff.share(place) for place, _ in diff.added() if place[0] in stages)
            for diff in diffs
            if diff.added_ms > 1.0
        ),
        default=0.0,
    )
    return Symptom(
        strength=share,
        line=Line(
            sentence=f"{100 * share:.0f} % of the added time is in stages that it can move "
            f"({', '.join(sorted(stages))})"
        ),
    )
