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


class StrategyVersion(models.Model):
    """A text that a strategy once had. Written with each change of the code, never changed."""

    strategy = models.ForeignKey(Strategy, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()  # 1 is the first text
    code = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "strategy_versions"
        constraints = [
            models.UniqueConstraint(fields=["strategy", "number"], name="strategy_versions_number"),
        ]
