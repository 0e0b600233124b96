"""Which daily summaries were made. Written by `apps.journal.daily_summary` only."""

from django.conf import settings
from django.db import models


class DailySummary(models.Model):
    """The summary of one local day was made for its user: once."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    day = models.DateField()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "daily_summaries"
        constraints = [models.UniqueConstraint(fields=["user", "day"], name="daily_summaries_once")]
