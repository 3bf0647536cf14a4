"""The Now page and its demo switch."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.audit.actions import record
from console.errors import refused
from console.live.sources import observatory
from console.now.page import WORKLOAD, charts, live_context
from console.release import VERSION, commit
from storage_core.fleet.client import Refused, SupervisorAway, ask

PAGE_MAX_AGE_MS = 2500
SWITCH_S_MAX = 10.0


@never_cache
@require_safe
def now(request: HttpRequest) -> HttpResponse:
    picture = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS)
    page = live_context(picture) | {
        "charts": charts(),
        "live_page": "now",
        "version": VERSION,
        "commit": commit(),
    }
    return render(request, "now/page.html", page)


@require_POST
def demo(request: HttpRequest) -> HttpResponse:
    """Stop or start the demo traffic, which is a process; twice the same is once."""
    want = "stop" if request.POST.get("want") == "stop" else "start"
    record(actor=request.user.get_username(), action=f"{want} demo traffic", target=WORKLOAD)
    try:
        ask(settings.HOLDFAST.run, want, {"name": WORKLOAD}, timeout_s=SWITCH_S_MAX)
    except SupervisorAway:
        return refused(
            request,
            "The supervisor doesn't answer: the demo traffic is as it was",
            status=503,
            context="Start it with ./manage.py up",
        )
    except Refused as error:
        return refused(request, str(error), status=409)
    return redirect("now")
