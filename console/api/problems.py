"""Errors of the API as problem+json (RFC 9457): which field, which limit, may it be sent again."""

from http import HTTPStatus

from django.http import JsonResponse


def problem(
    status: int, title: str, *, field: str = "", expected: str = "", retry_after_s: int = 0
) -> JsonResponse:
    body: dict[str, object] = {
        "type": "about:blank",
        "status": status,
        "title": title,
        "detail": HTTPStatus(status).phrase,
    }
    if field:
        body |= {"field": field, "expected": expected}
    response = JsonResponse(body, status=status, content_type="application/problem+json")
    if retry_after_s:
        response["Retry-After"] = str(retry_after_s)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="holdfast"'
    return response
