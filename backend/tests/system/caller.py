"""A service outside that calls a webhook while everything is killed: it believes what it was answered."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg

from tests.system.instance import wait_until, wait_while_it_moves
from tests.system.judge import Verdict, query
from tests.system.scenario import Desk

_EACH_S = 0.5
_MOST_WAITING = 20  # one call at a time is acted upon: more than this only makes a queue longer
_STANDSTILL_S = 120.0  # an order of unknown outcome holds its market up for half a minute
_WAITING = "webhooks WHERE NOT processed"
_LEFT = "positions WHERE owner LIKE 'webhook:%%' AND status <> 'closed'"
_CALLS = """
    SELECT w.reference::text AS reference, w.status, w.reason, count(t.id) AS orders
    FROM webhooks w LEFT JOIN trades t ON t.status <> 'rejected'
        AND (t.webhook_id = w.id
            OR t.position_id = w.left_position_id AND t.intent = 'exit' AND t.status = 'filled')
    GROUP BY w.id
"""


class Caller(threading.Thread):
    """Sends a purchase every half second, each once, unless many wait already.

    `accepted` are the references it was given, `held_back` counts the moments at which it did not call.
    """

    def __init__(self, desk: Desk, address: str) -> None:
        super().__init__(daemon=True)
        self.accepted: list[str] = []
        self.held_back = 0
        self._desk, self._market = desk, desk.market
        self._address = address
        self._ended = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._ended.wait(_EACH_S):
            if self._is_crowded():
                self.held_back += 1
                continue
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

    def settle(self) -> None:
        """Wait until every call is acted upon and what they bought is sold; however long, while it moves."""
        self._wait_for_the_inbox()
        answer = httpx.post(self._address, content=f"close {self._market.exchange_symbol}", timeout=3.0)
        self.accepted.append(answer.raise_for_status().json()["id"])
        self._wait_for_the_inbox()
        wait_until(
            lambda: self._desk.count(_LEFT) == 0,
            timeout_s=_STANDSTILL_S,
            what=lambda: f"the position of the calls is sold\n{self._desk.instance.tail()}",
        )

    def judge(self) -> Verdict:
        """Every accepted call is there and led to one order, or to none for a reason it says."""
        verdict = Verdict()
        rows = {row["reference"]: row for row in query(self._desk.database_url, _CALLS)}
        for reference in self.accepted:
            verdict.check("call kept", reference in rows, f"{reference} was accepted and is nowhere")
        for reference, row in rows.items():
            is_executed = row["status"] == "executed"
            told = f"{reference} is {row['status']} ({row['reason']}): {row['orders']} orders"
            verdict.check("call acted upon", row["status"] != "received", told)
            verdict.check("one order per executed call", row["orders"] == is_executed, told)
            verdict.compared["executed"] += is_executed
        executed = verdict.compared["executed"]
        verdict.check("calls executed", executed >= 2, f"{executed} of {len(self.accepted)}")
        return verdict

    def _is_crowded(self) -> bool:
        try:
            return self._desk.count(_WAITING) >= _MOST_WAITING
        except psycopg.Error:
            return False  # the database was killed: somebody outside would call all the same

    def _wait_for_the_inbox(self) -> None:
        wait_while_it_moves(
            lambda: self._desk.count(_WAITING) == 0,
            progress=lambda: self._desk.count("webhooks WHERE processed"),
            standstill_s=_STANDSTILL_S,
            what=lambda: f"{self._desk.count(_WAITING)} calls wait\n{self._desk.instance.tail()}",
        )


@contextmanager
def calling(desk: Desk) -> Iterator[Caller]:
    """Call a source of the desk's trader until the end of the block."""
    settings = {"rate_per_minute": 6000, "max_age_s": 3600}
    source = desk.trader.post(
        "/api/webhooks/sources/", name="dehors", broker=desk.trader.simulateur()["id"], **settings
    )
    caller = Caller(desk, source["url"])
    caller.start()
    try:
        yield caller
    finally:
        caller.end()
