"""Strategies: the user's Python code."""

from django.conf import settings
from django.db import models


class Strategy(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="strategies")
    name = models.CharField(max_length=100)
    description = models.TextField(blank=True)
    code = models.TextField()
    timeframe = models.CharField(max_length=4)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "strategies"
        constraints = [models.UniqueConstraint(fields=["user", "name"], name="strategies_name_per_user")]
