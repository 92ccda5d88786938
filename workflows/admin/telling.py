"""How a page tells what came of a form: a script that sent it gets JSON, a browser without one a message and a page.

Of what a script gets, ``told`` is the text, ``level`` how it is meant, and ``place`` where a browser would have gone.
"""

from django.contrib import messages
from django.contrib.messages.constants import DEFAULT_TAGS
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse

FETCHED = "X-Fetched"
"""The header that our scripts send."""


def is_fetched(request: HttpRequest) -> bool:
    return FETCHED in request.headers


def tell(request: HttpRequest, told: str, level: int, place: str) -> HttpResponse:
    if is_fetched(request):
        return JsonResponse({"told": told, "level": DEFAULT_TAGS[level], "place": place})
    messages.add_message(request, level, told)
    return HttpResponseRedirect(place)
