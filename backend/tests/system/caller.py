"""A service outside that calls a webhook while everything is killed: it believes what it was answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.system.instance import wait_until
from tests.system.judge import query
from tests.system.scenario import Desk, Market

_EACH_S = 0.5
_CALLS = """
    SELECT w.reference::text AS reference, w.status, w.reason, count(t.id) AS orders
    FROM webhooks w LEFT JOIN trades t ON t.status <> 'rejected'
        AND (t.webhook_id = w.id
            OR t.position_id = w.left_position_id AND t.intent = 'exit' AND t.status = 'filled')
    GROUP BY w.id
"""


class Caller(threading.Thread):
    """Sends a purchase every half second, each once; `accepted` are the references it was given."""

    def __init__(self, address: str, market: Market) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self._market = market
        self._address = address
        self._ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(_EACH_S):
            number += 1
            market = self._market
            wanted = {"ticker": market.exchange_symbol, "action": "buy", "quote_amount": market.quote_amount}
            body = {**wanted, "id": str(number)}
            try:
                answer = httpx.post(self._address, json=body, timeout=3.0)
            except httpx.HTTPError:
                continue  # nobody promised anything
            if answer.status_code == 202:
                self.accepted.append(answer.json()["id"])

    def end(self) -> None:
        self._ended.set()
        self.join(10)

    def assert_each_executed_once(self, desk: Desk) -> str:
        """Fail unless every accepted call is there and led to one order, or to none for a reason it says."""
        wait_until(
            lambda: desk.count("webhooks WHERE NOT processed") == 0,
            timeout_s=120,
            what=lambda: f"{desk.count('webhooks WHERE NOT processed')} calls wait\n{desk.instance.tail()}",
        )
        self._leave(desk)
        rows = {row["reference"]: row for row in query(desk.database_url, _CALLS)}
        lost = [reference for reference in self.accepted if reference not in rows]
        wrong = [row for row in rows.values() if row["orders"] != (row["status"] == "executed")]
        executed = sum(row["status"] == "executed" for row in rows.values())
        if lost or wrong or executed < 2:
            raise AssertionError(f"lost {lost}; wrong {wrong[:5]}; executed {executed} of {len(self.accepted)}")
        return f"{len(self.accepted)} accepted, {executed} executed"

    def _leave(self, desk: Desk) -> None:
        """Close by a call what the calls bought, and wait until it is sold."""
        answer = httpx.post(self._address, content=f"close {self._market.exchange_symbol}", timeout=3.0)
        self.accepted.append(answer.raise_for_status().json()["id"])
        left = "positions WHERE owner LIKE 'webhook:%%' AND status <> 'closed'"
        wait_until(
            lambda: desk.count("webhooks WHERE NOT processed") == 0 and desk.count(left) == 0,
            timeout_s=60,
            what=lambda: f"the position of the calls is sold\n{desk.instance.tail()}",
        )


@contextmanager
def calling(desk: Desk) -> Iterator[Caller]:
    """Call a source of the desk's trader until the end of the block."""
    settings = {"rate_per_minute": 6000, "max_age_s": 3600}
    source = desk.trader.post(
        "/api/webhooks/sources/", name="dehors", broker=desk.trader.simulateur()["id"], **settings
    )
    caller = Caller(source["url"], desk.market)
    caller.start()
    try:
        yield caller
    finally:
        caller.end()
