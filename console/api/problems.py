"""Errors of the API as problem+json (RFC 9457): which field, which limit, may it be sent again."""

from http import HTTPStatus

from django.http import JsonResponse

CONTENT_TYPE = "application/problem+json"


class Refusal(Exception):
    """An endpoint's no. Nothing was done, so that asking again is safe."""

    def __init__(
        self,
        status: int,
        title: str,
        *,
        field: str = "",
        expected: str = "",
        retry_after_s: int = 0,
    ) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.field = field
        self.expected = expected
        self.retry_after_s = retry_after_s


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
    response = JsonResponse(body, status=status, content_type=CONTENT_TYPE)
    if retry_after_s:
        response["Retry-After"] = str(retry_after_s)
    if status == HTTPStatus.UNAUTHORIZED:
        response["WWW-Authenticate"] = 'Bearer realm="holdfast"'
    return response


def told(refusal: Refusal) -> JsonResponse:
    return problem(
        refusal.status,
        refusal.title,
        field=refusal.field,
        expected=refusal.expected,
        retry_after_s=refusal.retry_after_s,
    )
