"""The Now page and its demo switch."""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.audit.actions import record
from console.live.sources import observatory
from console.now.charts import charts
from console.now.page import demo_paused_file, live_context
from console.release import VERSION, commit

PAGE_MAX_AGE_MS = 2500


@never_cache
@require_safe
def now(request: HttpRequest) -> HttpResponse:
    picture = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS)
    page = live_context(picture) | {
        "charts": charts(),
        "live_page": "now",
        "version": VERSION,
        "commit": commit(),
        "demo": settings.HOLDFAST.demo,
        "demo_paused": demo_paused_file().exists(),
    }
    return render(request, "now/page.html", page)


@require_POST
def demo(request: HttpRequest) -> HttpResponse:
    """Pause or resume the demo traffic; twice the same is once."""
    pause = request.POST.get("want") == "pause"
    action = "pause demo traffic" if pause else "resume demo traffic"
    record(actor=request.user.get_username(), action=action, target="workload")
    flag = demo_paused_file()
    if pause:
        flag.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flag.touch()
    else:
        flag.unlink(missing_ok=True)
    return redirect("now")
