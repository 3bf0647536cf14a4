"""Incidents: the list, one incident, its buttons, and what is handed on as Markdown.

The audit row is written before the deed. A deed that comes too late answers 409 with who was
quicker, and changes nothing.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Callable, Mapping

from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.audit.actions import record
from console.errors import refused
from console.incidents import actions, handover, postmortem, queries
from console.incidents.errors import BadField, IncidentError, NoSuchIncident
from console.incidents.lifecycle import Severity, State
from console.incidents.page import list_context, next_context, page_context
from console.incidents.presence import presence
from console.incidents.queries import Filter
from console.live.sources import observatory

PAGE_MAX_AGE_MS = 2500
PAGE_NUMBER_MAX = 10_000
NUMBER = re.compile(r"[0-9]{1,18}")
MARKDOWN = "text/markdown; charset=utf-8"
FILTERS: Mapping[str, tuple[str, ...]] = {
    "state": ("", "open", *(state.value for state in State)),
    "severity": ("", *(severity.value for severity in Severity)),
    "drills": ("", "no", "only"),
}


@never_cache
@require_safe
def incidents(request: HttpRequest) -> HttpResponse:
    try:
        asked, page = _filter_of(request.GET)
    except BadField as error:
        return refused(request, str(error), status=error.status, back="incidents")
    picture = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS)
    context = list_context(asked, page, picture) | {
        "live_page": "badge",
        "states": [word for word in FILTERS["state"] if word],
        "previous": _address(request.GET, page - 1) if page > 1 else "",
    }
    if page < context["page_count"]:
        context["next"] = _address(request.GET, page + 1)
    return render(request, "incidents/list.html", context)


def _address(given: QueryDict, page: int) -> str:
    """The same list, another page of it."""
    kept = given.copy()
    kept["page"] = str(page)
    return kept.urlencode()


def _filter_of(given: QueryDict) -> tuple[Filter, int]:
    for name, allowed in FILTERS.items():
        if given.get(name, "") not in allowed:
            raise BadField(name, f"one of {', '.join(word for word in allowed if word)}")
    page = given.get("page", "1")
    if not NUMBER.fullmatch(page) or not 1 <= int(page) <= PAGE_NUMBER_MAX:
        raise BadField("page", f"a number from 1 to {PAGE_NUMBER_MAX}")
    asked = Filter(
        state=given.get("state", ""),
        severity=given.get("severity", ""),
        owner=given.get("owner", "")[:150],
        text=given.get("text", "").strip()[:100],
        drills=given.get("drills", ""),
    )
    return asked, int(page)


@never_cache
@require_safe
def incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    reader = request.user.get_username()
    presence.note(incident_id, reader, now_s=time.monotonic())
    picture = observatory.picture(max_age_ms=PAGE_MAX_AGE_MS)
    try:
        page = page_context(incident_id, picture, reader=reader)
    except NoSuchIncident as error:
        return refused(request, str(error), status=error.status, back="incidents")
    return render(request, "incidents/page.html", page)


@never_cache
@require_safe
def next_step(request: HttpRequest, incident_id: int) -> HttpResponse:
    """What to do next, with conditions read at this moment."""
    try:
        page = next_context(incident_id)
    except NoSuchIncident as error:
        return refused(request, str(error), status=error.status, back="incidents")
    return render(request, "incidents/next.html", page)


@never_cache
@require_safe
def by_key(request: HttpRequest, key: str) -> HttpResponse:
    """Where a page's link leads: the incident, or the truth that it isn't written down yet."""
    number = queries.id_of(key)
    if number is not None:
        return redirect("incident", number)
    return refused(
        request,
        f"{key} is not written down yet",
        status=404,
        back="now",
        context="You were told from memory. If the disk under the console stands still, the "
        "record comes when it goes on; ./manage.py status asks the nodes themselves.",
    )


@require_POST
def here(request: HttpRequest, incident_id: int) -> HttpResponse:
    """The open page says that its reader is still there."""
    presence.note(incident_id, request.user.get_username(), now_s=time.monotonic())
    return HttpResponse(status=204)


def _note(incident_id: int, actor: str, form: QueryDict) -> None:
    actions.note(incident_id, actor=actor, text=form.get("text", ""))


def _assign(incident_id: int, actor: str, form: QueryDict) -> None:
    role, person = form.get("role", ""), form.get("person", "")
    actions.assign(incident_id, role=role, person=person, actor=actor)


def _merge(incident_id: int, actor: str, form: QueryDict) -> None:
    into = form.get("into", "").upper().removeprefix("INC-")
    if not NUMBER.fullmatch(into):
        raise BadField("into", "the number of an incident")
    actions.merge(incident_id, into_id=int(into), actor=actor)


Deed = Callable[[int, str, QueryDict], object]
DEEDS: Mapping[str, Deed] = {
    "acknowledge": lambda number, actor, form: actions.acknowledge(number, actor=actor),
    "mitigate": lambda number, actor, form: actions.mitigate(number, actor=actor),
    "resolve": lambda number, actor, form: actions.resolve(number, actor=actor),
    "escalate": lambda number, actor, form: actions.escalate(
        number, actor=actor, reason=form.get("reason", "")
    ),
    "severity": lambda number, actor, form: actions.set_severity(
        number, severity=form.get("severity", ""), actor=actor
    ),
    "note": _note,
    "assign": _assign,
    "merge": _merge,
}


@require_POST
def act(request: HttpRequest, incident_id: int, deed: str) -> HttpResponse:
    chosen = DEEDS.get(deed)
    if chosen is None:
        raise Http404(deed)
    return _do(request, incident_id, deed, chosen)


@require_POST
def silence(request: HttpRequest, incident_id: int) -> HttpResponse:
    return _do(request, incident_id, "silence", _silence)


def _silence(incident_id: int, actor: str, form: QueryDict) -> None:
    try:
        hours = float(form.get("hours", ""))
    except ValueError:
        raise BadField("hours", "a number") from None
    actions.silence(
        incident_id,
        matchers=read_matchers(form.get("matchers", "")),
        hours=hours,
        reason=form.get("reason", ""),
        actor=actor,
    )


def read_matchers(text: str) -> Mapping[str, str]:
    """`rule=write-latency node=node-1` as labels and values; quotes hold blanks together."""
    try:
        pairs = [word.partition("=") for word in shlex.split(text)]
    except ValueError:  # A quote that is not closed.
        pairs = [("", "", "")]
    if not all(name and sign and value for name, sign, value in pairs):
        raise BadField("matchers", "label=value, several by spaces, blanks in quotes,")
    return {name: value for name, _, value in pairs}


@require_POST
def end_silence(request: HttpRequest, silence_id: int) -> HttpResponse:
    actor = request.user.get_username()
    record(actor=actor, action="end silence", target=f"silence {silence_id}")
    actions.end_silence(silence_id, actor=actor)
    return redirect("paging")


def _do(request: HttpRequest, incident_id: int, name: str, deed: Deed) -> HttpResponse:
    actor = request.user.get_username()
    record(actor=actor, action=f"{name} incident", target=f"INC-{incident_id}")
    try:
        deed(incident_id, actor, request.POST)
    except IncidentError as error:
        return refused(
            request,
            str(error),
            status=error.status,
            back="incidents",
            context=f"Nothing was changed by you. INC-{incident_id} is as they left it.",
        )
    return redirect("incident", incident_id)


@never_cache
@require_safe
def postmortem_md(request: HttpRequest, incident_id: int) -> HttpResponse:
    try:
        text = postmortem.of(incident_id)
    except NoSuchIncident as error:
        return refused(request, str(error), status=error.status, back="incidents")
    name = f'inline; filename="INC-{incident_id}.md"'
    return HttpResponse(text, content_type=MARKDOWN, headers={"Content-Disposition": name})


@never_cache
@require_safe
def hand_over(request: HttpRequest) -> HttpResponse:
    """What the next person on call must know, as a page, or with `?as=markdown` as a text."""
    text = handover.text()
    if request.GET.get("as") == "markdown":
        return HttpResponse(text, content_type=MARKDOWN)
    page = {"text": text, "verdict": handover.verdict(), "live_page": "badge"}
    return render(request, "incidents/handover.html", page)
