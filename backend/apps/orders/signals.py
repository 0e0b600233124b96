"""What the orders room says to whoever wiring joins to it. All are sent after the commit."""

from django.dispatch import Signal

# Rows wait for terminal 5 (new orders or commands). No arguments.
orders_waiting = Signal()

# Something a browser may want to see. Arguments: topic, event_type, data (JSON-ready), user_id.
order_event = Signal()
