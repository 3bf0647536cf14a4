"""Drills: the list, the report, start and stop. The audit row is written before the effect."""

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.audit.actions import record
from console.drills import export
from console.drills.page import list_context, report_context
from console.errors import refused
from runbooks.drills import actions, queries
from runbooks.drills.errors import NoSuchDrill, NotRunning
from runbooks.drills.folder import DrillFolder
from runbooks.errors import BadParameter, RunError

OVER = "over"
"""In the address of a drill that somebody wanted to stop and that had ended by itself."""


@never_cache
def drills(request: HttpRequest) -> HttpResponse:
    """GET the list; POST `scenario` starts one. Its fault stands for `hold_s`, if that is given."""
    if request.method != "POST":
        return render(request, "drills/list.html", list_context())
    actor, scenario = request.user.get_username(), request.POST.get("scenario", "")
    record(actor=actor, action="start drill", target=scenario[:100])
    try:
        drill = actions.start(scenario, actor=actor, hold_s=_hold_s(request.POST.get("hold_s", "")))
    except RunError as error:
        return refused(request, str(error), status=error.status, back="drills")
    return redirect("drill", drill.pk)


@never_cache
@require_safe
def drill(request: HttpRequest, drill_id: int) -> HttpResponse:
    """The whole page, or with `HX-Request` the part of it that changes."""
    try:
        found = queries.report(drill_id)
    except NoSuchDrill as error:
        return refused(request, str(error), status=error.status, back="drills")
    template = "drills/live.html" if request.headers.get("HX-Request") else "drills/page.html"
    page = report_context(found) | {"came_too_late": OVER in request.GET}
    return render(request, template, page)


@never_cache
@require_safe
def download(request: HttpRequest, drill_id: int, form: str) -> HttpResponseBase:
    """The drill as `json`, `history` (an operation a line) or `markdown`."""
    try:
        found = queries.report(drill_id)
    except NoSuchDrill as error:
        return refused(request, str(error), status=error.status, back="drills")
    name = f"drill-{drill_id}"
    if form == "json":
        answer: HttpResponseBase = JsonResponse(export.as_json(found))
        answer["Content-Disposition"] = f'attachment; filename="{name}.json"'
        return answer
    if form == "markdown":
        answer = HttpResponse(export.as_markdown(found), content_type="text/markdown")
        answer["Content-Disposition"] = f'attachment; filename="{name}.md"'
        return answer
    path = DrillFolder(settings.HOLDFAST.home, drill_id).history
    if form != "history" or not path.exists():
        return refused(request, "The history is no longer kept", status=404, back="drills")
    return FileResponse(path.open("rb"), as_attachment=True, filename=f"{name}.jsonl")


@require_POST
def stop(request: HttpRequest, drill_id: int) -> HttpResponse:
    actor = request.user.get_username()
    record(actor=actor, action="stop drill", target=str(drill_id))
    try:
        actions.stop(drill_id, actor=actor)
    except NotRunning:
        return redirect(f"{reverse('drill', args=[drill_id])}?{OVER}=1")
    except RunError as error:
        return refused(request, str(error), status=error.status, back="drills")
    return redirect("drill", drill_id)


def _hold_s(text: str) -> float | None:
    """As it was typed; empty leaves it to the scenario. Raises BadParameter."""
    try:
        return float(text) if text else None
    except ValueError:
        raise BadParameter("hold_s", text, "a number of seconds") from None
