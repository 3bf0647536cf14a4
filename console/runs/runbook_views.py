"""Runbooks: the list, one as a document, starting one, and what may start by itself."""

from collections.abc import Mapping

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.audit.actions import record
from console.errors import refused
from console.runs import runbook_pages
from console.runs.asking import typed
from runbooks import actions, library, policies
from runbooks.errors import BadParameter, RunError
from runbooks.library.definition import Runbook


@never_cache
@require_safe
def runbooks(request: HttpRequest) -> HttpResponse:
    rows = runbook_pages.rows()
    page = {
        "verdict": runbook_pages.list_verdict(rows),
        "rows": rows,
        "problems": library.problems(),
        "live_page": "badge",
    }
    return render(request, "runbooks/list.html", page)


@never_cache
@require_safe
def runbook(request: HttpRequest, name: str) -> HttpResponse:
    return _page(request, name, asked={**request.GET.dict()}, problem="", status=200)


@require_POST
def start(request: HttpRequest, name: str) -> HttpResponse:
    """Starts a run, or a dry run, and goes to its page; or shows the form again with the error."""
    asked = request.POST.dict()
    dry = asked.get("mode") == "dry"
    actor = request.user.get_username()
    record(
        actor=actor,
        action="dry-run runbook" if dry else "start runbook",
        target=name,
        detail={"target": str(asked.get("target", ""))[:100]},
    )
    try:
        found = library.get(name)
        run = actions.start_runbook(
            name,
            _asked(found, asked),
            actor=actor,
            subject=str(asked.get("subject", "")),
            mode="dry" if dry else "real",
        )
    except RunError as error:
        return _page(request, name, asked=asked, problem=str(error), status=error.status)
    return redirect("run", run.pk)


@require_POST
def allow(request: HttpRequest) -> HttpResponse:
    """An admin lets a runbook start by itself for a kind of finding."""
    kind, name = request.POST.get("finding_kind", ""), request.POST.get("runbook", "")
    actor = request.user.get_username()
    record(actor=actor, action="allow policy", target=kind, detail={"runbook": name[:40]})
    try:
        policies.allow(kind, name, actor=actor)
    except RunError as error:
        return refused(request, str(error), status=error.status, back="runbooks")
    return redirect("runbook", name)


@require_POST
def forbid(request: HttpRequest) -> HttpResponse:
    kind, name = request.POST.get("finding_kind", ""), request.POST.get("runbook", "")
    actor = request.user.get_username()
    record(actor=actor, action="forbid policy", target=kind)
    try:
        policies.forbid(kind, actor=actor)
    except RunError as error:
        return refused(request, str(error), status=error.status, back="runbooks")
    # The button stands on a runbook's page, and may outlive the runbook.
    known = {book.name for book in library.all()}
    return redirect("runbook", name) if name in known else redirect("runbooks")


@require_POST
def hold(request: HttpRequest, start_id: int) -> HttpResponse:
    """A person keeps a policy from starting a run that is due in some seconds."""
    actor = request.user.get_username()
    record(actor=actor, action="hold policy", target=f"start {start_id}")
    try:
        policies.hold(start_id, actor=actor)
    except RunError as error:
        return refused(request, str(error), status=error.status, back="runs")
    back = request.POST.get("back", "")
    return redirect(back if _is_path(back) else "runs")


def _asked(runbook: Runbook, form: Mapping[str, str]) -> dict[str, object]:
    names = [parameter.name for parameter in runbook.params]
    texts = {name: form.get(f"param-{name}", "") for name in names}
    return typed(runbook, form.get("target", ""), texts)


def _is_path(text: str) -> bool:
    return text.startswith("/") and url_has_allowed_host_and_scheme(text, allowed_hosts=None)


def _page(
    request: HttpRequest, name: str, *, asked: Mapping[str, object], problem: str, status: int
) -> HttpResponse:
    try:
        found = library.get(name)
    except BadParameter as error:
        return refused(request, str(error), status=404, back="runbooks")
    page = runbook_pages.page(found) | {"asked": asked, "problem": problem, "live_page": "badge"}
    return render(request, "runbooks/page.html", page, status=status)
