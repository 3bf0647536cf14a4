"""The pages of Settings: who there is, who is on call, tokens, and the audit trail.

Every change is audited before it is made; who may make it stands in the table of access, and
whoever may not sees the page without its forms. A token's secret is shown by the answer to the form
that made it, once.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from console.access import RULES
from console.accounts.actions import NameTaken, grant_role, make_api_token, revoke_api_token
from console.accounts.limits import TOKEN_DAYS, TOKEN_DAYS_MAX
from console.accounts.models import TOKEN_NAME_CHARS_MAX
from console.accounts.queries import api_tokens, people
from console.accounts.roles import WORDS, Role
from console.accounts.scopes import SCOPES, Scope
from console.audit.actions import record
from console.audit.queries import FILTERS, PAGE_ROWS, found
from console.errors import refused
from console.oncall import queries as oncall
from console.oncall.actions import BadSchedule, add_override, end_override, set_rotation
from console.verdict import Verdict, plural

TABS = (
    ("settings", "You"),
    ("settings-people", "People"),
    ("settings-on-call", "On call"),
    ("settings-tokens", "Tokens"),
    ("paging", "Paging"),
    ("settings-audit", "Audit"),
    ("settings-api", "API"),
)
MOMENT = "%Y-%m-%dT%H:%M"
NUMBER = re.compile(r"[0-9]{1,18}")
FILTER_CHARS_MAX = 100


def frame(tab: str, verdict: Verdict, **page: Any) -> dict[str, Any]:
    """What every page of Settings is rendered with."""
    tabs = [(name, word, reverse(name)) for name, word in TABS if name in RULES]
    return {"verdict": verdict, "tabs": tabs, "tab": tab, "live_page": "badge"} | page


@never_cache
def people_page(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        name, word = request.POST.get("name", ""), request.POST.get("role", "")
        if word not in WORDS:
            return refused(request, f"Role: one of {', '.join(WORDS)} expected", status=400)
        actor = request.user.get_username()
        record(actor=actor, action="grant role", target=name, detail={"role": word})
        if not grant_role(name, Role.of_word(word)):
            why = "There is no such person, or nobody would be left who is admin"
            return refused(request, why, status=409, context="Nothing was changed.")
        return redirect("settings-people")
    rows = people()
    verdict = Verdict(
        state="idle",
        sentence=f"{plural(len(rows), 'person', 'people')} may sign in",
        context="A viewer sees, a responder acts, a lead decides, an admin says who is what.",
    )
    page = frame("settings-people", verdict, rows=rows, roles=WORDS)
    return render(request, "settings/people.html", page)


@never_cache
def on_call_page(request: HttpRequest) -> HttpResponse:
    now = timezone.now()
    problem = ""
    if request.method == "POST":
        try:
            _change_schedule(request, now)
        except BadSchedule as error:
            problem = str(error)
        else:
            return redirect("settings-on-call")
    on = oncall.on_call(now)
    who = " or ".join(contact.username for contact in on.primary) or "nobody: no admin is left"
    until = f" until {on.until.astimezone(UTC):%a %d %b %H:%M} UTC" if on.until else ""
    how = "" if on.is_scheduled else "Nothing is scheduled, so all admins are on call. "
    verdict = Verdict(
        state="idle",
        sentence=f"On call: {who}{until}",
        context=f"{how}Being on call makes a responder of a viewer.",
    )
    page = frame(
        "settings-on-call",
        verdict,
        plan=oncall.planned(now),
        overrides=oncall.overrides(now),
        people=people(),
        problem=problem,
        now=now.astimezone(UTC).strftime(MOMENT),
    )
    return render(request, "settings/on_call.html", page, status=400 if problem else 200)


def _change_schedule(request: HttpRequest, now: datetime) -> None:
    """Raises BadSchedule."""
    form = request.POST
    actor = request.user.get_username()
    if form.get("what") == "end override":
        _end_override(form.get("override", ""), actor, now)
        return
    starts_at = _moment(form.get("starts", ""), "starts")
    if form.get("what") == "override":
        ends_at = _moment(form.get("ends", ""), "ends")
        person = form.get("person", "")
        record(actor=actor, action="override on call", target=person)
        add_override(person, starts_at=starts_at, ends_at=ends_at, made_by=actor, now=now)
        return
    names = form.get("people", "").replace(",", " ").split()
    days = form.get("days", "")
    record(actor=actor, action="set rotation", target=" ".join(names))
    turn_days = int(days) if days.isascii() and days.isdigit() and len(days) < 4 else 0
    set_rotation(names, starts_at=starts_at, turn_days=turn_days)


def _end_override(number: str, actor: str, now: datetime) -> None:
    """Raises BadSchedule."""
    record(actor=actor, action="end override", target=number)
    if not NUMBER.fullmatch(number) or not end_override(int(number), now=now):
        raise BadSchedule("override", "one that is not over")


def _moment(text: str, field: str) -> datetime:
    try:
        return datetime.strptime(text, MOMENT).replace(tzinfo=UTC)
    except ValueError as error:
        raise BadSchedule(field, "a time in UTC such as 2026-11-23T09:00") from error


@never_cache
@sensitive_post_parameters()
def tokens_page(request: HttpRequest) -> HttpResponse:
    secret = problem = ""
    if request.method == "POST":
        try:
            secret = _make_token(request)
        except (ValueError, NameTaken) as error:
            problem = str(error)
    rows = api_tokens()
    verdict = Verdict(
        state="idle",
        sentence=f"{plural(len(rows), 'API token')}",
        context="A token does what its scopes say, until it ends or is revoked.",
    )
    page = frame(
        "settings-tokens",
        verdict,
        rows=rows,
        scopes=SCOPES,
        secret=secret,
        problem=problem,
        days=TOKEN_DAYS,
        days_max=TOKEN_DAYS_MAX,
        now=timezone.now(),
    )
    return render(request, "settings/tokens.html", page, status=400 if problem else 200)


def _make_token(request: HttpRequest) -> str:
    """Raises ValueError, NameTaken."""
    form = request.POST
    name, days = form.get("name", "").strip(), form.get("days", "")
    scopes = [word for word in form.getlist("scope") if word in SCOPES]
    if not name or len(name) > TOKEN_NAME_CHARS_MAX or not name.isprintable():
        raise ValueError(f"Name: 1 to {TOKEN_NAME_CHARS_MAX} printable characters expected")
    if not scopes:
        raise ValueError(f"Scope: at least one of {', '.join(SCOPES)} expected")
    whole = days.isascii() and days.isdigit() and len(days) < 5
    if not whole or not 1 <= int(days) <= TOKEN_DAYS_MAX:
        raise ValueError(f"Days: 1 to {TOKEN_DAYS_MAX} expected")
    actor = request.user.get_username()
    detail: dict[str, str | int | float | bool | None] = {
        "scopes": " ".join(scopes),
        "days": int(days),
    }
    record(actor=actor, action="make API token", target=name, detail=detail)
    return make_api_token(
        name,
        scopes=[Scope(word) for word in scopes],
        expires_at=timezone.now() + timedelta(days=int(days)),
        made_by=actor,
    )


def revoke_token(request: HttpRequest) -> HttpResponse:
    name = request.POST.get("name", "")
    record(actor=request.user.get_username(), action="revoke API token", target=name)
    if not revoke_api_token(name, now=timezone.now()):
        return refused(request, "There is no such token, or it was revoked already", status=409)
    return redirect("settings-tokens")


@never_cache
def audit_page(request: HttpRequest) -> HttpResponse:
    filters = {name: request.GET.get(name, "").strip()[:FILTER_CHARS_MAX] for name in FILTERS}
    text = request.GET.get("before", "")
    before = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
    rows = found(filters, before=before, limit=PAGE_ROWS)
    newest = f": {rows[0].actor}, {rows[0].action}" if rows else ""
    verdict = Verdict(
        state="idle",
        sentence=f"{plural(len(rows), 'deed')}{newest}",
        context="Rows are chained; ./manage.py audit verify says whether all are there unchanged.",
    )
    older = rows[-1].pk if len(rows) == PAGE_ROWS else None
    page = frame("settings-audit", verdict, rows=rows, filters=filters, older=older)
    return render(request, "settings/audit.html", page)
