"""Profiles: the list with its start form, one profile as a flame graph, its stacks as data."""

from collections.abc import Sequence

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from console.audit.actions import record
from console.errors import refused
from console.evidence import Profile, ProfileRow
from console.evidence_reads import evidence
from console.figures import clock_time
from console.live.observatory import SourceSilent
from console.live.sources import observatory
from console.profiles.forms import read_params
from console.profiles.stacks import FunctionRow, depth, function_rows
from console.verdict import Verdict, plural
from runbooks import actions
from runbooks.errors import RunError

LIST_ROWS = 100
FLAME_ROW_PX = 20  # As flame.js draws them: the room is kept before the script has drawn.
PAGE_MAX_AGE_MS = 2500
NOT_TARGETS = ("profiler",)


def target_names() -> Sequence[str]:
    """What can be profiled: the registry's names, or the nodes' while the registry is silent."""
    processes = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS).supervisor.value or ()
    names = [process.name for process in processes if process.name not in NOT_TARGETS]
    return names or [f"node-{node}" for node in range(settings.HOLDFAST.nodes)]


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def profiles(request: HttpRequest) -> HttpResponse:
    problem = ""
    status = 200
    if request.method == "POST":
        target = request.POST.get("target", "")
        actor = request.user.get_username()
        record(actor=actor, action="start profile", target=target)
        try:
            run = actions.start(
                "capture-profile", target, read_params(request.POST.dict()), actor=actor
            )
        except RunError as error:
            problem, status = str(error), error.status
        else:
            return redirect("run", run.pk)
    rows: Sequence[ProfileRow] = ()
    silent = ""
    try:
        rows = evidence.profiles(LIST_ROWS)
    except SourceSilent as error:
        silent = str(error)
    page = {
        "verdict": list_verdict(rows, silent),
        "profiles": rows,
        "silent": silent,
        "problem": problem,
        "targets": target_names(),
        "asked": request.POST.dict(),
        "live_page": "badge",
    }
    return render(request, "profiles/list.html", page, status=status)


def list_verdict(rows: Sequence[ProfileRow], silent: str) -> Verdict:
    if silent:
        return Verdict(
            state="unknown",
            sentence="Profiles can't be seen: telemetry doesn't answer",
            context=f"{silent} · A new one can be started; it is stored when telemetry is back.",
        )
    if not rows:
        return Verdict(
            state="idle",
            sentence="No profile was captured yet",
            context="A profile samples the stacks of one process; it pauses it a few percent.",
        )
    newest = rows[0]
    return Verdict(
        state="idle",
        sentence=f"{plural(len(rows), 'profile')}, the newest of {newest.target} "
        f"at {clock_time(newest.started_ms)} UTC",
        context="A profile samples the stacks of one process; it pauses it a few percent.",
    )


def find(request: HttpRequest, profile_id: str) -> Profile | HttpResponse:
    try:
        profile = evidence.profile(profile_id)
    except SourceSilent as error:
        return refused(
            request,
            "This profile can't be seen: telemetry doesn't answer",
            status=503,
            back="profiles",
            context=str(error),
        )
    if profile is None:
        return refused(
            request,
            "There is no such profile, or it is older than the retention",
            status=404,
            back="profiles",
        )
    return profile


@never_cache
@require_safe
def profile(request: HttpRequest, profile_id: str) -> HttpResponse:
    found = find(request, profile_id)
    if isinstance(found, HttpResponse):
        return found
    rows = function_rows(found.collapsed)
    page = {
        "verdict": profile_verdict(found.row, rows),
        "profile": found.row,
        "functions": rows,
        "flame_height_px": FLAME_ROW_PX * depth(found.collapsed),
        "live_page": "badge",
    }
    return render(request, "profiles/page.html", page)


def profile_verdict(row: ProfileRow, functions: Sequence[FunctionRow]) -> Verdict:
    if not functions:
        sentence = f"{row.target} was idle: no sample in {row.seconds:g} s"
        return Verdict(state="idle", sentence=sentence)
    best = functions[0]
    pause = f" · paused it {row.pause_percent:.1f} %" if row.pause_percent is not None else ""
    return Verdict(
        state="idle",
        sentence=f"{row.target}: {best.own_percent:.0f} % of samples in {short(best.name)}",
        context=f"{row.samples:,} samples in {row.seconds:g} s at {row.rate_hz} Hz"
        f" · {clock_time(row.started_ms)} UTC{pause}",
    )


def short(frame: str) -> str:
    """The function without its file: `apply (catalog.py:12)` is `apply`."""
    return frame.split(" (", 1)[0]


@never_cache
@require_safe
def stacks(request: HttpRequest, profile_id: str) -> HttpResponse:
    """The collapsed stacks: for the flame graph, or to be opened in another tool."""
    found = find(request, profile_id)
    if isinstance(found, HttpResponse):
        return found
    return HttpResponse(
        found.collapsed,
        content_type="text/plain; charset=utf-8",
        headers={"Content-Disposition": "attachment; filename=holdfast-stacks.txt"},
    )
