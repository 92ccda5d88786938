"""What Django lacks between server and views."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from workflows import acting


class ChunkedBody:
    """Give a body sent in chunks its length: DRF takes one without Content-Length for empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if "HTTP_TRANSFER_ENCODING" in request.META and not request.META.get("CONTENT_LENGTH"):
            request.META["CONTENT_LENGTH"] = str(len(request.body))
        return self.get_response(request)


class Acting:
    """What a request does is recorded under the name of its user, also where only a signal tells of it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        with acting.within(request):
            return self.get_response(request)
