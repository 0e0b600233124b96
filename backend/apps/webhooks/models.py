"""Calls received from outside (the sources and their execution come with the webhooks page)."""

from django.conf import settings
from django.db import models


class Webhook(models.Model):
    """One call as it arrived."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="webhooks")
    source = models.CharField(max_length=64)
    payload = models.JSONField()
    processed = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "webhooks"
