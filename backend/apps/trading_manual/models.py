"""What the manual terminal remembers of the requests that do something."""

from django.conf import settings
from django.db import models


class TerminalReply(models.Model):
    """The one reply to a request that changed something, written in the transaction that did it.

    A request that comes again (its reply was lost with the socket, the web process was restarted) finds its
    reply here and does nothing. Written by apps.trading_manual.services.replies only.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="terminal_replies")
    request_id = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)  # of what was asked: one id is one request
    ok = models.BooleanField(default=False)
    body = models.JSONField(default=dict)  # `data` or `error`
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "terminal_replies"
        constraints = [models.UniqueConstraint(fields=["user", "request_id"], name="terminal_replies_once")]
