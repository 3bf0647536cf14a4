"""The runbooks in force: those that we ship, and a user's own in HOLDFAST_HOME/runbooks.

A file of the user's with the same name as one of ours takes its place. A file with an error takes
nobody's: the version of it that was in force before stays (it is kept in the table of versions), or
ours does; the page shows the error with file, line and field. Files are looked at again whenever
their size or time changed, so an edit is in force at the next start of a run, and a run that is
under way keeps the plan that it was started with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from django.conf import settings

from runbooks import clock
from runbooks.errors import BadParameter
from runbooks.library.definition import Runbook
from runbooks.library.reading import BadRunbook, Problem, read
from runbooks.models import RunbookVersion

SHIPPED = Path(__file__).parent
OWN_FILES_MAX = 100

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """What was found when the files were last read. `problems` are of files that are not used."""

    stamp: Stamp
    runbooks: tuple[Runbook, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """One text that was in force; times are aware UTC."""

    name: str
    content_hash: str
    text: str
    is_own: bool
    first_seen_ms: int


_shelf: list[Shelf] = []
# What each file was found to hold when it last changed; an edit reads one file, not all.
_found: dict[tuple[str, int, int], Runbook | BadRunbook] = {}


def all() -> tuple[Runbook, ...]:
    """Every runbook in force, by name."""
    return _look().runbooks


def problems() -> tuple[Problem, ...]:
    """What is wrong with files that can't be used; empty if all can."""
    return _look().problems


def get(name: str) -> Runbook:
    """The version in force. Raises BadParameter naming those that there are."""
    found = next((runbook for runbook in all() if runbook.name == name), None)
    if found is None:
        raise BadParameter("runbook", name, f"one of {', '.join(each.name for each in all())}")
    return found


def for_finding(kind: str, *, is_leader: bool | None) -> Runbook | None:
    """The runbook for a kind of finding; None if there is none. One for exactly this role first.

    `is_leader` is whether the finding's node leads; None for what is no node.
    """
    role = {True: "leader", False: "follower", None: "any"}[is_leader]
    fitting = [
        (match.role == "any", not runbook.is_own, runbook.name, runbook)
        for runbook in all()
        for match in runbook.matches
        if match.kind == kind and match.role in ("any", role)
    ]
    return min(fitting, key=lambda row: row[:3])[3] if fitting else None


def versions(name: str) -> tuple[VersionRow, ...]:
    """The texts of that name that were in force once, newest first. One query."""
    rows = RunbookVersion.objects.filter(name=name)[:50]
    return tuple(
        VersionRow(
            name=row.name,
            content_hash=row.content_hash,
            text=row.text,
            is_own=row.is_own,
            first_seen_ms=clock.to_ms(row.first_seen_at),
        )
        for row in rows
    )


def own_folder() -> Path:
    """Where a user's own runbooks lie."""
    return settings.HOLDFAST.home / "runbooks"


def _look() -> Shelf:
    stamp = _stamp()
    if not _shelf or _shelf[0].stamp != stamp:
        _shelf[:] = [_read_all(stamp)]
    return _shelf[0]


def _stamp() -> Stamp:
    """Every file there is, ours first, with what tells one state of it from another."""
    try:
        own_files = sorted(own_folder().glob("*.yaml"))[:OWN_FILES_MAX]
    except OSError:
        own_files = []
    found = []
    for path in [*sorted(SHIPPED.glob("*.yaml")), *own_files]:
        try:
            facts = path.stat()
        except OSError:
            continue  # Gone since it was listed.
        found.append((str(path), facts.st_mtime_ns, facts.st_size))
    return tuple(found)


def _read_all(stamp: Stamp) -> Shelf:
    in_force: dict[str, Runbook] = {}
    wrong: list[Problem] = []
    for gone in set(_found) - set(stamp):
        _found.pop(gone, None)  # Another thread may look at the same moment.
    for facts in stamp:
        path = Path(facts[0])
        is_own = path.parent != SHIPPED
        if facts not in _found:
            _found[facts] = _read(path, is_own)
        found = _found[facts]
        if isinstance(found, Runbook):
            in_force[found.name] = found
            continue
        wrong += found.problems
        before = _last_sound(path.stem) if is_own else None
        if before is not None:
            in_force[before.name] = before
    return Shelf(stamp, tuple(in_force[name] for name in sorted(in_force)), tuple(wrong))


def _read(path: Path, is_own: bool) -> Runbook | BadRunbook:
    name = f"runbooks/{path.name}" if is_own else f"runbooks/library/{path.name}"
    try:
        return read(path.read_bytes(), file=name, is_own=is_own)
    except OSError as error:
        return BadRunbook([Problem(file=name, line=1, field="", expected=str(error))])
    except BadRunbook as error:
        return error


def _last_sound(name: str) -> Runbook | None:
    """The last version of a user's file that could be used. A file is named as its runbook."""
    row = RunbookVersion.objects.filter(name=name, is_own=True).first()
    if row is None:
        return None
    try:
        return read(row.text.encode(), file=f"version {row.content_hash[:8]}", is_own=True)
    except BadRunbook:
        return None  # It was sound for an older release.


def with_text(version: VersionRow) -> Runbook | None:
    """The runbook that a version was; None if this release can't read it any more."""
    try:
        read_again = read(version.text.encode(), file=version.name, is_own=version.is_own)
    except BadRunbook:
        return None
    return replace(read_again, path=f"version {version.content_hash[:8]}")


def names(runbooks: Sequence[Runbook]) -> str:
    """For sentences."""
    return ", ".join(runbook.name for runbook in runbooks)
