"""The simulated exchange's own door (`/__sim/…`): accounts for newcomers, and which market it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from django.conf import settings

from domain.errors import Unavailable

_TIMEOUT_S = 5.0
_UNLIMITED = 10_000.0


@dataclass(frozen=True, slots=True)
class SimexRun:
    """A market of the simulated exchange. `speed` is market seconds per wall second (very large for "max")."""

    run: str
    speed: float


async def create_account() -> dict[str, str]:
    """Make an account with its own simulated money; return its credentials by ccxt's names.

    Raises:
        Unavailable: no simulated exchange is running, or it does not answer.
    """
    answer = await _call("POST", "/__sim/accounts", {})
    return {"apiKey": str(answer["api_key"]), "secret": str(answer["api_secret"])}


async def current_run() -> SimexRun:
    """Raises Unavailable as `create_account` does."""
    answer = await _call("GET", "/__sim/run", None)
    speed = str(answer.get("speed", "1"))
    return SimexRun(run=str(answer["run"]), speed=_UNLIMITED if speed in ("max", "step") else float(speed))


async def _call(method: str, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if not settings.SIMEX_URL:
        raise Unavailable("Aucun exchange simulé ne tourne ici (SIMEX_URL est vide).", code="simex_absent")
    url = settings.SIMEX_URL.rstrip("/") + path
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.request(method, url, json=body) as reply,
        ):
            reply.raise_for_status()
            answer: Mapping[str, Any] = await reply.json(content_type=None)
            return answer
    except (aiohttp.ClientError, TimeoutError, ValueError) as exc:
        raise Unavailable(f"L'exchange simulé ne répond pas ({path}) : {exc}", code="simex_down") from exc
