"""The strip and its buttons. Everybody may look; breaking and proving need a responder."""

from __future__ import annotations

import time
from dataclasses import replace

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from console.errors import refused
from console.live.sources import observatory
from console.tour import actions, steps, strip
from console.tour.steps import FIRST, KILL, Tour
from runbooks.errors import RunError


@never_cache
@require_safe
def show(request: HttpRequest) -> HttpResponse:
    """The strip alone, for a page that is open. `?step=n` is what the page shows."""
    _, tour = _who(request)
    step = steps.asked(request.GET.get("step", "")) or tour.step or FIRST
    now_ms = time.time_ns() // 1_000_000
    shown = strip.context_of(replace(tour, step=step), now_ms=now_ms)
    return render(request, "tour/strip.html", shown)


@require_POST
def move(request: HttpRequest) -> HttpResponse:
    """Open a step, hide the strip, or come back to it. The page goes on where it was."""
    user, tour = _who(request)
    step = steps.asked(request.POST.get("step", ""))
    if request.POST.get("want") == "hide":
        actions.hide(user, tour)
        return redirect("now")
    if step is None:
        step = tour.step or FIRST
    tour = actions.go(user, tour, step)
    if step == KILL:
        victim = strip.victim_of(observatory.picture(max_age_ms=0))
        if victim is not None:
            actions.show_victim(user, tour, victim)
    return redirect(f"/?tour={step}")


@require_POST
def act(request: HttpRequest) -> HttpResponse:
    """Start what the step is about: the fault of step 2, the proof of step 6."""
    user, tour = _who(request)
    try:
        if request.POST.get("want") == "prove":
            tour = actions.prove(user, tour)
        else:
            tour = actions.break_it(user, tour, request.POST.get("fault", ""))
    except RunError as error:
        return refused(request, str(error), status=error.status)
    return redirect(f"/?tour={tour.step}")


def place(request: HttpRequest) -> dict[str, object]:
    """The template context: `tour_place` is "strip", "offer" or "" for this page.

    Costs no query: the person came with the session. `?tour=n` shows step n, also where the tour
    was put away.
    """
    user = getattr(request, "user", None)
    tour = actions.tour_of(user) if isinstance(user, User) else None
    if tour is None:
        return {"tour_place": ""}
    asked = steps.asked(request.GET.get("tour", ""))
    if asked is not None or (tour.has_begun and not tour.is_hidden):
        return {"tour_place": "strip", "tour_step": asked or tour.step}
    is_offered = not tour.is_hidden and request.path_info == reverse("now")
    return {"tour_place": "offer" if is_offered else ""}


def _who(request: HttpRequest) -> tuple[User, Tour]:
    assert isinstance(request.user, User), "the gate lets only people in"
    return request.user, actions.tour_of(request.user) or Tour()
