"""WebSocket routes, origins checked."""

from channels.auth import AuthMiddlewareStack
from channels.routing import URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

from apps.core.consumers import EventsConsumer
from aristobot.wiring import web

_events = EventsConsumer.as_asgi(feeds=web.feeds(web.health_service()))

websocket_application = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([path("ws/", _events)])))
