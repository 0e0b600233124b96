"""`/api/backtests/sweeps/`: searches over a strategy's parameters."""

from datetime import UTC, datetime

from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from apps.backtest import selectors
from apps.backtest.announce import tell_and_wake
from apps.backtest.bodies import sweep_body, sweep_run_body
from apps.backtest.models import BacktestSweep
from apps.backtest.serializers import BacktestQuery
from apps.backtest.services import requests
from apps.backtest.sweep_serializers import SweepDetailSerializer, SweepInputSerializer, SweepSerializer


class SweepViewSet(GenericViewSet[BacktestSweep]):
    serializer_class = SweepSerializer
    queryset = BacktestSweep.objects.none()
    filter_backends = ()
    lookup_value_regex = r"\d+"

    @extend_schema(parameters=[BacktestQuery], responses=SweepSerializer(many=True))
    def list(self, request: Request) -> Response:
        query = BacktestQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        page = self.paginate_queryset(selectors.sweeps_of(request.user.pk).filter(**query.validated_data))
        return self.get_paginated_response([sweep_body(row) for row in page or []])

    @extend_schema(responses=SweepDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """A sweep with what it has played so far."""
        sweep = selectors.own_sweep(request.user.pk, int(pk))
        runs = [sweep_run_body(row) for row in selectors.ranked_runs(sweep)]
        return Response({**sweep_body(sweep), "runs": runs})

    @extend_schema(request=SweepInputSerializer, responses={201: SweepSerializer})
    def create(self, request: Request) -> Response:
        asked = SweepInputSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        sweep = requests.create_sweep(request.user.pk, asked.validated_data, now=datetime.now(UTC))
        tell_and_wake(sweep)
        return Response(sweep_body(sweep), status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        requests.delete(selectors.own_sweep(request.user.pk, int(pk)))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=SweepSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        """Ask for the end of the sweep; what it has played stays."""
        sweep = requests.cancel(selectors.own_sweep(request.user.pk, int(pk)))
        tell_and_wake(sweep)
        return Response(sweep_body(sweep))
