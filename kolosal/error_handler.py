"""What every error becomes: one function for Django REST framework, four views for Django's own errors."""

import logging
import sys
import uuid
from collections.abc import Iterator, Mapping
from functools import singledispatch
from http import HTTPStatus
from typing import Any

from django.core import exceptions
from django.db import DatabaseError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from rest_framework.exceptions import APIException, UnsupportedMediaType, ValidationError
from rest_framework.response import Response
from rest_framework.views import set_rollback

from agents.errors import AgentDisabled, AgentError, AgentNotFound, FunctionNotFound, InvalidParameters
from kolosal.envelope import EnvelopeRenderer, Refusal
from workflows.errors import (
    AnswerRefused,
    ApprovalNotFound,
    ConcurrencyLimitReached,
    DefinitionError,
    EventNotFound,
    ExpressionError,
    IdempotencyKeyReused,
    IllegalTransition,
    InputInvalid,
    NotAsked,
    RunNotFound,
    RunStateConflict,
    StepNotFound,
    Stopping,
    TemplateExists,
    TemplateNotFound,
    VersionConflict,
    VersionNotFound,
    WorkflowExists,
    WorkflowNotFound,
)
from workflows.streaming import PositionInvalid

logger = logging.getLogger(__name__)

STATUSES: dict[type[AgentError], HTTPStatus] = {
    AgentDisabled: HTTPStatus.CONFLICT,
    AgentNotFound: HTTPStatus.NOT_FOUND,
    AnswerRefused: HTTPStatus.BAD_REQUEST,
    ApprovalNotFound: HTTPStatus.NOT_FOUND,
    ConcurrencyLimitReached: HTTPStatus.CONFLICT,
    DefinitionError: HTTPStatus.BAD_REQUEST,
    EventNotFound: HTTPStatus.NOT_FOUND,
    ExpressionError: HTTPStatus.BAD_REQUEST,
    FunctionNotFound: HTTPStatus.BAD_REQUEST,
    IdempotencyKeyReused: HTTPStatus.CONFLICT,
    IllegalTransition: HTTPStatus.CONFLICT,
    InputInvalid: HTTPStatus.BAD_REQUEST,
    InvalidParameters: HTTPStatus.BAD_REQUEST,
    NotAsked: HTTPStatus.FORBIDDEN,
    RunNotFound: HTTPStatus.NOT_FOUND,
    RunStateConflict: HTTPStatus.CONFLICT,
    StepNotFound: HTTPStatus.BAD_REQUEST,
    Stopping: HTTPStatus.SERVICE_UNAVAILABLE,
    TemplateExists: HTTPStatus.CONFLICT,
    TemplateNotFound: HTTPStatus.NOT_FOUND,
    PositionInvalid: HTTPStatus.BAD_REQUEST,
    VersionConflict: HTTPStatus.PRECONDITION_FAILED,
    VersionNotFound: HTTPStatus.NOT_FOUND,
    WorkflowExists: HTTPStatus.CONFLICT,
    WorkflowNotFound: HTTPStatus.NOT_FOUND,
}

# Pages for people keep Django's own error pages.
HTML_PREFIXES = ("/admin", "/static/")


def explain(error: Exception, context: Mapping[str, Any]) -> Response:
    """The exception handler of Django REST framework: every error of every endpoint, in the one shape."""
    set_rollback()
    request = context.get("request")
    if request is not None:  # an error is JSON, whatever the request asked to accept
        request.accepted_renderer, request.accepted_media_type = EnvelopeRenderer(), "application/json"
    refusal = refusal_of(error)
    if isinstance(error, UnsupportedMediaType) and context.get("view") is not None:
        refusal = _unsupported(error, context["view"])
    return Response(refusal.body(), status=refusal.status, headers=dict(refusal.headers))


@singledispatch
def refusal_of(error: BaseException) -> Refusal:
    """The error as clients see it. What nobody foresaw is a crash: logged, with a reference and no trace."""
    reference = uuid.uuid4().hex[:12]
    logger.error("Crash %s", reference, exc_info=error)
    message = f"an internal error; its trace is in the server's log under {reference}"
    return Refusal(500, "InternalError", message, [{"path": "", "message": message, "code": reference}])


