"""Whatever users do, money is conserved, and the journal brings the same state back."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from simex.engine.errors import ApiError
from simex.engine.exchange import Exchange
from simex.engine.filters import UNPRICED, OrderRequest
from simex.engine.lists import GAIN_LEG, STOP_LEG, OcoRequest
from simex.engine.state import Account
from simex.engine.triggers import STOPS
from simex.market.symbols import plausible_rules
from simex.market.tradelog import AggTrade

SYMBOLS = ("BTCUSDT", "ETHBTC")
PRICES = {"BTCUSDT": (5_000_000, Decimal("0.01")), "ETHBTC": (5_000, Decimal("0.00001"))}
WHO = st.sampled_from(("alice", "bob"))
SYMBOL = st.sampled_from(SYMBOLS)
PERMILLE = st.integers(980, 1020)
PLACE = st.tuples(
    st.just("place"),
    WHO,
    SYMBOL,
    st.sampled_from(("BUY", "SELL")),
    st.sampled_from(("GTC", "IOC", "FOK", "MAKER", "MARKET", "QUOTE", *STOPS)),
    PERMILLE,
    st.integers(1, 400),
)
STOP = st.tuples(
    st.just("place"),
    WHO,
    SYMBOL,
    st.sampled_from(("BUY", "SELL")),
    st.sampled_from(STOPS),
    PERMILLE,
    st.integers(1, 400),
)
OCO = st.tuples(
    st.just("oco"),
    WHO,
    SYMBOL,
    st.sampled_from(("BUY", "SELL")),
    st.sampled_from(STOP_LEG),
    st.sampled_from(GAIN_LEG),
    st.integers(1, 15),
    st.integers(1, 15),
    st.integers(1, 400),
)
CANCEL = st.tuples(st.just("cancel"), WHO, st.integers(0, 5))
TRADE = st.tuples(st.just("trade"), SYMBOL, PERMILLE, st.integers(1, 100_000))
EVENTS = st.lists(st.one_of(PLACE, STOP, OCO, CANCEL, TRADE), max_size=40)


def make() -> Exchange:
    made = Exchange({name: plausible_rules(name) for name in SYMBOLS}, seed=3, run="r")
    return made


def price_at(symbol: str, permille: int) -> Decimal:
    ticks, tick = PRICES[symbol]
    return ticks * permille // 1000 * tick


def play(exchange: Exchange, number: int, event: tuple[Any, ...]) -> None:
    if event[0] == "trade":
        _, symbol, permille, quantity = event
        price8 = int(price_at(symbol, permille) * 10**8)
        exchange.on_trade(symbol, AggTrade(number, price8, quantity * 10**5, number, number, number, True))
    elif event[0] == "cancel":
        _, who, index = event
        found = exchange.open_orders(who)
        if found:
            exchange.cancel(who, found[index % len(found)])
    elif event[0] == "oco":
        oco(exchange, event)
    else:
        place(exchange, event)


def oco(exchange: Exchange, event: tuple[Any, ...]) -> None:
    _, who, symbol, side, loss, gain, up, down, size = event
    quantity = exchange.rules[symbol].step * size * 10
    kinds = (loss, gain) if side == "BUY" else (gain, loss)
    legs = []
    for kind, permille in zip(kinds, (1000 + up, 1000 - down), strict=True):
        at = price_at(symbol, permille)
        price = Decimal(0) if kind in UNPRICED else at
        stop = at if kind in STOPS else Decimal(0)
        legs.append(OrderRequest(symbol, side, kind, "GTC", price, quantity, Decimal(0), None, "FULL", stop))
    with suppress(ApiError):
        exchange.place_oco(who, OcoRequest(legs[0], legs[1], None))


def place(exchange: Exchange, event: tuple[Any, ...]) -> None:
    _, who, symbol, side, force, permille, size = event
    quantity = exchange.rules[symbol].step * size * 10
    named = {"MAKER": "LIMIT_MAKER", "MARKET": "MARKET", "QUOTE": "MARKET"}
    kind = force if force in STOPS else named.get(force, "LIMIT")
    market = kind in UNPRICED
    trigger = price_at(symbol, permille) if kind in STOPS else Decimal(0)
    request = OrderRequest(
        symbol,
        side,
        kind,
        force if kind == "LIMIT" else "GTC",
        Decimal(0) if market else price_at(symbol, permille),
        Decimal(0) if force == "QUOTE" else quantity,
        quantity * price_at(symbol, 1000) if force == "QUOTE" else Decimal(0),
        None,
        "FULL",
        trigger,
    )
    with suppress(ApiError):  # a refusal changes nothing, which is what is checked afterwards
        exchange.place(who, request)


@settings(max_examples=120, deadline=None)
@given(EVENTS)
def test_any_history_conserves_money_and_is_restored_from_its_journal(
    events: list[tuple[Any, ...]],
) -> None:
    exchange, copy = make(), make()
    for name in ("alice", "bob"):
        exchange.add_account(Account(name, f"key-{name}", "secret"))
        for asset, amount in (("USDT", 10_000), ("BTC", 1), ("ETH", 20)):
            exchange.ledger.deposit(name, asset, Decimal(amount))
    for symbol in SYMBOLS:
        play(exchange, 1, ("trade", symbol, 1000, 1))
    for number, event in enumerate(events, start=2):
        play(exchange, number, event)
        copy.restore(orjson.loads(orjson.dumps(exchange.take_changes())))  # checks the ledger
    exchange.ledger.check()
    copy.restore(orjson.loads(orjson.dumps(exchange.take_changes())))
    assert copy.orders == exchange.orders
    assert copy.fills == exchange.fills
    assert copy.lists == exchange.lists
    for one in exchange.lists.values():  # never two legs executed; done when no leg is open
        legs = [exchange.orders[order_id] for order_id in one.order_ids]
        assert sum(leg.executed > 0 for leg in legs) <= 1
        assert sum(leg.locked > 0 for leg in legs) == (not one.done)
        assert one.done == (not any(leg.is_open for leg in legs))
    assert copy.ledger.deposited == exchange.ledger.deposited
    for name in ("alice", "bob", "house"):
        assert copy.ledger.describe(name) == exchange.ledger.describe(name)
        assert copy.open_orders(name) == exchange.open_orders(name)
    locked = sum(o.locked for name in ("alice", "bob") for o in exchange.open_orders(name))
    held = exchange.ledger.holdings
    assert locked == sum(b.locked for n in ("alice", "bob") for b in held[n].values())
