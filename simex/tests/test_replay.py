"""Recordings come out as they went in."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet  # type: ignore[import-untyped]
import pytest

from simex.market.klines import FIXED_MS
from simex.market.query import klines_between
from simex.market.replay import RecordingError, block_of_candles, load_candles, load_trades
from simex.market.tradelog import TradeLog
from simex.options import Options
from simex.tests.support import START_MS, messages, recording, running

XRPETH = "binance_XRPETH_aggTrades_2019-10-11_13.parquet"


async def test_recorded_trades_are_streamed_exactly_and_in_order() -> None:
    path = recording(XRPETH)
    rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    options = Options(symbols=("XRPETH",), source=f"trades:{path}", speed="max", wait_for_consumer=True)
    async with running(options) as client:
        assert (await client.ask("run"))["market_time"] == rows[0]["T"] - 1
        async with client.session.ws_connect(f"{client.url}/ws/xrpeth@aggTrade") as socket:
            got = await messages(socket, len(rows))
        names = ("a", "p", "q", "f", "l", "T", "m")
        assert [[m[n] for n in names] for m in got] == [[r[n] for n in names] for r in rows]
        page = (await client.call("GET", "/api/v3/aggTrades", symbol="XRPETH", fromId=rows[500]["a"])).body
        assert [[m[n] for n in names] for m in page] == [[r[n] for n in names] for r in rows[500:1000]]


async def test_end_of_a_recording_is_told_and_closes_the_last_minute() -> None:
    path = recording(XRPETH)
    options = Options(
        symbols=("XRPETH",), source=f"trades:{path}", speed="max", wait_for_consumer=True,
        start_ms=1_570_965_000_000,
    )  # fmt: skip
    async with running(options) as client:
        url = f"{client.url}/stream?streams=xrpeth@aggTrade/xrpeth@kline_1m"
        async with client.session.ws_connect(url) as socket:
            closed: list[int] = []
            while not closed or closed[-1] < 1_570_965_600_000:
                (kline,) = await messages(socket, 1, "kline")
                if kline["k"]["x"]:
                    closed.append(kline["k"]["T"] + 1)
        run = await client.ask("run")
        assert run["ended"]
        # last trade 1570965568844: its minute ends at 1570965600000, the clock halts 5 s later
        assert closed == list(range(closed[0], 1_570_965_600_001, 60_000))
        assert run["market_time"] <= 1_570_965_605_000


async def test_other_symbols_walk_beside_a_recording_which_alone_decides_the_end(
    tmp_path: Path,
) -> None:
    lines = "".join(f"{i},100.5,0.2,{i},{i},{START_MS + i * 70_000},false\n" for i in range(5))
    path = tmp_path / "ETHUSDT.csv"
    path.write_text("a,p,q,f,l,T,m\n" + lines)
    options = Options(symbols=("BTCUSDT", "ETHUSDT"), source=f"trades:{path}", speed="step")
    async with running(options) as client:
        assert not (await client.ask("run"))["ended"]
        await client.admin("clock", to=START_MS + 280_000)
        assert (await client.ask("run"))["ended"]
        found = {
            name: (await client.call("GET", "/api/v3/aggTrades", symbol=name)).body for name in options.symbols
        }
        assert [t["a"] for t in found["ETHUSDT"]] == [0, 1, 2, 3, 4]
        assert found["BTCUSDT"][-1]["T"] > START_MS
        rows = (await client.call("GET", "/api/v3/klines", symbol="ETHUSDT", interval="1m")).body
        assert [row[5] for row in rows] == ["0.20000000"] * 5  # 0, 70, 140, 210, 280 s


def test_recorded_klines_of_each_interval_hold_every_trade() -> None:
    replay = load_trades(recording(XRPETH), "XRPETH")
    assert replay.last_ms is not None
    total = sum(t.quantity8 for t in TradeLog(replay).latest(replay.last_ms, 10**6))
    for interval in ("1m", "3m", "5m", "15m", "1h", "2h", "4h", "1d"):
        found = klines_between(replay, interval, replay.last_ms, (0, None), 10**6)
        assert sum(kline.volume8 for kline in found) == total
        length = FIXED_MS[interval]
        assert [k.open_ms for k in found] == list(range(found[0].open_ms, found[-1].open_ms + 1, length))


def test_hourly_candles_are_preserved_exactly() -> None:
    import csv

    path = recording("binance_BTCUSDT_1h.csv")
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    (replay,) = load_candles(path, ["BTCUSDT"])
    assert replay.last_ms is not None
    found = {
        kline.open_ms: kline.row()[1:6] for kline in klines_between(replay, "1h", replay.last_ms, (0, None), 10**6)
    }
    names = ("open", "high", "low", "close", "volume")
    for row in rows:
        assert found[int(row["openTime"])] == [row[name] for name in names]


def test_several_pairs_of_five_minute_candles_are_preserved_exactly() -> None:
    path = recording("freqtrade_11pairs_5m_2018-01.parquet")
    rows = [r for r in parquet.read_table(path).to_pylist() if r["pair"] in ("ETH_BTC", "ADA_BTC")]
    eight = Decimal("0.00000001")
    for replay in load_candles(path, ["ETHBTC", "ADABTC"]):
        assert replay.last_ms is not None
        found = {
            k.open_ms: [Decimal(str(text)) for text in k.row()[1:6]]
            for k in klines_between(replay, "5m", replay.last_ms, (0, None), 10**6)
        }
        mine = [r for r in rows if r["pair"].replace("_", "") == replay.symbol and r["volume"] > 0]
        assert len(mine) > 1000
        for row in mine:
            wanted = [Decimal(str(row[n])).quantize(eight) for n in ("open", "high", "low", "close", "volume")]
            assert found[int(row["date"].timestamp() * 1000)] == wanted


def candle(**changes: str) -> dict[str, str]:
    usual = {"openTime": "0", "open": "10", "high": "12", "low": "9", "close": "11", "volume": "1"}
    return {**usual, **changes}


def test_rising_candle_goes_low_first_and_falling_candle_high_first() -> None:
    rising = block_of_candles([candle()], "t")
    assert (rising.price8 // 10**8).tolist() == [10, 9, 12, 11]
    falling = block_of_candles([candle(close="9.5", low="9")], "t")
    assert (falling.price8 / 10**8).tolist() == [10.0, 12.0, 9.0, 9.5]
    assert rising.quantity8.sum() == 10**8
    assert rising.time_ms.tolist() == [0, 19_999, 39_999, 59_999]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"high": "10.5"}, "outside low..high"),
        ({"volume": "0.00000002"}, "too little volume"),
        ({"open": "abc"}, "unreadable"),
        ({"volume": "0"}, "no candle with volume"),
    ],
)
def test_impossible_candle_is_refused_with_its_reason(changes: dict[str, str], words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        block_of_candles([candle(**changes)], "t")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,p,q\n1,2,3\n", "no column T, f, l, m"),
        ("a,p,q,f,l,T,m\n1,1,1,1,1,5,true\n3,1,1,2,2,6,true\n", "hole after aggregate id 1"),
        ("a,p,q,f,l,T,m\n1,x,1,1,1,5,true\n", "not a number"),
        ("a,p,q,f,l,T,m\n", "empty"),
    ],
)
def test_bad_recording_of_trades_is_refused_with_its_reason(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(RecordingError, match=words):
        load_trades(path, "BTCUSDT")
