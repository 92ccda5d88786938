"""The Content-Security-Policy of the admin's pages: nothing but our own files, no inline script."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

# Unfold's Alpine evaluates its attributes ('unsafe-eval') and writes its colours into a style element.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


class AdminPolicy:
    """Middleware: every answer under ``/admin`` bears :data:`POLICY` or one of its own; login and error pages too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if request.path.startswith("/admin"):
            response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
