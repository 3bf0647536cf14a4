"""The stream every open page listens to, and the whole series for its charts."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.template.loader import render_to_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.cluster import page as cluster_page
from console.incidents import page as incidents_page
from console.incidents.errors import NoSuchIncident
from console.live.badge import badge_of
from console.live.broadcast import broadcast_of, series_json
from console.live.observatory import Picture
from console.live.sources import observatory
from console.now import page as now_page
from console.runs import page as runs_page
from console.slos import page as slos_page

SERIES_MAX_AGE_MS = 2500
RETRY_AFTER_S = 15


def badge_context(picture: Picture) -> dict[str, Any]:
    return {"badge": badge_of(picture)}


# Page -> (template of its partials, what it is rendered with).
PAGES: dict[str, tuple[str, Callable[[Picture], dict[str, Any]]]] = {
    "now": ("live/now.html", now_page.live_context),
    "cluster": ("live/cluster.html", cluster_page.live_context),
    "runs": ("live/runs.html", runs_page.live_context),
    "slos": ("live/slos.html", slos_page.live_context),
    "badge": ("live/badge_partial.html", badge_context),
}


INCIDENT = re.compile(r"incident-([0-9]{1,9})")


def shown_on(page: str) -> tuple[str, Callable[[Picture], dict[str, Any]]] | None:
    """What is rendered for this page; None if there is no such page."""
    if incident := INCIDENT.fullmatch(page):
        return "live/incident.html", partial(incident_context, int(incident[1]))
    return PAGES.get(page)


def incident_context(incident_id: int, picture: Picture) -> dict[str, Any]:
    """An incident that isn't there has a live badge and nothing else."""
    try:
        return incidents_page.live_context(incident_id, picture)
    except NoSuchIncident:
        return badge_context(picture)


@never_cache
async def events(request: HttpRequest, page: str) -> HttpResponseBase:
    found = shown_on(page)
    if found is None:
        return HttpResponse(status=404)
    if request.method == "HEAD":
        return HttpResponse(content_type="text/event-stream")
    template, context = found
    broadcast = broadcast_of(observatory)
    if broadcast.is_full:
        return HttpResponse(status=503, headers={"Retry-After": str(RETRY_AFTER_S)})

    def render(picture: Picture) -> str:
        return render_to_string(template, context(picture) | {"is_live": True})

    stream = broadcast.events(page, render)
    return StreamingHttpResponse(
        stream, content_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


@never_cache
@require_safe
def series(request: HttpRequest) -> JsonResponse:
    return JsonResponse(series_json(observatory.picture(max_age_ms=SERIES_MAX_AGE_MS)))
