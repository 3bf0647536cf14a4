"""Paging: does it work, what was sent, what is silenced; and the link that acknowledges.

The link is the one page that a stranger may open, since a phone at night has no session. It shows
one button, and only pressing it does anything, once.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from console.audit.actions import record
from console.errors import refused
from console.incidents import actions as incidents
from console.incidents import inbound, queries
from console.incidents.errors import IncidentError
from console.incidents.models import Webhook
from console.notify import actions, links
from console.notify.queries import paging, recent_deliveries
from console.oncall.queries import on_call
from console.verdict import Verdict


@never_cache
@require_safe
def page(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    standing = paging()
    duty = on_call(now)
    names = ", ".join(who.username for who in duty.primary) or "nobody"
    verdict = Verdict(
        state=standing.state,
        sentence=standing.sentence,
        context=f"On call: {names} · pages go by {', '.join(standing.channels) or 'no channel'}",
    )
    context = {
        "verdict": verdict,
        "paging": standing,
        "deliveries": recent_deliveries(),
        "silences": queries.silences(now),
        "webhooks": inbound.recent(),
        "live_page": "badge",
    }
    return render(request, "notify/paging.html", context)


@never_cache
@require_safe
def webhook(request: HttpRequest, webhook_id: int) -> HttpResponse:
    """What a foreign sender posted, as it came."""
    row = Webhook.objects.filter(pk=webhook_id).first()
    if row is None:
        return refused(request, f"There is no webhook {webhook_id}", status=404, back="incidents")
    verdict = Verdict(
        state="warning" if row.refusal else "ok",
        sentence=f"Webhook {row.pk} from {row.sender}: {row.refusal or row.shape}",
        context="Kept as it came. Nothing in it is carried out.",
    )
    page = {"verdict": verdict, "body": row.body, "live_page": "badge"}
    return render(request, "notify/webhook.html", page)


@require_POST
def test(request: HttpRequest) -> HttpResponse:
    actor = request.user.get_username()
    record(actor=actor, action="test paging", target="paging")
    actions.test(actor=actor)
    return redirect("paging")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def acknowledge(request: HttpRequest, token: str) -> HttpResponse:
    try:
        link = links.read(token)
    except links.LinkRefused as error:
        return _answer(request, {"refusal": str(error)}, status=410)
    number = queries.id_of(link.key)
    if not User.objects.filter(username=link.person, is_active=True).exists():
        return _answer(request, {"refusal": f"{link.person} is nobody here any more"}, status=410)
    if number is None:
        # Not spent: the incident was told from memory and comes when the disk goes on.
        refusal = f"{link.key} is not written down yet; open the link again in a moment"
        return _answer(request, {"refusal": refusal, "is_early": True}, status=503)
    page = {"incident": queries.get(number), "person": link.person}
    if request.method != "POST":
        return _answer(request, page)
    return _spend(request, link, number, page)


def _spend(
    request: HttpRequest, link: links.Link, number: int, page: dict[str, object]
) -> HttpResponse:
    record(actor=link.person, action="acknowledge by link", target=f"INC-{number}")
    try:
        links.spend(link)
        incidents.acknowledge(number, actor=link.person, via=" by the link in the page")
    except links.LinkRefused as error:
        return _answer(request, {"refusal": str(error)}, status=410)
    except IncidentError as error:
        return _answer(request, {"refusal": str(error)}, status=error.status)
    return _answer(request, page | {"is_done": True})


def _answer(request: HttpRequest, page: dict[str, object], *, status: int = 200) -> HttpResponse:
    return render(request, "incidents/acknowledge.html", page, status=status)
