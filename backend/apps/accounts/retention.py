"""What of the accounts may go: sessions past their end, with where they were opened."""

from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import QuerySet

from apps.core.services.retention import Rule


def _sessions(before: datetime) -> "QuerySet[Any]":
    return Session.objects.filter(expire_date__lt=before)


ACCOUNTS_RULES = (Rule("sessions", _sessions),)
