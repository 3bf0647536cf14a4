"""Static files under ASGI: sent whole.

WhiteNoise answers with a file to be streamed by a synchronous iterator, which Django under ASGI
drains first, with a warning. Our largest file is 150 KB, so it is read here and sent as one body.
"""

from collections.abc import Callable

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase

Answer = Callable[[HttpRequest], HttpResponseBase]


def whole_files(get_response: Answer) -> Answer:
    """Middleware to stand just before WhiteNoise's."""

    def answer(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not isinstance(response, FileResponse):
            return response
        content = b"".join(response)
        response.close()
        return HttpResponse(content, status=response.status_code, headers=dict(response.items()))

    return answer
