"""Routes under /api/."""

from django.urls import path

from apps.market_data.views import CandleList, SymbolList

urlpatterns = [path("symbols/", SymbolList.as_view()), path("candles/", CandleList.as_view())]
