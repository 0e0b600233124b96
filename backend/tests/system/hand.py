"""A person at the manual terminal while everything is killed: buys, sells, places, cancels, over its socket."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.system.judge import query
from tests.system.scenario import Desk

_EACH_S = 0.7
_REPLY_S = 8.0


class Hand(threading.Thread):
    """Places a small order each 0.7 s, cancels what rests now and then; `placed` counts those it was promised."""

    def __init__(self, desk: Desk, *, seed: int) -> None:
        super().__init__(daemon=True)
        self.placed = 0
        self._desk, self._market = desk, desk.market
        self._broker = desk.trader.simulateur()["id"]
        self._moments = random.Random(seed)
        self._socket: ClientConnection | None = None
        self._open = ExitStack()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_EACH_S):
            try:
                self._act()
            except (OSError, TimeoutError, WebSocketException, httpx.HTTPError, psycopg.Error, ValueError):
                self._hang_up()  # somebody was killed: nobody promised anything

    def end(self) -> None:
        self._ended.set()
        self.join(20)
        self._hang_up()

    def leave_everything(self) -> None:
        """Cancel whatever of this account still rests."""
        try:
            answer = self._ask("cancel_all", symbol=self._market.symbol, everybody=True)
        finally:
            self._hang_up()
        if not answer.get("ok"):
            raise AssertionError(f"cancel_all: {answer}")

    def _act(self) -> None:
        choice = self._moments.random()
        if choice < 0.15:
            self._ask("cancel_all", symbol=self._market.symbol)
        elif choice < 0.55:
            self._submit(side="buy", order_type="market", quote_amount=self._market.quote_amount)
        elif choice < 0.75:
            if self._owns_enough():  # what the bots bought on the same account is not his to sell
                self._submit(side="sell", order_type="market", quantity=self._market.quantity)
        else:
            self._submit(side="buy", order_type="limit", quantity=self._market.quantity, price=self._price("0.995"))

    def _owns_enough(self) -> bool:
        owned = "SELECT COALESCE(sum(quantity), 0) AS n FROM positions WHERE owner = 'manual' AND status = 'open'"
        held: Decimal = query(self._desk.database_url, owned)[0]["n"]
        return held >= 3 * Decimal(self._market.quantity)  # a sale may still be on its way

    def _submit(self, **ticket: Any) -> None:
        answer = self._ask("submit", symbol=self._market.symbol, **ticket)
        self.placed += bool(answer.get("ok"))

    def _price(self, ratio: str) -> str:
        book = self._ask("book", symbol=self._market.symbol, depth=1)
        if not book.get("ok"):
            raise ValueError(f"no book: {book}")
        best = Decimal(str(book["data"]["bids"][0][0]))
        return f"{best * Decimal(ratio):.{self._market.decimals}f}"

    def _ask(self, kind: str, **params: Any) -> dict[str, Any]:
        socket, name = self._connected(), uuid4().hex
        socket.send(json.dumps({"request_id": name, "type": kind, "broker": self._broker, **params}))
        while True:
            message: dict[str, Any] = json.loads(socket.recv(timeout=_REPLY_S))
            if message.get("request_id") == name:
                return message

    def _connected(self) -> ClientConnection:
        if self._socket is None:
            url = self._desk.instance.url
            cookies = self._desk.trader.cookie_header()
            opening = connect(
                f"{url.replace('http', 'ws', 1)}/ws/trading/",
                additional_headers={"Cookie": cookies, "Origin": url},
                open_timeout=_REPLY_S,
            )
            self._socket = self._open.enter_context(opening)
        return self._socket

    def _hang_up(self) -> None:
        self._socket = None
        try:
            self._open.close()
        except (OSError, WebSocketException):
            return  # it was cut already


@contextmanager
def trading_by_hand(desk: Desk, *, seed: int) -> Iterator[Hand]:
    """Trade by hand until the end of the block."""
    hand = Hand(desk, seed=seed)
    hand.start()
    try:
        yield hand
    finally:
        hand.end()
