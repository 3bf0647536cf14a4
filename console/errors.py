"""Saying no to a person: what was wrong, what still holds, where to go on. Never a traceback."""

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from console.api.problems import problem
from console.verdict import Verdict

API_PATH = "/api/"

BACK = {
    "drills": "All drills",
    "incidents": "All incidents",
    "runs": "All runs",
    "runbooks": "All runbooks",
    "traces": "All traces",
    "profiles": "All profiles",
    "now": "Now",
}


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


def is_for_programs(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_PATH)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Also for a Host header that isn't ours, so nothing may be built from it here."""
    if is_for_programs(request):
        return problem(400, "The request can't be understood")
    return HttpResponse("The request can't be understood.\n", "text/plain", status=400)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A stranger is told nothing, not even what there isn't."""
    if is_for_programs(request):
        return problem(404, "There is no such resource")
    if not request.user.is_authenticated:
        return redirect_to_login(request.get_full_path())
    return refused(request, "There is no such page", status=404)


def failed(request: HttpRequest) -> HttpResponse:
    if is_for_programs(request):
        return problem(500, "The console failed to answer this request")
    return refused(
        request,
        "The console failed to answer this request",
        status=500,
        context="The fleet is not touched by this. The log of web says why.",
    )
