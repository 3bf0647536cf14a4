"""Settings: who did what (the audit trail), API tokens. And the search box's answer."""

import re

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.accounts.queries import api_tokens
from console.audit.queries import recent
from console.errors import refused
from console.figures import clock_time
from console.verdict import Verdict, plural

TRACE = re.compile(r"[0-9a-f]{16,32}")
RUN = re.compile(r"(?:run[ -]?)?([0-9]{1,9})")
NODE = re.compile(r"node-[0-9]")
QUERY_LENGTH_MAX = 100


@never_cache
@require_safe
def settings_page(request: HttpRequest) -> HttpResponse:
    rows = recent()
    tokens = api_tokens()
    newest = rows[0] if rows else None
    sentence = "Nobody did anything yet"
    if newest is not None:
        when = clock_time(newest.at.timestamp() * 1000)
        sentence = f"Last deed: {newest.actor}, {newest.action}, {when} UTC"
    verdict = Verdict(
        state="idle",
        sentence=sentence,
        context=f"{plural(len(tokens), 'API token')} · signed in as {request.user.get_username()}",
    )
    page = {"verdict": verdict, "rows": rows, "tokens": tokens, "live_page": "badge"}
    return render(request, "settings/page.html", page)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Goes to what the text names by its shape."""
    text = request.GET.get("q", "").strip()[:QUERY_LENGTH_MAX]
    lower = text.lower()
    if NODE.fullmatch(lower):
        return redirect(reverse("cluster") + f"#{lower}")
    if run := RUN.fullmatch(lower):
        return redirect("run", int(run[1]))
    if TRACE.fullmatch(lower):
        return redirect("trace", lower)
    return refused(
        request,
        f"Nothing is called “{text}”" if text else "Nothing was asked for",
        status=404,
        context="Searched are trace ids (16 to 32 digits), runs (88), nodes (node-1).",
    )
