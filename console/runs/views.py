"""Runs: the list, one run, and its buttons. The audit row is written before the effect."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.audit.actions import record
from console.errors import refused
from console.live.sources import observatory
from console.runs.page import live_context, named_params, run_verdict
from runbooks import actions
from runbooks.errors import NoSuchRun, RunError
from runbooks.queries import run_detail

PAGE_MAX_AGE_MS = 2500


@never_cache
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    picture = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS)
    return render(request, "runs/list.html", live_context(picture) | {"live_page": "runs"})


@never_cache
@require_safe
def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """The whole page, or with `HX-Request` the part of it that changes."""
    try:
        detail = run_detail(run_id)
    except NoSuchRun as error:
        return refused(request, str(error), status=error.status, back="runs")
    done = sum(1 for step in detail.steps if step.state == "done")
    page = {
        "detail": detail,
        "run": detail.run,
        "verdict": run_verdict(detail),
        "done_percent": 100 * done // max(1, len(detail.steps)),
        "params": named_params(detail.run),
        "live_page": "badge",
        "profile_id": detail.run.outcome.get("profile_id"),
    }
    template = "runs/live.html" if request.headers.get("HX-Request") else "runs/page.html"
    return render(request, template, page)


@require_POST
def retry(request: HttpRequest, run_id: int) -> HttpResponse:
    actor = request.user.get_username()
    record(actor=actor, action="retry run", target=f"run {run_id}")
    try:
        actions.retry(run_id, actor)
    except RunError as error:
        return refused(request, str(error), status=error.status, back="runs")
    return redirect("run", run_id)


@require_POST
def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    actor = request.user.get_username()
    record(actor=actor, action="cancel run", target=f"run {run_id}")
    try:
        actions.cancel(run_id, actor)
    except RunError as error:
        return refused(request, str(error), status=error.status, back="runs")
    return redirect("run", run_id)
