"""Routes under /api/."""

from django.urls import path

from apps.stats import views

urlpatterns = [
    path("stats/summary/", views.SummaryView.as_view()),
    path("stats/equity/", views.EquityView.as_view()),
    path("stats/daily/", views.DailyView.as_view()),
    path("stats/by-strategy/", views.ByStrategyView.as_view()),
    path("stats/by-webhook/", views.ByWebhookView.as_view()),
    path("stats/by-symbol/", views.BySymbolView.as_view()),
    path("stats/trades/", views.TradesView.as_view()),
    path("stats/trades/export/", views.TradesExportView.as_view()),
    path("stats/trades/<int:pk>/", views.TradeView.as_view()),
]
