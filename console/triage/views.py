"""Triage: the cause panel and its updates, all of an answer, and how often it was right."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from console.errors import refused
from console.live.observatory import SourceSilent
from console.triage import accuracy as score
from console.triage import page, queries, questions

CASES_SHOWN = 100
VERSION_DIGITS_MAX = 9


@never_cache
@require_safe
def cause(request: HttpRequest, incident_id: int) -> HttpResponse:
    """The panel alone, as the incident page includes it."""
    found = queries.top(incident_id)
    return render(request, "triage/cause.html", {"cause": found, "incident_id": incident_id})


@never_cache
@require_safe
def cause_newer(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Whether there is a newer answer than the one on the reader's page."""
    seen = request.GET.get("seen", "")
    newest = queries.newest(incident_id)
    is_newer = (
        newest is not None and seen.isdecimal() and newest.version > int(seen[:VERSION_DIGITS_MAX])
    )
    context = {"newer": newest if is_newer else None, "incident_id": incident_id}
    return render(request, "triage/newer.html", context)


@never_cache
@require_safe
def triage(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Every claim with all of its evidence, and the versions before it."""
    asked = request.GET.get("version", "")
    found = queries.top(incident_id, int(asked[:VERSION_DIGITS_MAX]) if asked.isdecimal() else None)
    context = {
        "verdict": page.triage_verdict(incident_id, found),
        "cause": found,
        "incident_id": incident_id,
        "versions": queries.versions(incident_id),
        "live_page": "badge",
    }
    return render(request, "triage/page.html", context)


@never_cache
@require_safe
def accuracy(request: HttpRequest) -> HttpResponse:
    """The score that triage keeps of itself."""
    cases = queries.cases()
    context = {
        "verdict": page.accuracy_verdict(cases),
        "whole": score.tally("all", cases),
        "kinds": score.by_kind(cases),
        "rules": score.by_rule(cases),
        "alarms": score.false_alarms(cases),
        "misses": page.misses(cases)[:CASES_SHOWN],
        "cases": cases[:CASES_SHOWN],
        "live_page": "badge",
    }
    return render(request, "triage/accuracy.html", context)


@never_cache
@require_safe
def question(request: HttpRequest) -> HttpResponse:
    """A question behind a piece of evidence, asked again."""
    asked = {name: str(value) for name, value in request.GET.items()}
    try:
        curves = questions.ask(asked)
    except questions.BadQuestion as error:
        return refused(request, str(error), status=400, back="now")
    except SourceSilent as error:
        return refused(request, f"Telemetry doesn't answer: {error}", status=503, back="now")
    context = {
        "verdict": page.question_verdict(asked, curves),
        "curves": curves,
        "asked": sorted(asked.items()),
        "live_page": "badge",
    }
    return render(request, "triage/question.html", context)
