"""The SLOs page."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.live.sources import observatory
from console.slos.page import live_context

PAGE_MAX_AGE_MS = 2500


@never_cache
@require_safe
def slos(request: HttpRequest) -> HttpResponse:
    picture = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS)
    return render(request, "slos/page.html", live_context(picture) | {"live_page": "slos"})
