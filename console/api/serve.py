"""One request to the API: read within limits, checked, done once, answered. Never a page of HTML.

The gate has let the caller in. An operation that changes something may come with an
Idempotency-Key; a GET carries an ETag and answers If-None-Match.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone
from django.utils.http import parse_etags
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt

from console.api import journal
from console.api.bodies import bad, check, parse, read_query
from console.api.journal import Asked
from console.api.limits import KEY_CHARS_MAX, RETRY_AFTER_S
from console.api.problems import Refusal, problem, told
from console.api.registry import NOTHING, Call, Operation, Reply
from console.gate import caller_of

KEY = re.compile(rf"[\x21-\x7e]{{1,{KEY_CHARS_MAX}}}")
CHUNK_BYTES = 64 * 1024

View = Callable[..., HttpResponseBase]


def view_of(by_method: Mapping[str, Operation]) -> View:
    """The view of one path. The gate refused methods that are not in the table."""

    @csrf_exempt  # The gate checks it, for those who come with a cookie.
    @never_cache
    def view(request: HttpRequest, **args: Any) -> HttpResponseBase:
        operation = by_method["GET" if request.method == "HEAD" else request.method or ""]
        try:
            return _answer(request, operation, args)
        except Refusal as refusal:
            return told(refusal)
        except operation.refusals as error:
            status = int(getattr(error, "status", 500))
            return problem(
                status,
                str(error),
                field=str(getattr(error, "field", "")),
                expected=str(getattr(error, "expected", "")),
                retry_after_s=RETRY_AFTER_S if status == 503 else 0,
            )

    return view


def _answer(
    request: HttpRequest, operation: Operation, args: Mapping[str, Any]
) -> HttpResponseBase:
    raw = _read(request, operation.body_bytes_max) if operation.changes else b""
    body = NOTHING
    if operation.body is not None:
        if request.content_type != "application/json":
            raise Refusal(
                415, "The body is JSON", field="Content-Type", expected="application/json"
            )
        if not operation.body_is_open:
            body = parse(raw)
            check(body, operation.body)
    elif raw:
        raise bad("body", "no body")
    caller = caller_of(request)
    asked = _asked(request, caller.name, raw) if operation.changes else None
    call = Call(
        caller=caller,
        args=args,
        query=read_query(request.GET.lists(), operation.query),
        body=body,
        raw=raw,
        headers=request.headers,
        key=None if asked is None else _key_for_deeds(asked),
    )
    if asked is not None:
        return _once(operation, call, asked)
    return _tagged(request, operation, _sent(operation.deed(call)))


def _read(request: HttpRequest, bytes_max: int) -> bytes:
    """The body, of which never more than `bytes_max` and one chunk are held."""
    expected = f"at most {bytes_max} bytes"
    too_big = Refusal(413, f"body: {expected} expected", field="body", expected=expected)
    length = request.META.get("CONTENT_LENGTH") or "0"
    if length.isdigit() and int(length) > bytes_max:
        raise too_big
    body = b""
    try:
        while piece := request.read(CHUNK_BYTES):
            body += piece
            if len(body) > bytes_max:
                raise too_big
    except RequestDataTooBig as error:
        raise too_big from error
    return body


def _asked(request: HttpRequest, caller: str, raw: bytes) -> Asked | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise bad("Idempotency-Key", f"1 to {KEY_CHARS_MAX} visible ASCII characters")
    said = journal.request_hash(request.method or "", request.get_full_path(), raw)
    return Asked(caller=caller, key=key, request_hash=said)


def _key_for_deeds(asked: Asked) -> str:
    """Two callers may choose the same key; their deeds differ."""
    return hashlib.sha256(f"{asked.caller}\n{asked.key}".encode()).hexdigest()


def _once(operation: Operation, call: Call, asked: Asked) -> HttpResponse:
    first = journal.claim(asked, now=timezone.now())
    if first is not None:
        response = HttpResponse(first.body, status=first.status, headers=first.headers)
        response["Idempotency-Replayed"] = "true"
        return response
    no: tuple[type[Exception], ...] = (Refusal, *operation.refusals)
    try:
        response = _sent(operation.deed(call))
    except no:
        journal.release(asked)
        raise
    journal.keep(
        asked,
        status=response.status_code,
        headers=dict(response.items()),
        body=response.content.decode(),
    )
    return response


def _sent(reply: Reply) -> HttpResponse:
    if isinstance(reply.body, str):
        text = reply.body
    else:
        text = json.dumps(reply.body, cls=DjangoJSONEncoder, ensure_ascii=False, allow_nan=False)
    return HttpResponse(text, reply.content_type, status=reply.status, headers=dict(reply.headers))


def _tagged(request: HttpRequest, operation: Operation, response: HttpResponse) -> HttpResponse:
    if operation.changes or response.status_code != 200:
        return response
    tag = f'"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    response["ETag"] = tag
    wanted = parse_etags(request.headers.get("If-None-Match", ""))
    if tag in wanted or "*" in wanted:
        return HttpResponse(status=304, headers={"ETag": tag})
    return response
