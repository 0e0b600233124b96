"""What Django itself refuses, in the shape of every refusal of the API."""

from typing import Any

from django.http import HttpRequest, JsonResponse


def csrf_failure(request: HttpRequest, reason: str = "", **_: Any) -> JsonResponse:
    """A form token is absent or another page's: the reason is for a program's author."""
    message = "Requête refusée : jeton de formulaire absent ou périmé, recharger la page."
    return JsonResponse({"code": "csrf_failed", "message": message, "details": {"reason": reason}}, status=403)
