"""`/api/logs/`: what the terminals wrote, and the whole of a trace. A user sees his own and the instance's."""

from dataclasses import asdict

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core.logs.reading import Wanted
from apps.journal import selectors
from apps.journal.serializers import LogPageSerializer, LogQuery, TraceSerializer
from apps.journal.timeline import steps_of
from domain.errors import NotFound

_LINES_OF_A_TRACE = 200


class LogsView(APIView):
    @extend_schema(parameters=[LogQuery], responses=LogPageSerializer)
    def get(self, request: Request) -> Response:
        """Lines, newest first."""
        query = LogQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        found = selectors.lines_of(request.user.pk, query.wanted(), limit=query.validated_data["limit"])
        resume = None if found.resume is None else "~".join(found.resume)
        return Response({"results": found.lines, "next": resume})


class TraceView(APIView):
    @extend_schema(responses=TraceSerializer)
    def get(self, request: Request, id: str) -> Response:
        """Everything about one decision, order or call, from its signal to its last fill."""
        trace_id = id
        steps = steps_of(request.user.pk, trace_id)
        lines = selectors.lines_of(request.user.pk, Wanted(trace=trace_id), limit=_LINES_OF_A_TRACE).lines
        if not steps and not any(line["trace_id"] == trace_id for line in lines):
            raise NotFound(f"Trace « {trace_id} » introuvable.", details={"trace": trace_id})
        body = {
            "trace_id": trace_id,
            "duration_ms": round((steps[-1].at - steps[0].at).total_seconds() * 1000, 3) if steps else 0.0,
            "steps": [asdict(step) for step in steps],
            "lines": lines[::-1],
        }
        return Response(body)
