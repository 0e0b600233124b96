"""Turns every error of an API call into `{"code", "message", "details"}` in French."""

from http import HTTPStatus
from typing import Any

import structlog
from django.db import DataError
from rest_framework import exceptions
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_handler

from domain.errors import AristobotError

log = structlog.get_logger(__name__)


def handle(error: Exception, context: dict[str, Any]) -> Response:
    """DRF's exception handler. Unknown exceptions are logged with their traceback and answered as 500."""
    request = context.get("request")
    if request is not None:  # a refusal is JSON, also where the answer would have been a file
        request.accepted_renderer, request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
    return _answer(error, context)


def _answer(error: Exception, context: dict[str, Any]) -> Response:
    if isinstance(error, AristobotError):
        if error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _note_no_answer(error, context.get("request"))
        return Response(error.as_dict(), status=error.http_status)
    if isinstance(error, DataError):  # a value that passed every check of ours, and that PostgreSQL has no room for
        log.warning("api.value_refused_by_database", view=type(context.get("view")).__name__, error=str(error))
        message = f"Valeur refusée par la base de données : {str(error).splitlines()[0]}"
        return Response({"code": "invalid_input", "message": message, "details": {}}, status=400)
    response: Response | None = drf_handler(error, context)
    if response is None:
        view = type(context.get("view")).__name__
        log.error("api.unexpected_error", view=view, exc_info=error)
        body = {"code": "internal_error", "message": "Erreur interne du serveur : voir le journal.", "details": {}}
        return Response(body, status=500)
    response.data = _body(error, response.data)
    return response


def _note_no_answer(error: AristobotError, request: Any) -> None:
    """Log what an exchange or a service of ours did not answer, for the user who asked: no defect of ours."""
    user_id = getattr(getattr(request, "_user", None), "pk", None)  # not `user`, which may ask the database
    whose = {} if user_id is None else {"user_id": user_id}
    log.warning("api.no_answer", code=error.code, error=error.message, **whose)


def _body(error: Exception, payload: Any) -> dict[str, Any]:
    if isinstance(error, exceptions.ValidationError):
        return {"code": "invalid_input", "message": _first_message(payload), "details": {"fields": payload}}
    code = getattr(error, "default_code", "error")
    message = payload.get("detail", "") if isinstance(payload, dict) else str(payload)
    return {"code": str(code), "message": str(message), "details": {}}


def _first_message(payload: Any) -> str:
    if isinstance(payload, dict):
        field, errors = next(iter(payload.items()))
        inner = _first_message(errors)
        return inner if field == "non_field_errors" else f"{field} : {inner}"
    if isinstance(payload, list):
        return _first_message(payload[0])
    return str(payload)
