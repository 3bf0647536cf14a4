"""Saying no to a person: what was wrong, what still holds, where to go on. Never a traceback."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from console.verdict import Verdict

BACK = {"runs": "All runs", "traces": "All traces", "profiles": "All profiles", "now": "Now"}


def refused(
    request: HttpRequest, sentence: str, *, status: int, back: str = "now", context: str = ""
) -> HttpResponse:
    sentence = sentence[:1].upper() + sentence[1:]
    verdict = Verdict(state="warning", sentence=sentence, context=context)
    page = {"verdict": verdict, "back": reverse(back), "back_name": BACK[back]}
    return render(request, "problem.html", page, status=status)


def csrf_failed(request: HttpRequest, reason: str = "") -> HttpResponse:
    return refused(
        request,
        "The form was too old or came from another page: nothing was done",
        status=403,
        context="Load the page again and repeat it.",
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return refused(request, "There is no such page", status=404)


def failed(request: HttpRequest) -> HttpResponse:
    return refused(
        request,
        "The console failed to answer this request",
        status=500,
        context="The fleet is not touched by this. The log of web says why.",
    )
