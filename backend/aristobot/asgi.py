"""Terminal 1: HTTP (Django) and WebSockets (Channels), origins checked."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aristobot.settings")
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402 — models must be loaded first

from apps.core.adapters import body_limit  # noqa: E402
from apps.core.disconnect import until_disconnect  # noqa: E402
from aristobot.routing import STREAMED_PATHS, websocket_application  # noqa: E402
from aristobot.wiring import web  # noqa: E402
from aristobot.wiring.logs import start_logs  # noqa: E402

start_logs("web")
web.prepare()
body_limit.install()
http_application = until_disconnect(web.with_webhook_door(django_application), paths=STREAMED_PATHS)
application = web.with_proxies(ProtocolTypeRouter({"http": http_application, "websocket": websocket_application}))
