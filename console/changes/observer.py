"""We look ourselves at what may have changed, and write down the difference.

Four sources, each asked every few seconds by the watcher: the effective settings with the version
(ours and each node's), the processes of the registry, who leads, and the files that decide what
alerts and runbooks mean. What a source said is kept whole, so that a change is found even if it was
made while nobody looked. A source that doesn't answer is not heard from, and pages say so: without
that, "no change" would be a guess.

While a drill is under way its doings are written with its mark, which `queries.between` never
returns: whoever looks for a cause must not find the answer there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings

from console.changes.actions import heard, record_change
from console.changes.models import Source
from console.release import VERSION, commit
from runbooks.clock import to_ms
from runbooks.drills import mark
from storage_core.client import FleetClient
from storage_core.errors import NodeUnreachable
from storage_core.fleet.client import Refused, SupervisorAway, ask
from telemetry.config import ROWS

ANSWER_S_MAX = 0.5
HEARD_EVERY_MS = 10_000
ROOT = Path(__file__).resolve().parents[2]
# Settings whose value nobody may read off a page.
SECRET = frozenset(
    {"page_webhook_url", "page_slack_url", "page_pagerduty_key", "page_smtp_url", "heartbeat_url"}
)

Said = Mapping[str, str]
Change = tuple[str, str, str, dict[str, Any]]  # kind, title, entity, detail


class NotHeard(Exception):
    """The source didn't answer."""


def observe(now_ms: int) -> int:
    """Ask every source once; how many changes were written."""
    is_drill = mark.active(settings.HOLDFAST.run, now_ms=now_ms) is not None
    written = 0
    for name, (listen, compare) in SOURCES.items():
        try:
            said = listen()
        except NotHeard:
            continue
        written += _note(name, said, compare, now_ms, is_drill)
    return written


def _note(name: str, said: Said, compare: Compare, now_ms: int, is_drill: bool) -> int:
    before = Source.objects.filter(name=name).first()
    changes = [] if before is None else compare(before.said, said)
    for kind, title, entity, detail in changes:
        record_change(
            name, kind, title, entity=entity, detail=detail, at_ms=now_ms, is_drill=is_drill
        )
    is_old = before is None or now_ms - to_ms(before.heard_at) >= HEARD_EVERY_MS
    if is_old or changes:
        heard(name, said, at_ms=now_ms)
    return len(changes)


def settings_said() -> Said:
    """Version and effective settings, with secrets as fingerprints."""
    said = {"version": VERSION, "commit": commit() or ""}
    for field, value in asdict(settings.HOLDFAST).items():
        text = str(value)
        if field in SECRET and text:
            text = f"set ({hashlib.sha256(text.encode()).hexdigest()[:8]})"
        said[ROWS[field].variable] = text
    return said


def processes_said() -> Said:
    try:
        parts = ask(settings.HOLDFAST.run, "registry", timeout_s=ANSWER_S_MAX)
    except (SupervisorAway, Refused) as error:
        raise NotHeard from error
    return {
        str(name): f"{entry.get('pid')}"
        for name, entry in parts.items()
        if isinstance(entry, Mapping) and entry.get("pid")
    }


def leader_said() -> Said:
    """Who a majority of the nodes says leads, with the term."""
    client = FleetClient(settings.HOLDFAST)
    votes: dict[tuple[int, int], int] = {}
    for node in range(settings.HOLDFAST.nodes):
        try:
            status = client.status(node, ANSWER_S_MAX)
        except NodeUnreachable:
            continue
        if status.leader is not None:
            votes[status.leader, status.term] = votes.get((status.leader, status.term), 0) + 1
    for (leader, term), count in votes.items():
        if count > settings.HOLDFAST.nodes // 2:
            return {"leader": f"node-{leader}", "term": str(term)}
    raise NotHeard


def files_said() -> Said:
    """Fingerprints of objectives and runbooks, ours and those of the home folder."""
    home = settings.HOLDFAST.home
    folders = (ROOT / "runbooks" / "library", home / "runbooks")
    paths = [ROOT / "telemetry" / "slo" / "objectives.yaml", home / "objectives.yaml"]
    for folder in folders:
        paths += sorted(folder.glob("*.yaml"))
    said = {}
    try:
        for path in paths:
            if path.exists():
                base = home if path.is_relative_to(home) else ROOT
                digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
                said[str(path.relative_to(base))] = digest
    except OSError as error:
        raise NotHeard from error
    return said


def settings_changed(before: Said, now: Said) -> list[Change]:
    found: list[Change] = []
    for name in sorted(set(before) | set(now)):
        old, new = before.get(name, ""), now.get(name, "")
        if old == new or name == "commit":
            continue
        detail = {"before": old, "after": new}
        if name == "version":
            found.append(("version", f"version {old} became {new}", "fleet", detail))
        else:
            title = f"{name}: {old or 'empty'} became {new or 'empty'}"
            found.append(("setting", title, "fleet", detail))
    if before.get("commit", "") != now.get("commit", "") and not found:
        detail = {"before": before.get("commit", ""), "after": now.get("commit", "")}
        found.append(("version", f"commit became {detail['after'][:12]}", "fleet", detail))
    return found


def processes_changed(before: Said, now: Said) -> list[Change]:
    return [
        (
            "restart",
            f"{name} was started again",
            name,
            {"before": before[name], "after": now[name]},
        )
        for name in sorted(set(before) & set(now))
        if before[name] != now[name]
    ]


def leader_changed(before: Said, now: Said) -> list[Change]:
    if before == now:
        return []
    detail = {"before": dict(before), "after": dict(now)}
    if before.get("leader") == now["leader"]:
        title = f"{now['leader']} leads again, in term {now['term']}"
    else:
        title = f"leader: {before.get('leader', 'nobody')} to {now['leader']}"
        title += f", term {now['term']}"
    return [("leader", title, now["leader"], detail)]


def files_changed(before: Said, now: Said) -> list[Change]:
    found: list[Change] = []
    for name in sorted(set(before) | set(now)):
        old, new = before.get(name, ""), now.get(name, "")
        if old != new:
            word = "edited" if old and new else ("added" if new else "removed")
            kind = "runbook" if "runbooks" in name else "objective"
            found.append((kind, f"{name} was {word}", "fleet", {"before": old, "after": new}))
    return found


Compare = Callable[[Said, Said], list[Change]]
SOURCES: Mapping[str, tuple[Callable[[], Said], Compare]] = {
    "settings": (settings_said, settings_changed),
    "processes": (processes_said, processes_changed),
    "leader": (leader_said, leader_changed),
    "files": (files_said, files_changed),
}
