"""Tells on the screen whether the real market that the Simulateur relays can be reached."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from launcher import health

_PERIOD_S = 1.0


@dataclass(frozen=True)
class RealMarket:
    """What the simulated exchange says of the exchange it relays."""

    url: str
    is_reached: bool
    error: str

    def french(self) -> str:
        """One line for a person."""
        if self.is_reached:
            return f"Binance répond ({self.url}) : prix réels, argent simulé."
        return (
            f"Binance ne répond pas ({self.url}) : {self.error}. Le marché est arrêté : ni bougies ni ordres "
            "sur le Simulateur jusqu'à son retour, qui sera suivi de lui-même ; le reste fonctionne."
        )


def ask(simex_port: int) -> RealMarket | None:
    """Return how things stand; None while nothing is known, or when no real market is relayed."""
    answer = health.get(simex_port, "/__sim/run")
    try:
        told: Any = json.loads(answer[1])["upstream"] if answer else None
    except (ValueError, KeyError):
        return None
    if told is None or (told["state"] != "connected" and not told["error"]):
        return None
    return RealMarket(told["url"], told["state"] == "connected", told["error"])


async def watch(simex_port: int, tell: Callable[[str], None]) -> None:
    """Say how things stand, and again each time that changes, until cancelled."""
    known: bool | None = None
    while True:
        found = await asyncio.to_thread(ask, simex_port)
        if found is not None and found.is_reached != known:
            known = found.is_reached
            tell(found.french())
        await asyncio.sleep(_PERIOD_S)
