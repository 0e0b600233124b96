"""A person at the manual terminal while everything is killed: buys, sells, places, cancels, over its socket."""

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.system.scenario import SYMBOL, Desk

_EACH_S = 0.7
_REPLY_S = 8.0


class Hand(threading.Thread):
    """Places a small order each 0.7 s, cancels what rests now and then; `placed` counts those it was promised."""

    def __init__(self, desk: Desk, *, seed: int) -> None:
        super().__init__(daemon=True)
        self.placed = 0
        self._desk = desk
        self._broker = desk.trader.simulateur()["id"]
        self._moments = random.Random(seed)
        self._socket: ClientConnection | None = None
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(_EACH_S):
            try:
                self._act()
            except (OSError, TimeoutError, WebSocketException, httpx.HTTPError, ValueError):
                self._hang_up()  # somebody was killed: nobody promised anything

    def end(self) -> None:
        self._ended.set()
        self.join(20)
        self._hang_up()

    def _act(self) -> None:
        choice = self._moments.random()
        if choice < 0.15:
            self._ask("cancel_all", symbol=SYMBOL)
        elif choice < 0.55:
            self._submit(side="buy", order_type="market", quote_amount="0.02")
        elif choice < 0.75:
            self._submit(side="sell", order_type="market", quantity="10")
        else:
            self._submit(side="buy", order_type="limit", quantity="10", price=self._price("0.995"))

    def _submit(self, **ticket: Any) -> None:
        answer = self._ask("submit", symbol=SYMBOL, **ticket)
        self.placed += bool(answer.get("ok"))

    def _price(self, ratio: str) -> str:
        book = self._ask("book", symbol=SYMBOL, depth=1)
        best = float(book["data"]["bids"][0][0]) if book.get("ok") else 0.0015
        return f"{best * float(ratio):.7f}"

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
            self._socket = connect(
                f"{url.replace('http', 'ws', 1)}/ws/trading/",
                additional_headers={"Cookie": cookies, "Origin": url},
                open_timeout=_REPLY_S,
            )
        return self._socket

    def _hang_up(self) -> None:
        if self._socket is not None:
            socket, self._socket = self._socket, None
            try:
                socket.close()
            except (OSError, WebSocketException):
                return


@contextmanager
def trading_by_hand(desk: Desk, *, seed: int) -> Iterator[Hand]:
    """Trade by hand until the end of the block."""
    hand = Hand(desk, seed=seed)
    hand.start()
    try:
        yield hand
    finally:
        hand.end()
