"""Routes under /api/."""

from django.urls import path, re_path

from apps.journal.views import LogsView, TraceView

urlpatterns = [
    path("logs/", LogsView.as_view()),
    re_path(r"^logs/traces/(?P<id>[A-Za-z0-9_.-]{1,64})/$", TraceView.as_view()),
]
