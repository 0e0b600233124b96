"""What a closed trade shows: its prices and its fee must give its result."""

from decimal import Decimal

import pytest

from domain.closed_trade import ClosedTrade

D = Decimal


@pytest.mark.parametrize(
    ("exit_fee", "currency", "entry_fee", "result", "price", "fee"),
    [
        # 2 bought at 96.3 with 0.2, sold at 100 with 0.2: 200 − 0.2 − 192.6 − 0.2 = 7.
        ("0.2", "USDT", "0.2", "7", "96.3", "0.4"),
        # 2.002 bought at 96.3 (192.7926) with 0.2, 2 sold and 0.002 taken as fee, worth 0.2: 7.0074 − 0.2.
        ("0.002", "BTC", "0.2", "7.0074", "96.3", "0.4"),
        # Paid in BNB: part of neither the fee nor the result. 200 − 192.6 − 0.2.
        ("0.01", "BNB", "0.2", "7.2", "96.3", "0.2"),
    ],
)
def test_prices_fee_and_result_agree(
    exit_fee: str, currency: str, entry_fee: str, result: str, price: str, fee: str
) -> None:
    trade = ClosedTrade("BTC/USDT", D(2), D(100), D(exit_fee), currency, D(entry_fee), D(result))
    assert (trade.entry_price, trade.fee) == (D(price), D(fee))


def test_without_an_exit_price_there_is_no_entry_price() -> None:
    trade = ClosedTrade("BTC/USDT", D(2), None, D(0), "", D(0), D(7))
    assert trade.entry_price is None
