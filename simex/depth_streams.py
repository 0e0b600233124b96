"""Order books as streams: ``@depth`` (what changed) and ``@depth5|10|20`` (the best levels).

Source: Binance Spot API, "Diff. Depth Stream", "Partial Book Depth Streams" and "How to manage a local order
book correctly". A book's update id grows by one for each level that changed, looked at whenever somebody asks:
REST's `lastUpdateId` and the streams' `U` and `u` count the same. They go by the wall clock, every 100 ms or
second, because a market at speed 60 has no more browsers per second than one at speed 1.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson

from simex.clock import MarketClock
from simex.engine.exchange import Exchange
from simex.streams import Hub
from simex.units import ZERO, money

SIDES = ("BUY", "SELL")
SLOW_MS = 1_000
_NAME = re.compile(r"^([a-z0-9]+)@depth(5|10|20)?(?:@(100|1000)ms)?$")

Levels = dict[Decimal, Decimal]  # quantity by price
Rows = list[list[str]]


@dataclass
class Book:
    """One market's book as last looked at."""

    update_id: int
    sides: dict[str, Levels] = field(default_factory=lambda: {side: {} for side in SIDES})


@dataclass
class Sent:
    """What a stream's listeners have: the book at its last message."""

    symbol: str
    best: int | None  # levels of a partial book, None for what changed
    every_ms: int
    book: Book
    due_ms: int
    touched: dict[str, set[Decimal]] = field(default_factory=lambda: {side: set() for side in SIDES})


def is_depth_stream(name: str) -> bool:
    """Tell whether a stream's name is one of an order book's."""
    return _NAME.match(name) is not None


def book_rows(book: Book, side: str, limit: int) -> Rows:
    """Return the best levels of a side as Binance writes them."""
    ordered = sorted(book.sides[side].items(), reverse=side == "BUY")[:limit]
    return [[money(price), money(quantity)] for price, quantity in ordered]


class DepthStreams:
    """The books' update ids, and the messages of their streams."""

    def __init__(self, exchange: Exchange, hub: Hub, fast_ms: int) -> None:
        self._exchange = exchange
        self._hub = hub
        self._fast_ms = fast_ms
        self._books: dict[str, Book] = {}
        self._sent: dict[str, Sent] = {}

    def book(self, symbol: str) -> Book:
        """Look at a market's book now: the synthetic depth with the users' resting orders in it."""
        sides = {side: self._levels(symbol, side) for side in SIDES}
        seen = self._books.get(symbol) or Book(self._first_id(symbol))
        changed = {side: _changed(seen.sides[side], sides[side]) for side in SIDES}
        book = Book(seen.update_id + sum(map(len, changed.values())), sides)
        self._books[symbol] = book
        for sent in self._sent.values():
            if sent.symbol == symbol:
                for side in SIDES:
                    sent.touched[side] |= changed[side]
        return book

    def begin(self, names: Iterable[str], wall_ms: int) -> None:
        """Start the order book streams among these; to be called when they are subscribed."""
        for name in names:
            found = _NAME.match(name)
            if found is None or name in self._sent:
                continue
            symbol, best = found.group(1).upper(), found.group(2)
            every_ms = self._fast_ms if found.group(3) == "100" else SLOW_MS
            self._sent[name] = Sent(
                symbol, int(best) if best else None, every_ms, self.book(symbol), wall_ms + every_ms
            )

    def send_due(self, clock: MarketClock, wall_ms: int) -> None:
        """Send every stream whose time has come and whose book changed."""
        for name, sent in list(self._sent.items()):
            if not self._hub.wanted(name):
                del self._sent[name]
            elif wall_ms >= sent.due_ms:
                sent.due_ms = max(sent.due_ms + sent.every_ms, wall_ms)
                self._send(name, sent, clock.now_ms)

    def _send(self, name: str, sent: Sent, now_ms: int) -> None:
        old, new = sent.book, self.book(sent.symbol)
        if new.update_id == old.update_id:
            return
        message = _diff(sent, new, now_ms) if sent.best is None else _partial(new, sent.best)
        sent.book, sent.touched = new, {side: set() for side in SIDES}
        self._hub.publish(name, orjson.dumps(message).decode())

    def _levels(self, symbol: str, side: str) -> Levels:
        levels = {level.price: level.quantity for level in self._exchange.books[symbol].levels(side)}
        for order in self._exchange.resting(symbol, side):
            levels[order.price] = levels.get(order.price, ZERO) + order.remaining
        return levels

    def _first_id(self, symbol: str) -> int:
        last = self._exchange.books[symbol].last
        return last.last_id if last else 0


def _changed(old: Levels, new: Levels) -> set[Decimal]:
    return {price for price in old.keys() | new.keys() if old.get(price) != new.get(price)}


def _diff(sent: Sent, new: Book, now_ms: int) -> dict[str, Any]:
    """Name every level touched since the last message, also one that is again as it was.

    A snapshot taken in between has it as it was then.
    """
    rows = {
        side: [
            [money(price), money(new.sides[side].get(price, ZERO))]
            for price in sorted(sent.touched[side], reverse=side == "BUY")
        ]
        for side in SIDES
    }
    return {
        "e": "depthUpdate",
        "E": now_ms,
        "s": sent.symbol,
        "U": sent.book.update_id + 1,
        "u": new.update_id,
        "b": rows["BUY"],
        "a": rows["SELL"],
    }


def _partial(book: Book, best: int) -> dict[str, Any]:
    return {
        "lastUpdateId": book.update_id,
        "bids": book_rows(book, "BUY", best),
        "asks": book_rows(book, "SELL", best),
    }
