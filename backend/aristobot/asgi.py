"""Terminal 1: HTTP (Django) and WebSockets (Channels), origins checked."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aristobot.settings")
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402 — models must be loaded first

from aristobot.routing import websocket_application  # noqa: E402
from aristobot.wiring import web  # noqa: E402

web.prepare()
application = ProtocolTypeRouter({"http": django_application, "websocket": websocket_application})
