"""WebSocket routes, origins checked; a socket ends with the session it was opened with."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from django.urls import path

from apps.accounts.middleware import OpenSessionOnly
from apps.core.consumers import EventsConsumer
from apps.core.pacing import paced
from apps.core.same_origin import same_origin
from apps.trading_manual.consumers import TerminalConsumer
from aristobot.wiring import web

_events = EventsConsumer.as_asgi(feeds=web.feeds(web.health_service()))

_terminal = TerminalConsumer.as_asgi(terminal=web.manual_terminal)

# Answered piece by piece, as long as the reader stays.
STREAMED_PATHS = frozenset({"/api/assistant/generate/"})

websocket_application = same_origin(
    AuthMiddlewareStack(OpenSessionOnly(paced(URLRouter([path("ws/", _events), path("ws/trading/", _terminal)]))))
)
