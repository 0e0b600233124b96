"""A simex that relays another: the same trades and candles, whatever happens to the connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from simex.cli import main
from simex.live import relay as relay_module
from simex.live.feed import LiveFeed, head_spans
from simex.live.upstream import stream_url
from simex.market import klines as klines_module
from simex.market.klines import INTERVALS
from simex.market.tradelog import TradeLog
from simex.market.walk import Walk
from simex.options import Options
from simex.tests.support import START_MS, WITHIN_S, Client, messages, running, stepped

MINUTE, TICK = 60_000, 2_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A market moved by hand is silent in between: that is no outage."""
    monkeypatch.setattr(relay_module, "STALL_S", 60.0)
    monkeypatch.setattr(relay_module, "CLOSED_AFTER_S", 60.0)
    monkeypatch.setattr(relay_module, "FIRST_PAUSE_S", 0.1)


def live(upstream: Client, **changes: Any) -> Options:
    """Return options of a relay of that simex."""
    return Options(**{"symbols": SYMBOLS, "source": f"live:{upstream.url}", **changes})


async def until(condition: Callable[[], Awaitable[bool]], what: str = "condition") -> None:
    """Poll what another server knows."""
    try:
        async with asyncio.timeout(WITHIN_S):
            while not await condition():  # noqa: ASYNC110 - the state of another server
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise AssertionError(f"not within {WITHIN_S} s: {what}") from error


async def caught_up(relay: Client, upstream: Client) -> None:
    """Wait until the relay's market is where its upstream's is now: time travels by candles, every 2 s."""
    target = (await upstream.ask("run"))["market_time"] // TICK * TICK

    async def there() -> bool:
        run = await relay.ask("run")
        return bool(run["market_time"] >= target and run["upstream"]["state"] == "connected")

    await until(there, f"market time {target}")


async def step(upstream: Client, relay: Client, ms: int) -> None:
    """Let the upstream's market go on, and the relay after it."""
    await upstream.admin("clock", advance_ms=ms)
    await caught_up(relay, upstream)


@asynccontextmanager
async def pair(**upstream_options: Any) -> AsyncIterator[tuple[Client, Client]]:
    """Run an upstream moved by hand, with a start that no candle is aligned with, and a relay of it."""
    options = stepped(**{"symbols": SYMBOLS, "start_ms": START_MS + 34_000, **upstream_options})
    async with running(options) as upstream, running(live(upstream, symbols=options.symbols)) as relay:
        await hello(upstream, relay)
        yield upstream, relay


async def hello(upstream: Client, relay: Client) -> None:
    """A market that stands sends nothing: move it until the relay has heard of it."""

    async def connected() -> bool:
        await upstream.admin("clock", advance_ms=2_000)
        return bool((await relay.ask("run"))["upstream"]["state"] == "connected")

    await until(connected, "connected")
    await caught_up(relay, upstream)


