"""Weights, order counts, signatures and options, by hand."""

from decimal import Decimal
from pathlib import Path

import pytest

from simex.api.signing import check_timestamp, sign, signed_payload
from simex.api.weights import LimitError, Limits
from simex.cli import main, read_options
from simex.engine.errors import ApiError
from simex.feeds import start_ms
from simex.market.symbols import plausible_rules
from simex.market.walk import DAY_MS, Walk
from simex.options import OptionError
from simex.tests.support import running, stepped

NOW = 1_000_000_000_000 // 60_000 * 60_000 + 45_000  # 45 s into a minute


def test_weight_over_the_limit_is_429_then_418_when_ignored() -> None:
    limits = Limits(Decimal(1))
    assert limits.use("a", 5_990, NOW) == 5_990
    with pytest.raises(LimitError) as refused:
        limits.use("a", 20, NOW)
    assert (refused.value.status, refused.value.code, refused.value.retry_after_s) == (429, -1003, 15)
    assert limits.use("b", 20, NOW) == 20
    for _ in range(9):
        with pytest.raises(LimitError):
            limits.use("a", 1, NOW)
    with pytest.raises(LimitError) as banned:
        limits.use("a", 1, NOW)
    assert banned.value.status == 418
    with pytest.raises(LimitError):
        limits.use("a", 1, NOW + 60_000)  # the ban outlives the minute
    assert limits.use("a", 1, NOW + 121_000) == 1


def test_limits_grow_with_the_speed_of_the_market() -> None:
    limits = Limits(Decimal(60))
    assert limits.use("a", 360_000, NOW) == 360_000
    assert (limits.orders_10s, limits.orders_day) == (6_000, 12_000_000)


def test_hundred_unfilled_orders_in_ten_seconds_and_filled_ones_are_given_back() -> None:
    limits = Limits(Decimal(1))
    for _ in range(100):
        limits.count_order("alice", NOW)
    with pytest.raises(LimitError) as refused:
        limits.count_order("alice", NOW)
    assert (refused.value.code, refused.value.retry_after_s) == (-1015, 5)
    limits.order_filled("alice", NOW)
    assert limits.count_order("alice", NOW) == (100, 100)
    assert limits.count_order("bob", NOW) == (1, 1)
    assert limits.count_order("alice", NOW + 5_000) == (1, 101)


def test_signature_of_binance_documentation_example() -> None:
    # Binance's REST documentation, "SIGNED endpoint examples for POST /api/v3/order"
    secret = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    query = (
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1"
        "&recvWindow=5000&timestamp=1499827319559"
    )
    expected = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    assert sign(query, secret) == expected
    assert signed_payload(f"{query}&signature={expected}", "") == (query, expected)
    half, rest = query[:50], query[50:]
    assert signed_payload(half, f"{rest}&signature={expected}") == (query, expected)


@pytest.mark.parametrize(
    ("timestamp", "window", "good"),
    [(1999, "5000", True), (2000, "5000", False), (-4000, "5000", True), (-4001, "5000", False)],
)
def test_timestamp_window_has_binance_bounds(timestamp: int, window: str, good: bool) -> None:
    base = 10_000_000  # server at base + 1000
    params = {"timestamp": str(base + timestamp), "recvWindow": window}
    if good:
        check_timestamp(params, base + 1000)
        return
    with pytest.raises(ApiError) as refused:
        check_timestamp(params, base + 1000)
    assert refused.value.code == -1021


async def test_headers_tell_weight_and_order_counts() -> None:
    async with running(stepped()) as client:
        first = await client.call("GET", "/api/v3/exchangeInfo")
        assert first.headers["X-MBX-USED-WEIGHT-1M"] == "20"
        low = {"price": "30000", "quantity": "0.001", "timeInForce": "GTC"}
        placed = await client.order("BUY", "LIMIT", **low)
        assert placed.status == 200, placed.body
        assert placed.headers["X-MBX-ORDER-COUNT-10S"] == "1"
        assert placed.headers["X-MBX-ORDER-COUNT-1D"] == "1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--source", "live:"], "and an address"),
        (["--source", "dice"], "use walk, trades:FILE, candles:FILE or live:URL"),
        (["--speed", "fast"], "a positive number, max or step"),
        (["--speed", "0"], "a positive number, max or step"),
        (["--start", "soon"], "not an ISO date"),
        (["--host", "0.0.0.0"], "loopback only"),  # noqa: S104 - refused is the point
        (["--symbols", ","], "at least one symbol"),
    ],
)
def test_bad_option_is_refused_with_its_reason(arguments: list[str], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        read_options(arguments)


def test_absent_recording_ends_the_program_with_a_message(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["--source", f"trades:{tmp_path / 'none.csv'}"]) == 2
    assert "recording not found" in capsys.readouterr().err
    assert main(["--symbols", "QWERTY"]) == 2
    assert "cannot tell base from quote" in capsys.readouterr().err


def test_fast_walk_starts_far_enough_back_not_to_overtake_today() -> None:
    now_ms = 1_790_000_000_000
    walk = Walk(1, "BTCUSDT", plausible_rules("BTCUSDT").walk_shape())
    slow = read_options(["--speed", "1"])
    fast = read_options(["--speed", "60"])
    assert start_ms(slow, [walk], now_ms) == now_ms
    begun = start_ms(fast, [walk], now_ms)
    assert begun + 60 * 29 * DAY_MS < now_ms + 29 * DAY_MS  # after 29 days of running
