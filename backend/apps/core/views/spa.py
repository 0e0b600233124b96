"""The built cockpit: its one page for every route of the browser, and a clear answer for unknown API paths."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views import View
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from domain.errors import NotFound

_NOT_BUILT = (
    "<!doctype html><meta charset='utf-8'><title>Aristobot3</title><body style='background:#0A0A0A;color:#eee;"
    "font-family:sans-serif;padding:3rem'><h1>Interface non construite</h1><p>Lancer « ./aristobot up », ou "
    "« npm run dev » dans <code>frontend/</code> pour le terminal 4.</p>"
)


class CockpitView(View):
    """Answers `index.html`; the browser's router does the rest."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        index = Path(settings.FRONTEND_DIST) / "index.html"
        if not index.is_file():
            return HttpResponse(_NOT_BUILT, status=503)
        nonce = f'<meta property="csp-nonce" nonce="{request.csp_nonce}">'
        page = index.read_text(encoding="utf-8").replace("<head>", f"<head>{nonce}", 1)
        response = HttpResponse(page, content_type="text/html; charset=utf-8")
        response["Cache-Control"] = "no-cache"
        return response


@extend_schema(exclude=True)
class UnknownApiView(APIView):
    permission_classes = (AllowAny,)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        raise NotFound(f"Adresse inconnue : {request.method} {request.path}.", code="unknown_path")

    def get(self, request: Request) -> Response:
        """Never reached: `initial` refuses every method; here so that DRF lists the verb."""
        raise NotFound(f"Adresse inconnue : {request.path}.", code="unknown_path")