async def all_trades(client: Client, symbol: str, from_id: int, to_id: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while not found or found[-1]["a"] < to_id:
        next_id = found[-1]["a"] + 1 if found else from_id
        page = (await client.call("GET", "/api/v3/aggTrades", symbol=symbol, fromId=next_id, limit=1000)).body
        if not page:
            break
        found += page
    return [trade for trade in found if trade["a"] <= to_id]


async def candles(client: Client, symbol: str, interval: str, **more: Any) -> list[list[Any]]:
    answer = await client.call("GET", "/api/v3/klines", symbol=symbol, interval=interval, **more)
    assert answer.status == 200, answer.body
    rows: list[list[Any]] = answer.body
    return rows


async def test_relay_streams_the_upstreams_trades_without_a_hole() -> None:
    options = Options(symbols=SYMBOLS, speed="240", start_ms=START_MS)
    async with running(options) as upstream, running(live(upstream)) as relay:
        await hello_running(relay)
        async with relay.session.ws_connect(f"{relay.url}/ws/btcusdt@aggTrade") as socket:
            got = await messages(socket, 40)
        ids = [message["a"] for message in got]
        assert ids == list(range(ids[0], ids[0] + 40))
        names = ("a", "p", "q", "f", "l", "T", "m")
        theirs = await all_trades(upstream, "BTCUSDT", ids[0], ids[-1])
        assert [[m[n] for n in names] for m in got] == [[t[n] for n in names] for t in theirs]


async def hello_running(relay: Client) -> None:
    async def connected() -> bool:
        return bool((await relay.ask("run"))["upstream"]["state"] == "connected")

    await until(connected, "connected")


async def test_candles_of_every_interval_past_and_present_are_the_upstreams() -> None:
    async with pair() as (upstream, relay):
        await step(upstream, relay, 75 * MINUTE)
        for interval in INTERVALS:
            theirs = await candles(upstream, "ETHUSDT", interval, limit=30)
            assert await candles(relay, "ETHUSDT", interval, limit=30) == theirs, interval


@pytest.mark.parametrize("interval", ["1m", "15m", "1h", "1d"])
async def test_candles_of_any_range_are_the_upstreams(interval: str) -> None:
    async with pair() as (upstream, relay):
        await step(upstream, relay, 40 * MINUTE)
        length = klines_module.FIXED_MS[interval]
        for start, end in ((-20, 5), (-20, -5), (-3, None), (0, None), (None, -4), (0, 1)):
            span = {
                name: START_MS // length * length + count * length
                for name, count in (("startTime", start), ("endTime", end))
                if count is not None
            }
            for limit in (3, 100):
                theirs = await candles(upstream, "BTCUSDT", interval, limit=limit, **span)
                assert await candles(relay, "BTCUSDT", interval, limit=limit, **span) == theirs, (span, limit)


async def test_older_trades_than_the_relays_own_are_the_upstreams() -> None:
    async with pair() as (upstream, relay):
        await step(upstream, relay, MINUTE)
        for params in (
            {"fromId": 100, "limit": 7},
            {"startTime": START_MS - 10 * MINUTE, "limit": 20},
            {"startTime": START_MS, "limit": 50},
            {"limit": 5},
        ):
            theirs = (await upstream.call("GET", "/api/v3/aggTrades", symbol="ETHUSDT", **params)).body
            assert (await relay.call("GET", "/api/v3/aggTrades", symbol="ETHUSDT", **params)).body == theirs


async def test_cut_stream_is_mended_by_id_and_the_market_stands_still_meanwhile() -> None:
    options = Options(symbols=SYMBOLS, speed="240", start_ms=START_MS)
    async with running(options) as upstream, running(live(upstream)) as relay:
        await hello_running(relay)
        first = (await relay.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1)).body[0]["a"]
        await upstream.admin("faults", kind="refuse", times=3)
        await upstream.admin("streams", action="disconnect")

        async def is_away() -> bool:
            told = (await relay.ask("run"))["upstream"]
            return bool(told["state"] == "away" and "503" in told["error"])

        await until(is_away, "away")
        stands = await relay.ask("run")
        later = await relay.ask("run")
        assert later["market_time"] == stands["market_time"]
        await until(lambda: _reconnected(relay), "connected again")
        await caught_up(relay, upstream)
        run = await relay.ask("run")
        assert run["upstream"]["reconnects"] == 1
        assert run["upstream"]["backfilled"] > 0
        last = (await relay.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1)).body[0]["a"]
        ours = await all_trades(relay, "BTCUSDT", first, last)
        assert [trade["a"] for trade in ours] == list(range(first, last + 1))
        assert ours == await all_trades(upstream, "BTCUSDT", first, last)
        for interval in ("1m", "3m", "1h"):
            # the newest minute goes on while we ask: only closed candles are compared
            rows = [r for r in await candles(relay, "BTCUSDT", interval, limit=50) if r[6] < run["market_time"]]
            theirs = await candles(upstream, "BTCUSDT", interval, endTime=rows[-1][0], limit=len(rows))
            assert rows == theirs


async def _reconnected(relay: Client) -> bool:
    upstream = (await relay.ask("run"))["upstream"]
    return bool(upstream["state"] == "connected" and upstream["reconnects"])


async def test_trades_lost_on_the_way_are_asked_for() -> None:
    options = Options(symbols=("BTCUSDT",), speed="240", start_ms=START_MS)
    async with running(options) as upstream, running(live(upstream, symbols=("BTCUSDT",))) as relay:
        await hello_running(relay)
        before = (await relay.ask("run"))["upstream"]["backfilled"]
        for kind in ("drop", "duplicate", "reorder"):
            await upstream.admin("faults", kind=kind, stream="btcusdt@aggTrade", probability=0.2, times=100)
        first = (await relay.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1)).body[0]["a"]

        async def grown() -> bool:
            return bool(
                (await relay.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1)).body[0]["a"] > first + 60
            )

        await until(grown, "sixty more trades")
        ours = await all_trades(relay, "BTCUSDT", first, first + 60)
        assert ours == await all_trades(upstream, "BTCUSDT", first, first + 60)
        assert (await relay.ask("run"))["upstream"]["backfilled"] > before


