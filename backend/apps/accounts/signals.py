"""What other rooms may listen to (joined in aristobot.wiring)."""

from django.dispatch import Signal

# Sent after the transaction that created a user; argument `user`.
user_registered = Signal()
