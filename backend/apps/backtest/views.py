"""`/api/backtests/`: strategies played over past candles."""

from asgiref.sync import async_to_sync
from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.backtest.serializers import QuickTestInputSerializer, QuickTestSerializer
from apps.brokers.selectors import own_broker
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.strategy_requests import ask_terminal_3
from domain.strategies.loader import invalid
from domain.strategies.params import check_params, declared_params
from domain.strategies.syntax import check_syntax

_TIMEOUT_S = 40.0


class QuickTestView(APIView):
    @extend_schema(request=QuickTestInputSerializer, responses=QuickTestSerializer)
    def post(self, request: Request) -> Response:
        """Try unsaved code on the last 500 candles of a market, in the sandbox of terminal 3."""
        asked = QuickTestInputSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        wanted = asked.validated_data
        own_broker(request.user, wanted["broker"])
        problems = check_syntax(wanted["code"])
        if problems:
            raise invalid(problems)
        params = {
            "user_id": request.user.pk,
            "broker_id": wanted["broker"],
            "code": wanted["code"],
            "symbol": wanted["symbol"],
            "timeframe": wanted["timeframe"],
            "amount": str(wanted["amount"]),
            "params": check_params(declared_params(wanted["code"]).specs, wanted["params"]),
        }
        answer = async_to_sync(ask_terminal_3)(
            settings.REDIS_URL,
            "quick_test",
            params,
            action="Stratégie non essayée",
            clock=SystemClock(),
            timeout_s=_TIMEOUT_S,
        )
        return Response(answer)
