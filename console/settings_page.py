"""Settings: you. And the search box's answer."""

import re

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.accounts.actions import BadContact, set_contact
from console.audit.actions import record
from console.errors import refused
from console.gate import caller_of
from console.oncall.queries import contact_of
from console.settings_tabs import frame
from console.verdict import Verdict

TRACE = re.compile(r"[0-9a-f]{16,32}")
INCIDENT = re.compile(r"inc[ -]?([0-9]{1,9})")
RUN = re.compile(r"(?:run[ -]?)?([0-9]{1,9})")
NODE = re.compile(r"node-[0-9]")
QUERY_LENGTH_MAX = 100


@never_cache
def settings_page(request: HttpRequest) -> HttpResponse:
    """You: what you may do, and how pages reach you, which everybody says for themselves."""
    problem = ""
    if request.method == "POST":
        try:
            _set_contact(request)
        except BadContact as error:
            problem = str(error)
        else:
            return redirect("settings")
    role = caller_of(request).role
    word = "" if role is None else role.word
    verdict = Verdict(
        state="idle",
        sentence=f"Signed in as {request.user.get_username()}, {word}",
        context="A session ends after 12 hours, or when you sign out.",
    )
    you = contact_of(request.user) if isinstance(request.user, User) else None
    page = frame("settings", verdict, you=you, problem=problem)
    return render(request, "settings/page.html", page, status=400 if problem else 200)


def _set_contact(request: HttpRequest) -> None:
    """Raises BadContact."""
    name = request.user.get_username()
    email = request.POST.get("email", "").strip()
    slack_id = request.POST.get("slack_id", "").strip()
    record(actor=name, action="set contact", target=name, detail={"mail": bool(email)})
    set_contact(name, email=email, slack_id=slack_id)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """Goes to what the text names by its shape."""
    text = request.GET.get("q", "").strip()[:QUERY_LENGTH_MAX]
    lower = text.lower()
    if NODE.fullmatch(lower):
        return redirect(reverse("cluster") + f"#{lower}")
    if incident := INCIDENT.fullmatch(lower):
        return redirect("incident", int(incident[1]))
    if run := RUN.fullmatch(lower):
        return redirect("run", int(run[1]))
    if TRACE.fullmatch(lower):
        return redirect("trace", lower)
    return refused(
        request,
        f"Nothing is called “{text}”" if text else "Nothing was asked for",
        status=404,
        context="Searched are trace ids (16 to 32 digits), incidents (INC-42), runs (88), "
        "nodes (node-1).",
    )