@refusal_of.register
def _agent_error(error: AgentError) -> Refusal:
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)
    if status is None:
        crash: Refusal = refusal_of.dispatch(BaseException)(error)
        return crash
    return Refusal(status, error.code, str(error), list(_problems(error)))


@refusal_of.register
def _api_exception(error: APIException) -> Refusal:
    headers: dict[str, str] = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    problems = getattr(error, "problems", [])
    return Refusal(error.status_code, type(error).__name__, str(error.detail), problems, headers)


@refusal_of.register
def _validation_error(error: ValidationError) -> Refusal:
    problems = list(_flattened(error.detail))
    told = "; ".join(f"{p['path']}: {p['message']}" if p["path"] else str(p["message"]) for p in problems[:5])
    return Refusal(400, "InvalidRequest", told, problems)


@refusal_of.register
def _django_validation_error(error: exceptions.ValidationError) -> Refusal:
    return Refusal(400, "InvalidRequest", "; ".join(error.messages))


@refusal_of.register
def _not_found(error: Http404) -> Refusal:
    return Refusal(404, "NotFound", "there is nothing at this address")


@refusal_of.register
def _denied(error: exceptions.PermissionDenied) -> Refusal:
    return Refusal(403, "PermissionDenied", str(error) or "this account may not do that")


@refusal_of.register
def _suspicious(error: exceptions.SuspiciousOperation) -> Refusal:
    return Refusal(400, "BadRequest", str(error) or "the request is malformed")


@refusal_of.register
def _too_large(error: exceptions.RequestDataTooBig) -> Refusal:
    return Refusal(413, "BodyTooLarge", "the request body is larger than KOLOSAL_MAX_BODY_BYTES allows")


@refusal_of.register(OperationalError)
@refusal_of.register(InterfaceError)
def _store_unavailable(error: DatabaseError) -> Refusal:
    logger.error("The database could not serve a request: %s", str(error).strip().partition("\n")[0])
    message = "the database can't be reached or is busy; try again"
    return Refusal(503, "StoreUnavailable", message, headers={"Retry-After": "1"})


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler400``."""
    return defaults.bad_request(request, exception) if _is_page(request) else refusal_of(exception).response()


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler403``."""
    return defaults.permission_denied(request, exception) if _is_page(request) else refusal_of(exception).response()


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Django's ``handler404``: no route has this path."""
    return defaults.page_not_found(request, exception) if _is_page(request) else refusal_of(Http404()).response()


def crashed(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``, called while the exception is being handled."""
    if _is_page(request):
        return defaults.server_error(request)
    return refusal_of(sys.exc_info()[1] or RuntimeError("unknown")).response()


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's ``CSRF_FAILURE_VIEW``."""
    from django.views.csrf import csrf_failure as page

    return page(request, reason) if _is_page(request) else Refusal(403, "CsrfFailed", reason).response()


def _is_page(request: HttpRequest) -> bool:
    return request.path.startswith(HTML_PREFIXES)


def _unsupported(error: UnsupportedMediaType, view: Any) -> Refusal:
    given = getattr(error, "media_type", None) or view.request.content_type or "none"
    known = " or ".join(parser.media_type for parser in view.get_parsers())
    return Refusal(415, "UnsupportedMediaType", f"the body's Content-Type is {given!r}; send {known}")


def _problems(error: AgentError) -> Iterator[dict[str, Any]]:
    for problem in getattr(error, "problems", ()):
        entry: dict[str, Any] = problem if isinstance(problem, dict) else problem.to_json()
        entry = {"code": "invalid_parameter", **entry}
        yield {key: value for key, value in entry.items() if key != "severity"}


def _flattened(detail: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """DRF's nested error details as ``{path, message, code}``."""
    if isinstance(detail, dict):
        for key, inner in detail.items():
            own = "" if key == "non_field_errors" else str(key)
            yield from _flattened(inner, f"{path}.{own}".strip("."))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flattened(inner, path)
    else:
        yield {"path": path, "message": str(detail), "code": getattr(detail, "code", "invalid")}
