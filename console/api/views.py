"""The API, version 1. The gate has let the caller in; a program's deeds are audited too."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponseBase, JsonResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from console.api.bodies import BODY_BYTES_MAX, BadBody, read_object
from console.api.problems import problem
from console.audit.actions import record
from console.evidence_reads import evidence
from console.gate import caller_of
from console.live.badge import badge_of
from console.live.observatory import SourceSilent
from console.live.sources import observatory
from console.now.page import node_rows
from console.release import VERSION
from runbooks import actions
from runbooks.errors import BadParameter, RunError

PROFILE_FIELDS = frozenset({"target", "seconds", "rate_hz"})
LIST_ROWS = 100
STATUS_MAX_AGE_MS = 1000
RETRY_AFTER_S = 5

Endpoint = Callable[[HttpRequest, str], HttpResponseBase]


def endpoint(**methods: Endpoint) -> Callable[[HttpRequest], HttpResponseBase]:
    """A view over one function for each method; each is told the actor's name."""

    @csrf_exempt
    @never_cache
    def view(request: HttpRequest) -> HttpResponseBase:
        method = "GET" if request.method == "HEAD" else request.method or ""
        return methods[method](request, caller_of(request).name)

    return view


def get_status(request: HttpRequest, actor: str) -> HttpResponseBase:
    """What can be seen right now; a part that doesn't answer is said to be blind, not left out."""
    picture = observatory.picture(max_age_ms=STATUS_MAX_AGE_MS)
    badge = badge_of(picture)
    return JsonResponse(
        {
            "version": VERSION,
            "taken_ms": picture.taken_ms,
            "complete": badge.state == "ok",
            "parts": [
                {
                    "name": part.part,
                    "sight": part.sight.value,
                    "as_of_ms": part.as_of_ms,
                    "reason": part.reason,
                }
                for part in picture.parts
            ],
            "nodes": [node_json(row) for row in node_rows(picture)],
        }
    )


def node_json(row: Any) -> dict[str, object]:
    facts = row.facts
    return {
        "name": row.name,
        "fresh": row.fresh,
        "as_of_ms": row.as_of_ms,
        "role": facts.role if facts else None,
        "term": facts.term if facts else None,
        "leader": facts.leader if facts else None,
        "commit_index": facts.commit_index if facts else None,
        "applied_index": facts.applied_index if facts else None,
    }


def get_profiles(request: HttpRequest, actor: str) -> HttpResponseBase:
    try:
        rows = evidence.profiles(LIST_ROWS)
    except SourceSilent as error:
        return problem(503, f"Telemetry doesn't answer: {error}", retry_after_s=RETRY_AFTER_S)
    return JsonResponse(
        {
            "profiles": [
                {
                    "id": row.profile_id,
                    "target": row.target,
                    "started_ms": row.started_ms,
                    "seconds": row.seconds,
                    "rate_hz": row.rate_hz,
                    "samples": row.samples,
                    "url": reverse("profile", args=[row.profile_id]),
                }
                for row in rows
            ]
        }
    )


def post_profile(request: HttpRequest, actor: str) -> HttpResponseBase:
    """Starts a profile run: 201 with its address. An Idempotency-Key seen before starts nothing."""
    if request.content_type != "application/json":
        return problem(415, "The body is JSON", field="Content-Type", expected="application/json")
    try:
        body = request.body
    except RequestDataTooBig:
        expected = f"at most {BODY_BYTES_MAX} bytes"
        return problem(413, f"body: {expected} expected", field="body", expected=expected)
    try:
        asked = read_object(body, known=PROFILE_FIELDS)
        target = asked.get("target")
        if not isinstance(target, str):
            raise BadBody("target", "the name of a process, such as node-1")
    except BadBody as error:
        return problem(400, str(error), field=error.field, expected=error.expected)
    params = {name: asked[name] for name in ("seconds", "rate_hz") if name in asked}
    record(actor=actor, action="start profile", target=target)
    try:
        run = actions.start(
            "capture-profile",
            target,
            params,
            actor=actor,
            key=request.headers.get("Idempotency-Key"),
        )
    except BadParameter as error:
        return problem(error.status, str(error), field=error.field, expected=error.expected)
    except RunError as error:
        retry_after_s = RETRY_AFTER_S if error.status == 503 else 0
        return problem(error.status, str(error), retry_after_s=retry_after_s)
    url = reverse("run", args=[run.pk])
    started = {"run": run.pk, "state": run.state, "target": run.target, "url": url}
    return JsonResponse(started, status=201, headers={"Location": url})


status = endpoint(GET=get_status)
profiles = endpoint(GET=get_profiles, POST=post_profile)
