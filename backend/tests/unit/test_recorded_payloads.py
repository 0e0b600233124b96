"""Real answers through the unmodified ccxt parsers and our adapter: every number exactly as it was written."""

import json
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import ccxt
import pytest

from apps.core.adapters import ccxt_translate as translate
from apps.core.adapters.ccxt_exchange import CcxtSession
from apps.core.adapters.clock import SystemClock
from apps.core.adapters.rate_budget import RateBudget
from domain.candles import Candle
from domain.markets import Market
from domain.orders import OrderHandle, OrderStatus, OrderType, Side
from domain.ports import BrokerAccess
from domain.timeframes import Timeframe, from_ms, to_ms
from tests.fakes.recordings import data_file

INFO = "binance_exchangeInfo_2025-08-07_25sym.json"
RECORDED = "binance_spot_recorded_http.json"


def load(name: str) -> Any:
    return json.loads(data_file(name).read_text())


def recordings(path: str, method: str = "GET") -> list[tuple[dict[str, str], Any]]:
    """Return the recorded (query, answer) pairs of a route."""
    routes = load(RECORDED)
    found = routes.get("routes", routes)[path][method]
    return [(dict(parse_qsl(each["queryString"])), each["data"]) for each in found if each["data"] is not None]


class Network:
    """Answers by route, whatever the query."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}

    async def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        return self.answers[urlsplit(url).path.removeprefix("/api/v3/")]


@pytest.fixture
async def binance() -> AsyncIterator[tuple[CcxtSession, Network]]:
    clock = SystemClock()
    access = BrokerAccess(1, 1, "binance", False, {"apiKey": "k", "secret": "s"})
    session = CcxtSession(access, budget=RateBudget(clock=clock, rate_per_s=1e5, capacity=1e5), clock=clock)
    network = Network()
    session._client.fetch = network.fetch
    network.answers = {"exchangeInfo": load(INFO)}
    await session.load_markets()
    yield session, network
    await session.close()


def common_code(session: CcxtSession, asset: str) -> str:
    """Return ccxt's common name of an asset: YOYO of Binance is YOYOW everywhere."""
    return str(session._client.safe_currency_code(asset))


