"""A person at the cockpit, over HTTP only."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

PASSWORD = "une-phrase-de-passe-42"


class Trader:
    """A signed-in user of one instance."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=20.0)
        self.session: dict[str, Any] = self._client.get("/api/session/").json()

    def register(self, name: str) -> None:
        self.session = self.post("/api/session/register/", username=name, password=PASSWORD)

    def login(self, name: str) -> None:
        self.session = self.post("/api/session/login/", username=name, password=PASSWORD)

    def get(self, path: str, **params: Any) -> Any:
        return self._answer(self._client.get(path, params=params))

    def all(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Every row of a paged list."""
        page = self.get(path, **params)
        while True:
            yield from page["results"]
            if page["next"] is None:
                return
            page = self._answer(self._client.get(page["next"]))

    def post(self, path: str, **body: Any) -> Any:
        return self._answer(self.try_post(path, **body))

    def try_post(self, path: str, **body: Any) -> httpx.Response:
        """The answer as it is, for refusals."""
        token = self._client.cookies.get("csrftoken") or ""
        return self._client.post(path, json=body, headers={"X-CSRFToken": token})

    def patch(self, path: str, **body: Any) -> Any:
        token = self._client.cookies.get("csrftoken") or ""
        return self._answer(self._client.patch(path, json=body, headers={"X-CSRFToken": token}))

    def simulateur(self) -> dict[str, Any]:
        """The user's Simulateur broker."""
        brokers = self.get("/api/brokers/")
        rows = brokers["results"] if isinstance(brokers, dict) else brokers
        found: dict[str, Any] = next(row for row in rows if row["exchange"] == "simex")
        return found

    def example_strategy(self) -> dict[str, Any]:
        """The shipped EMA 10/20 cross."""
        return next(row for row in self.all("/api/strategies/") if "EMA" in row["name"])

    def start_bot(self, *, strategy: int, broker: int, symbol: str, timeframe: str, **more: Any) -> dict[str, Any]:
        """Create an active bot, valid for any market time."""
        body = {
            "strategy": strategy,
            "broker": broker,
            "symbol": symbol,
            "timeframe": timeframe,
            "start_date": "2001-01-01T00:00:00Z",
            "end_date": "2099-01-01T00:00:00Z",
            "is_active": True,
            "confirm_duplicate": True,
            **more,
        }
        bot: dict[str, Any] = self.post("/api/bots/", **body)
        return bot

    def cookie_header(self) -> str:
        """What a socket of this session sends along."""
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._client.cookies.jar)

    def close(self) -> None:
        self._client.close()

    def _answer(self, response: httpx.Response) -> Any:
        if response.status_code >= 400:
            raise AssertionError(
                f"{response.request.method} {response.url}: {response.status_code} {response.text}"
            )
        return response.json() if response.content else None


@contextmanager
def trader(url: str, name: str) -> Iterator[Trader]:
    """A freshly registered trader."""
    person = Trader(url)
    try:
        person.register(name)
        yield person
    finally:
        person.close()
