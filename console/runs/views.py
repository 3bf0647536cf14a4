"""Runs: the list, one run, and what a person may do to it. Each deed is audited before it."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.accounts.roles import Role
from console.audit.actions import record
from console.audit.chain import Detail
from console.errors import refused
from console.gate import caller_of
from console.live.sources import observatory
from console.runs.box import approve_box, role_to_approve, runbook_of, waiting_step
from console.runs.page import list_context, named_params, run_verdict
from console.runs.plan import plan_rows, standing
from runbooks import actions, decisions, proof
from runbooks.errors import NoSuchRun, PlanChanged, RunError
from runbooks.models import Run
from runbooks.queries import RunDetail, run_detail

PAGE_MAX_AGE_MS = 2500
REFRESH = {"HX-Refresh": "true"}


@never_cache
@require_safe
def runs(request: HttpRequest) -> HttpResponse:
    show = request.GET.get("show", "")
    picture = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS)
    page = list_context(picture, show) | {"live_page": "badge" if show else "runs"}
    return render(request, "runs/list.html", page)


@never_cache
@require_safe
def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """The whole page, or with `HX-Request` the part of it that changes."""
    try:
        detail = run_detail(run_id)
    except NoSuchRun as error:
        return refused(request, str(error), status=error.status, back="runs")
    template = "runs/live.html" if request.headers.get("HX-Request") else "runs/page.html"
    return render(request, template, page_of(request, detail))


def page_of(request: HttpRequest, detail: RunDetail) -> dict[str, Any]:
    caller = caller_of(request)
    forward = [step for step in detail.steps if not step.is_undo]
    done = sum(1 for step in forward if step.state in ("done", "skipped"))
    runbook = runbook_of(detail.run.kind)
    proven = proof.of(detail.run.kind) if runbook is not None else None
    return {
        "detail": detail,
        "run": detail.run,
        "rows": plan_rows(detail),
        "at": standing(detail),
        "verdict": run_verdict(detail),
        "done_percent": 100 * done // max(1, len(forward)),
        "usually_s": proven.median_s if proven is not None else None,
        "params": named_params(detail.run),
        "live_page": "badge",
        "profile_id": detail.run.outcome.get("profile_id"),
        "runbook": runbook,
        "box": approve_box(detail, person=caller.name, role=caller.role or Role.VIEWER),
        "waits": waiting_step(detail),
        "can_undo": detail.run.state in ("done", "failed") and decisions.may_undo(detail.run.id),
    }


@never_cache
@require_safe
def approve_part(request: HttpRequest, run_id: int) -> HttpResponse:
    """The part of the Approve box that is read again every two seconds."""
    try:
        detail = run_detail(run_id)
    except NoSuchRun as error:
        return HttpResponse(status=error.status)
    caller = caller_of(request)
    box = approve_box(detail, person=caller.name, role=caller.role or Role.VIEWER)
    if box is None:
        return HttpResponse(headers=REFRESH)  # Decided meanwhile: the page is another one.
    return render(request, "runs/approve_part.html", {"box": box, "run": detail.run})


@require_POST
def approve(request: HttpRequest, run_id: int) -> HttpResponse:
    plan_hash, reason = request.POST.get("plan_hash", ""), request.POST.get("reason", "").strip()
    try:
        needed = role_to_approve(run_detail(run_id))
    except NoSuchRun as error:
        return refused(request, str(error), status=error.status, back="runs")
    if (caller_of(request).role or Role.VIEWER) < needed:
        told = f"{needed.word.capitalize()} role needed to approve"
        return refused(request, told, status=403, back="runs")
    detail_of_audit: Detail = {"plan": plan_hash[:64], "reason": reason[:200]}
    alone = request.POST.get("alone") == "1"
    return _deed(
        request,
        run_id,
        "approve run",
        lambda actor: actions.approve(
            run_id, actor=actor, plan_hash=plan_hash, reason=reason, alone=alone
        ),
        detail_of_audit,
    )


@require_POST
def decline(request: HttpRequest, run_id: int) -> HttpResponse:
    return _deed(request, run_id, "decline run", lambda actor: actions.decline(run_id, actor=actor))


@require_POST
def settle(request: HttpRequest, run_id: int) -> HttpResponse:
    happened = request.POST.get("happened")
    if happened not in ("yes", "no"):
        return refused(request, "happened is yes or no", status=400, back="runs")
    return _deed(
        request,
        run_id,
        "settle run",
        lambda actor: actions.settle_unknown(run_id, actor=actor, happened=happened == "yes"),
        {"happened": happened},
    )


@require_POST
def undo(request: HttpRequest, run_id: int) -> HttpResponse:
    return _deed(request, run_id, "take run back", lambda actor: actions.undo(run_id, actor=actor))


@require_POST
def retry(request: HttpRequest, run_id: int) -> HttpResponse:
    return _deed(request, run_id, "retry run", lambda actor: actions.retry(run_id, actor))


@require_POST
def cancel(request: HttpRequest, run_id: int) -> HttpResponse:
    return _deed(request, run_id, "cancel run", lambda actor: actions.cancel(run_id, actor))


def _deed(
    request: HttpRequest,
    run_id: int,
    name: str,
    do: Callable[[str], Run],
    detail: Detail | None = None,
) -> HttpResponse:
    actor = request.user.get_username()
    record(actor=actor, action=name, target=f"run {run_id}", detail=detail)
    try:
        do(actor)
    except PlanChanged as error:
        context = "Nothing was approved. The plan that you read is not what would be done now."
        return refused(
            request, str(error), status=error.status, back="runs", context=context
        )  # fmt: skip
    except RunError as error:
        return refused(request, str(error), status=error.status, back="runs")
    return redirect("run", run_id)