async def test_last_trade_lost_before_a_silence_is_found_by_the_candle_that_names_it() -> None:
    async with pair(symbols=("BTCUSDT",)) as (upstream, relay):
        await upstream.admin("faults", kind="drop", stream="btcusdt@aggTrade", times=1000)
        await step(upstream, relay, MINUTE)
        await step(upstream, relay, 4_000)
        await upstream.admin("clock", advance_ms=4_000)
        newest = (await upstream.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1)).body[0]

        async def found() -> bool:
            page = (await relay.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1)).body
            return bool(page and page[0]["a"] >= newest["a"] - 3)

        await until(found, "the lost trades")


async def test_market_order_fills_at_the_upstreams_price() -> None:
    async with pair() as (upstream, relay):
        await step(upstream, relay, MINUTE)
        price = Decimal((await upstream.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])
        order = (await relay.order("BUY", "MARKET", quoteOrderQty="100")).body
        assert order["status"] == "FILLED"
        paid = Decimal(order["fills"][0]["price"])
        assert abs(paid - price) <= price * Decimal("0.0002")
        stamp = (await upstream.ask("run"))["market_time"]
        assert order["transactTime"] == stamp


async def test_resting_order_is_filled_once_by_what_happened_during_a_cut() -> None:
    async with pair() as (upstream, relay):
        await step(upstream, relay, MINUTE)
        price = Decimal((await upstream.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])
        limit = (price * Decimal("0.999")).quantize(Decimal("0.01"))
        placed = (await relay.order("BUY", "LIMIT", price=str(limit), quantity="0.001", timeInForce="GTC")).body
        await upstream.admin("faults", kind="refuse", times=2)
        await upstream.admin("streams", action="disconnect")
        await upstream.admin("price", symbol="BTCUSDT", price=str(price * Decimal("0.9")))
        await upstream.admin("clock", advance_ms=MINUTE)
        await upstream.admin("price", symbol="BTCUSDT", price=str(price))
        await upstream.admin("clock", advance_ms=MINUTE)
        await hello(upstream, relay)
        found = (await relay.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=placed["orderId"])).body
        assert (found["status"], found["executedQty"]) == ("FILLED", "0.00100000")
        fills = (await relay.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body
        assert [Decimal(fill["price"]) for fill in fills] == [limit]


async def test_killed_relay_resumes_its_run_and_plays_what_it_missed(tmp_path: Path) -> None:
    async with running(stepped(symbols=SYMBOLS)) as upstream:
        options = live(upstream, data_dir=tmp_path)
        async with running(options) as relay:
            await hello(upstream, relay)
            await step(upstream, relay, MINUTE)
            run = await relay.ask("run")
            price = Decimal((await relay.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])
            limit = (price * Decimal("0.999")).quantize(Decimal("0.01"))
            placed = await relay.order("BUY", "LIMIT", price=str(limit), quantity="0.001", timeInForce="GTC")
            first = (await relay.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", limit=1)).body[0]["a"]
        await upstream.admin("price", symbol="BTCUSDT", price=str(price * Decimal("0.9")))
        await upstream.admin("clock", advance_ms=3 * MINUTE)
        async with running(options) as relay:
            assert (await relay.ask("run"))["run"] == run["run"]
            await hello(upstream, relay)
            assert (await relay.ask("run"))["market_start"] == run["market_start"]
            order_id = placed.body["orderId"]
            found = (await relay.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=order_id)).body
            assert found["status"] == "FILLED"
            fill = (await relay.signed("GET", "/api/v3/myTrades", symbol="BTCUSDT")).body[0]
            assert run["market_time"] < fill["time"] <= run["market_time"] + 3 * MINUTE  # when it happened
            ours = await all_trades(relay, "BTCUSDT", first, first + 10)
            assert ours == await all_trades(upstream, "BTCUSDT", first, first + 10)


async def test_order_placed_after_a_trade_is_not_filled_by_that_trade_played_again(tmp_path: Path) -> None:
    async with running(stepped(symbols=("BTCUSDT",))) as upstream:
        options = live(upstream, symbols=("BTCUSDT",), data_dir=tmp_path)
        async with running(options) as relay:
            await hello(upstream, relay)
            limit = await price_rise_within_a_minute(upstream, relay)
            placed = await relay.order("BUY", "LIMIT", price=str(limit), quantity="0.001", timeInForce="GTC")
            assert placed.body["status"] == "NEW"
        async with running(options) as relay:
            await hello(upstream, relay)
            order_id = placed.body["orderId"]
            found = (await relay.signed("GET", "/api/v3/order", symbol="BTCUSDT", orderId=order_id)).body
            assert found["status"] == "NEW"


async def last_price(client: Client) -> Decimal:
    return Decimal((await client.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")).body["price"])


async def price_rise_within_a_minute(upstream: Client, relay: Client) -> Decimal:
    """Let the price double until the minute holds trades on both sides; return a price between them.

    That minute is the one that a relay reads again when it is started again.
    """
    for _ in range(30):
        await step(upstream, relay, 2 * MINUTE)
        price = await last_price(relay)
        await upstream.admin("price", symbol="BTCUSDT", price=str(price * 2))
        while await last_price(relay) < price * Decimal("1.5"):
            await step(upstream, relay, TICK)
        limit = (price * Decimal("1.5")).quantize(Decimal("0.01"))
        minute_ms = (await relay.ask("run"))["market_time"] // MINUTE * MINUTE
        page = (await relay.call("GET", "/api/v3/aggTrades", symbol="BTCUSDT", startTime=minute_ms)).body
        if any(Decimal(trade["p"]) < limit for trade in page):
            return limit
    raise AssertionError("the walk never doubled within a minute")


async def test_upstream_out_of_reach_is_told_and_nothing_is_invented() -> None:
    options = Options(symbols=SYMBOLS, source="live:http://127.0.0.1:9", speed="1")
    async with running(options) as relay:
        await until(lambda: _has_error(relay), "an error")
        upstream = (await relay.ask("run"))["upstream"]
        assert (upstream["state"], upstream["is_away"]) == ("away", True)
        info = await relay.call("GET", "/api/v3/exchangeInfo")
        assert (info.status, info.body["code"]) == (503, -1001)
        price = await relay.call("GET", "/api/v3/ticker/price", symbol="BTCUSDT")
        assert (price.status, price.body["code"]) == (503, -1001)
        order = await relay.order("BUY", "MARKET", quoteOrderQty="100")
        assert order.body == {"code": -1013, "msg": "Market is closed."}
        account = await relay.signed("GET", "/api/v3/account")
        assert account.status == 200


async def _has_error(relay: Client) -> bool:
    return bool((await relay.ask("run"))["upstream"]["error"])


async def test_silent_upstream_closes_the_market_and_hides_the_present(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with pair() as (upstream, relay):
        await step(upstream, relay, MINUTE)
        assert (await relay.order("BUY", "MARKET", quoteOrderQty="100")).status == 200
        monkeypatch.setattr(relay_module, "CLOSED_AFTER_S", -1.0)
        order = await relay.order("BUY", "MARKET", quoteOrderQty="100")
        assert order.body == {"code": -1013, "msg": "Market is closed."}
        now = await relay.call("GET", "/api/v3/klines", symbol="BTCUSDT", interval="1m", limit=5)
        assert (now.status, now.body["code"]) == (503, -1001)
        past = await candles(relay, "BTCUSDT", "1m", endTime=START_MS - 1, limit=5)
        assert past == await candles(upstream, "BTCUSDT", "1m", endTime=START_MS - 1, limit=5)


async def test_another_market_behind_the_same_address_is_a_new_run(tmp_path: Path) -> None:
    async with running(stepped(symbols=SYMBOLS)) as upstream, running(live(upstream, data_dir=tmp_path)) as relay:
        await hello(upstream, relay)
        run = (await relay.ask("run"))["run"]
        await relay.order("BUY", "LIMIT", price="20000", quantity="0.001", timeInForce="GTC")
        await upstream.admin("reset")

        async def renewed() -> bool:
            await upstream.admin("clock", advance_ms=2_000)
            now = await relay.ask("run")
            return bool(now["run"] != run and now["upstream"]["state"] == "connected")

        await until(renewed, "another run")
        assert (await relay.signed("GET", "/api/v3/openOrders", symbol="BTCUSDT")).body == []


async def test_rules_are_the_upstreams(tmp_path: Path) -> None:
    info = tmp_path / "info.json"
    async with running(stepped(symbols=("XRPETH",))) as plain:
        body = (await plain.call("GET", "/api/v3/exchangeInfo")).body
    lot = next(f for f in body["symbols"][0]["filters"] if f["filterType"] == "LOT_SIZE")
    lot["stepSize"] = lot["minQty"] = "5.00000000"
    import orjson

    info.write_bytes(orjson.dumps(body))
    options = stepped(symbols=("XRPETH",), exchange_info=info)
    async with running(options) as upstream, running(live(upstream, symbols=("XRPETH",))) as relay:
        await hello(upstream, relay)
        theirs = (await upstream.call("GET", "/api/v3/exchangeInfo")).body["symbols"]
        assert (await relay.call("GET", "/api/v3/exchangeInfo")).body["symbols"] == theirs


async def test_incognito_simex_bears_no_mark_of_its_own() -> None:
    async with running(stepped(incognito=True)) as client:
        answer = await client.call("GET", "/api/v3/ping")
        assert "X-Simex-Run" not in answer.headers
        async with client.session.ws_connect(f"{client.url}/ws/btcusdt@aggTrade") as socket:
            assert "X-Simex-Run" not in socket._response.headers


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--source", "live:http://127.0.0.1:9", "--speed", "60"], "own pace"),
        (["--source", "live:http://127.0.0.1:9", "--speed", "max"], "own pace"),
        (["--source", "live:"], "and an address"),
        (["--source", "live:ftp://x"], "and an address"),
        (["--source", "live:http://127.0.0.1:9", "--start", "2024-01-01"], "own time"),
    ],
)
def test_option_that_a_relay_cannot_have_is_refused(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rest", "streams"),
    [
        ("https://api.binance.com", "wss://stream.binance.com:9443"),
        ("http://127.0.0.1:8080/", "ws://127.0.0.1:8080"),
        ("https://example.test", "wss://example.test"),
    ],
)
def test_streams_are_found_from_the_rest_address(rest: str, streams: str) -> None:
    assert stream_url(rest) == streams


def test_head_covers_without_overlap_the_longest_candle_and_yesterday() -> None:
    # Friday 2018-03-02 00:00 + 1 h 5 min: Monday of the week is 02-26, the month began 03-01, 3d candles on 03-01
    since = 1_519_948_800_000 + 65 * MINUTE
    spans = head_spans(since)
    assert [span[0] for span in spans] == ["1d", "1h", "1m"]
    assert [span[1] for span in spans] == [1_519_603_200_000, 1_519_862_400_000, 1_519_952_400_000]
    assert [span[2] for span in spans] == [1_519_862_400_000, 1_519_952_400_000, since]


def test_forgotten_trades_leave_their_candles_and_the_ids_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from simex.live import feed as feed_module
    from simex.market.symbols import plausible_rules

    monkeypatch.setattr(feed_module, "BLOCK_TRADES", 100)
    monkeypatch.setattr(feed_module, "KEPT_TRADES", 1_000)
    walk = Walk(42, "BTCUSDT", plausible_rules("BTCUSDT").walk_shape())
    live_feed = LiveFeed("BTCUSDT")
    rows = TradeLog(walk).between(START_MS, START_MS + 300 * MINUTE, 10_000)
    live_feed.begin(START_MS, TradeLog(walk).latest(START_MS - 1, 1)[0])
    for trade in rows:
        live_feed.append(trade)
    now_ms = rows[-1].time_ms
    assert live_feed.first_ms > START_MS
    assert live_feed.first_ms % 3_600_000 == 0
    kept = TradeLog(live_feed).between(0, now_ms + 1, 10_000)
    assert len(kept) < 1_100
    assert kept == [trade for trade in rows if trade.time_ms >= live_feed.first_ms]
    assert TradeLog(live_feed).latest(live_feed.first_ms - 1, 1)[0].agg_id == kept[0].agg_id - 1
    start = live_feed.first_ms - 3_600_000
    assert start > START_MS
    found = klines_module.traded_klines(live_feed, "2h", start, now_ms + 1)[0]  # holds forgotten trades
    assert found.row() == klines_module.traded_klines(walk, "2h", start, now_ms + 1)[0].row()