def by_filter(entry: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {each["filterType"]: each for each in entry["filters"]}


def check_binance_market(session: CcxtSession, market: Market, entry: Mapping[str, Any]) -> None:
    filters = by_filter(entry)
    lot, notional = filters["LOT_SIZE"], filters["NOTIONAL"]
    assert (market.exchange_id, market.base, market.quote) == (
        entry["symbol"],
        common_code(session, entry["baseAsset"]),
        common_code(session, entry["quoteAsset"]),
    )
    assert market.tick_size == Decimal(filters["PRICE_FILTER"]["tickSize"])
    assert market.step_size == Decimal(lot["stepSize"])
    assert (market.min_quantity, market.max_quantity) == (Decimal(lot["minQty"]), Decimal(lot["maxQty"]))
    assert market.min_notional == Decimal(notional["minNotional"])
    assert market.active == (entry["status"] == "TRADING")


async def test_every_market_of_both_recorded_exchange_infos_is_exact(
    binance: tuple[CcxtSession, Network],
) -> None:
    session, network = binance
    for info in (load(INFO), recordings("/api/v3/exchangeInfo")[0][1]):
        network.answers["exchangeInfo"] = info
        entries = {each["symbol"]: each for each in info["symbols"] if each["isSpotTradingAllowed"]}
        markets = await session.load_markets()
        assert {market.exchange_id for market in markets.values()} == set(entries)
        for market in markets.values():
            check_binance_market(session, market, entries[market.exchange_id])


async def test_every_recorded_kline_is_exact(binance: tuple[CcxtSession, Network]) -> None:
    session, network = binance
    seen = 0
    for query, rows in recordings("/api/v3/klines"):
        if query["interval"] not in {each.value for each in Timeframe}:
            continue
        timeframe = Timeframe(query["interval"])
        network.answers["klines"] = rows
        symbol = {"BTCUSDT": "BTC/USDT", "ETHBTC": "ETH/BTC"}[query["symbol"]]
        since, until = from_ms(rows[0][0]), from_ms(rows[-1][0]) + timeframe.duration
        candles = await session.fetch_candles(symbol, timeframe, since=since, until=until)
        assert [_row(each) for each in candles] == [
            (row[0], *(Decimal(text) for text in row[1:6]), row[8]) for row in rows
        ]
        seen += len(candles)
    assert seen > 1_000


def _row(candle: Candle) -> tuple[Any, ...]:
    prices = (candle.open, candle.high, candle.low, candle.close)
    return (to_ms(candle.open_time), *prices, candle.volume, candle.trade_count)


async def test_recorded_balances_are_exact(binance: tuple[CcxtSession, Network]) -> None:
    session, network = binance
    for _, account in recordings("/api/v3/account"):
        # The recorded account is nearly empty: the same shape with every asset filled, down to the last digit.
        filled = [
            {**row, "free": f"{number}.{number:08d}", "locked": f"0.{number:08d}"}
            for number, row in enumerate(account["balances"], start=1)
        ]
        for rows in (account["balances"], filled):
            network.answers["account"] = {**account, "balances": rows}
            balance = await session.fetch_balance()
            for row in rows:
                code = common_code(session, row["asset"])
                assert balance.free.get(code, Decimal(0)) == Decimal(row["free"])
                assert balance.locked.get(code, Decimal(0)) == Decimal(row["locked"])


async def test_recorded_prices_are_exact(binance: tuple[CcxtSession, Network]) -> None:
    session, network = binance
    symbols = {"BTCUSDT": "BTC/USDT", "ETHBTC": "ETH/BTC"}
    recorded = [ticker for _, ticker in recordings("/api/v3/ticker/24hr") if isinstance(ticker, dict)]
    singles = [ticker for ticker in recorded if ticker["symbol"] in symbols]
    for ticker in singles:
        network.answers["ticker/24hr"] = ticker
        assert await session.fetch_price(symbols[ticker["symbol"]]) == Decimal(ticker["lastPrice"])
    assert singles


async def test_recorded_open_orders_are_exact(binance: tuple[CcxtSession, Network]) -> None:
    session, network = binance
    for _, rows in recordings("/api/v3/openOrders"):
        # The recordings put an order of LTCBTC under any symbol that was asked for.
        network.answers["openOrders"] = rows
        reports = await session.fetch_open_orders("LTC/BTC")
        for report, row in zip(reports, rows, strict=True):
            assert (report.exchange_order_id, report.client_order_id) == (str(row["orderId"]), row["clientOrderId"])
            assert (report.quantity, report.price) == (Decimal(row["origQty"]), Decimal(row["price"]))
            assert (report.status, report.filled_quantity) == (OrderStatus.OPEN, Decimal(row["executedQty"]))
            assert (report.side, report.order_type) == (Side(row["side"].lower()), OrderType.LIMIT)


async def test_recorded_order_is_found_by_our_id(binance: tuple[CcxtSession, Network]) -> None:
    session, network = binance
    for _, row in recordings("/api/v3/order"):
        network.answers["order"] = row
        report = await session.find_order(OrderHandle("LTC/BTC", client_order_id=row["clientOrderId"]))
        assert (report.client_order_id, report.quantity) == (row["clientOrderId"], Decimal(row["origQty"]))
        assert report.market_time == from_ms(row["updateTime"])


async def test_recorded_cancellation_is_understood(binance: tuple[CcxtSession, Network]) -> None:
    session, network = binance
    for _, row in recordings("/api/v3/order", "DELETE"):
        network.answers["order"] = row
        await session.cancel_order(
            OrderHandle("LTC/BTC", client_order_id=row["origClientOrderId"], exchange_order_id="1")
        )


@pytest.mark.parametrize(
    "name", ["ccxt_markets_binance_25.json", "ccxt_markets_bitget_7.json", "ccxt_markets_kraken.json"]
)
def test_ccxt_markets_are_exact_though_they_hold_floats(name: str) -> None:
    raw = load(name)
    usable = {symbol: each for symbol, each in raw.items() if translate.is_usable_spot(each)}
    assert usable
    for symbol, each in usable.items():
        market = translate.market(each)
        assert (market.symbol, market.exchange_id) == (symbol, each["id"])
        assert market.tick_size == Decimal(repr(each["precision"]["price"]))
        assert market.step_size == Decimal(repr(each["precision"]["amount"]))
        for ours, theirs in (
            (market.min_quantity, each["limits"]["amount"]["min"]),
            (market.min_notional, each["limits"]["cost"]["min"]),
        ):
            assert ours == (Decimal(repr(theirs)) if theirs else None)


def test_bitget_steps_are_the_decimals_it_states() -> None:
    for each in load("ccxt_markets_bitget_7.json").values():
        market, info = translate.market(each), each["info"]
        assert market.step_size == Decimal(1).scaleb(-int(info["quantityPrecision"]))
        assert market.tick_size == Decimal(1).scaleb(-int(info["pricePrecision"]))
        assert market.min_notional == Decimal(info["minTradeUSDT"])
        assert market.taker_fee_ratio == Decimal(info["takerFeeRate"])
        assert market.min_quantity is None  # Bitget's "0" is no minimum


def test_kraken_steps_are_the_decimals_it_states() -> None:
    for each in load("ccxt_markets_kraken.json").values():
        market, info = translate.market(each), each["info"]
        assert market.step_size == Decimal(1).scaleb(-int(info["lot_decimals"]))
        assert market.tick_size == Decimal(info.get("tick_size") or Decimal(1).scaleb(-int(info["pair_decimals"])))
        assert market.min_quantity == Decimal(info["ordermin"])
        assert market.min_notional == Decimal(info["costmin"])
        # Kraken states its fees in percent, from the smallest volume on.
        assert market.taker_fee_ratio == Decimal(str(info["fees"][0][1])) / 100
        assert market.maker_fee_ratio == Decimal(str(info["fees_maker"][0][1])) / 100


async def test_recorded_bitget_symbols_pass_through_its_own_parser() -> None:
    clock = SystemClock()
    access = BrokerAccess(1, 1, "bitget", False, {"apiKey": "k", "secret": "s", "password": "p"})
    session = CcxtSession(access, budget=RateBudget(clock=clock, rate_per_s=1e4, capacity=1e4), clock=clock)
    recorded = load("bitget_spot_symbols_7.json")
    rows = recorded["data"] if isinstance(recorded, dict) else recorded

    async def fetch(url: str, *rest: Any) -> Any:
        if "account/settings" in url:
            raise ccxt.ExchangeError("bitget: not a unified account")
        return {"code": "00000", "msg": "success", "data": rows if "spot/public/symbols" in url else []}

    session._client.fetch = fetch
    try:
        markets = {market.exchange_id: market for market in (await session.load_markets()).values()}
    finally:
        await session.close()
    assert set(markets) == {row["symbol"] for row in rows}
    for row in rows:
        market = markets[row["symbol"]]
        assert market.step_size == Decimal(1).scaleb(-int(row["quantityPrecision"]))
        assert market.tick_size == Decimal(1).scaleb(-int(row["pricePrecision"]))
        assert market.min_notional == Decimal(row["minTradeUSDT"])
        assert market.active == (row["status"] == "online")
