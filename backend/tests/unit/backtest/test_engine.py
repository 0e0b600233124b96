"""The honest engine, bar by bar, with numbers worked out by hand."""

from decimal import Decimal

import numpy as np
import pytest

from domain.backtest.contract import ExitReason, HeldPosition, Touch
from domain.backtest.engine import simulate
from domain.backtest.facts import assumptions
from tests.unit.backtest.scripted import MINUTE_MS, START_MS, Scripted, candles, flat, settings, values


def test_decision_at_a_close_trades_at_the_next_open() -> None:
    # Seen at 100: 100 USDT buy 1 BTC; bought at the open 101, sold at the open 111: +10.
    rows = [(99, 100, 98, 100), (101, 103, 100, 102), (102, 111, 101, 110), (111, 112, 90, 91)]
    outcome = simulate(candles(*rows), Scripted({0}, {2}), settings())
    (trade,) = outcome.trades
    assert (trade.entry_bar, trade.exit_bar) == (1, 3)
    assert values(trade.entry_price, trade.exit_price, trade.quantity) == (101, 111, 1)
    assert values(trade.profit, trade.balance, outcome.final_balance) == (10, 1010, 1010)
    assert trade.reason is ExitReason.SIGNAL
    assert (trade.entry_time_ms, trade.exit_time_ms) == (START_MS + MINUTE_MS, START_MS + 3 * MINUTE_MS)


def test_slippage_worsens_both_sides_and_rounds_against_the_trader() -> None:
    # 1 % of 100.10 is 1.001: bought at 101.101 → 101.11 (tick up); sold at 110 − 1.1 = 108.9.
    rows = [*flat(100, 1), (100.1, 101, 100, 100), *flat(100, 1), (110, 110, 110, 110)]
    outcome = simulate(candles(*rows), Scripted({0}, {2}), settings(slippage_ratio=Decimal("0.01")))
    (trade,) = outcome.trades
    assert (trade.entry_price, trade.exit_price) == (Decimal("101.11"), Decimal("108.90"))
    assert trade.profit == Decimal("7.79")


def test_fees_are_paid_on_both_legs_as_taker() -> None:
    # 1 BTC at 100 then 110, 0.1 %: 0.1 + 0.11.
    rows = [*flat(100, 3), *flat(110, 1)]
    outcome = simulate(candles(*rows), Scripted({0}, {2}), settings(taker_fee_ratio=Decimal("0.001")))
    (trade,) = outcome.trades
    assert trade.fees == Decimal("0.21")
    assert trade.profit == Decimal("9.79")


def test_fee_of_each_leg_is_rounded_up_at_the_eighth_decimal() -> None:
    # 5.01 / 100.01 → 0.050 BTC; 0.050 × 100.01 × 0.075 % = 0.003750375 → 0.00375038, twice.
    rules = settings(taker_fee_ratio=Decimal("0.00075"))
    (trade,) = simulate(candles(*flat(100.01, 4)), Scripted({0}, {1}, size=5.01), rules).trades
    assert (trade.quantity, trade.fees) == (Decimal("0.050"), Decimal("0.00750076"))
    assert trade.profit == Decimal("-0.00750076")


def test_protections_are_cut_down_to_the_tick() -> None:
    # 3 % under 100.01 is 97.0097 → 97.00: a low of 97.005 does not meet it. 3 % above is 103.0103 → 103.01.
    script = Scripted({0}, size=100.0, stop=0.03, target=0.03)
    rows = [*flat(100.01, 2), (100.0, 100.0, 97.005, 100.0), (100.0, 103.02, 100.0, 103.0)]
    (trade,) = simulate(candles(*rows), script, settings()).trades
    assert (trade.exit_bar, trade.exit_price, trade.reason) == (3, Decimal("103.01"), ExitReason.TAKE_PROFIT)


def test_take_profit_pays_the_makers_fee_and_no_slippage() -> None:
    # Target 10 % above the close of 100: 110, passed through in bar 2. Entry fee 0.1, exit 110 × 0.02 % = 0.022.
    rows = [*flat(100, 2), (100, 112, 99, 111), *flat(111, 1)]
    rules = settings(taker_fee_ratio=Decimal("0.001"), maker_fee_ratio=Decimal("0.0002"))
    (trade,) = simulate(candles(*rows), Scripted({0}, target=0.1), rules).trades
    assert values(trade.exit_bar, trade.exit_price, trade.reason) == (2, 110, ExitReason.TAKE_PROFIT)
    assert trade.fees == Decimal("0.122")


def test_take_profit_that_was_only_touched_is_not_filled() -> None:
    rows = [*flat(100, 2), (100, 110, 99, 105), (105, 110.01, 104, 105)]
    (trade,) = simulate(candles(*rows), Scripted({0}, target=0.1), settings()).trades
    assert values(trade.exit_bar, trade.exit_price) == (3, 110)


def test_take_profit_gapped_over_fills_at_its_price_never_better() -> None:
    rows = [*flat(100, 2), (120, 125, 119, 121)]
    (trade,) = simulate(candles(*rows), Scripted({0}, target=0.1), settings()).trades
    assert trade.exit_price == 110


def test_protections_count_from_the_close_that_decided_as_the_run_states() -> None:
    # Decided at 100: the target of 4 % is 104, also when the purchase came at 110, and sells below it.
    rows = [*flat(100, 1), (110, 111, 109, 110), *flat(110, 1)]
    (trade,) = simulate(candles(*rows), Scripted({0}, target=0.04), settings()).trades
    assert values(trade.entry_price, trade.exit_price, trade.reason) == (110, 104, ExitReason.TAKE_PROFIT)
    stated = assumptions(settings(), finer=None)["Prix du stop et de l'objectif"]
    assert stated == "comptés du dernier cours à la décision, pas du prix d'achat"


def test_stop_is_filled_at_its_price_when_touched() -> None:
    rows = [*flat(100, 2), (100, 101, 98, 99)]
    (trade,) = simulate(candles(*rows), Scripted({0}, stop=0.02), settings()).trades
    assert values(trade.exit_bar, trade.exit_price, trade.reason) == (2, 98, ExitReason.STOP_LOSS)
    assert trade.profit == -2


def test_stop_gapped_under_is_filled_at_the_open() -> None:
    rows = [*flat(100, 2), (90, 95, 89, 94)]
    (trade,) = simulate(candles(*rows), Scripted({0}, stop=0.02), settings()).trades
    assert trade.exit_price == 90


def test_stop_slips_further() -> None:
    # Stop 98, 1 % worse: 97.02.
    rows = [*flat(100, 2), (100, 101, 98, 99)]
    rules = settings(slippage_ratio=Decimal("0.01"))
    (trade,) = simulate(candles(*rows), Scripted({0}, stop=0.02), rules).trades
    assert trade.exit_price == Decimal("97.02")


def test_protection_is_watched_on_the_entry_candle() -> None:
    rows = [*flat(100, 1), (100, 101, 97, 100), *flat(100, 1)]
    (trade,) = simulate(candles(*rows), Scripted({0}, stop=0.02), settings()).trades
    assert (trade.entry_bar, trade.exit_bar) == (1, 1)


@pytest.mark.parametrize(
    ("assumed", "price", "reason"),
    [(Touch.STOP_FIRST, 98, ExitReason.STOP_LOSS), (Touch.TARGET_FIRST, 104, ExitReason.TAKE_PROFIT)],
)
def test_candle_that_met_both_is_counted_and_played_as_assumed(assumed: Touch, price: int, reason: str) -> None:
    rows = [*flat(100, 2), (100, 105, 97, 100)]
    outcome = simulate(candles(*rows), Scripted({0}, stop=0.02, target=0.04), settings(), ambiguous=assumed)
    (trade,) = outcome.trades
    assert values(trade.exit_price, trade.reason, trade.ambiguous) == (price, reason, True)
    assert outcome.ambiguous_count == 1


def test_finer_candles_decide_what_came_first() -> None:
    asked: list[tuple[int, HeldPosition]] = []

    def inside(bar: int, position: HeldPosition) -> Touch | None:
        asked.append((bar, position))
        return Touch.TARGET_FIRST

    rows = [*flat(100, 2), (100, 105, 97, 100)]
    outcome = simulate(candles(*rows), Scripted({0}, stop=0.02, target=0.04), settings(), inside=inside)
    assert outcome.trades[0].reason is ExitReason.TAKE_PROFIT
    assert (outcome.ambiguous_count, [bar for bar, _ in asked]) == (0, [2])


def test_open_below_the_stop_leaves_no_doubt() -> None:
    rows = [*flat(100, 2), (97, 105, 96, 100)]
    both = Scripted({0}, stop=0.02, target=0.04)
    (trade,) = simulate(candles(*rows), both, settings(), ambiguous=Touch.TARGET_FIRST).trades
    assert values(trade.exit_price, trade.ambiguous) == (97, False)


def test_protection_met_before_the_signal_wins_and_after_it_does_not() -> None:
    rows = [*flat(100, 3), (100, 100, 90, 95), *flat(95, 2)]
    (stopped,) = simulate(candles(*rows), Scripted({0}, {3}, stop=0.02), settings()).trades
    assert stopped.reason is ExitReason.STOP_LOSS
    # Left at the open of bar 3, before its low of 90.
    (left,) = simulate(candles(*rows), Scripted({0}, {2}, stop=0.02), settings()).trades
    assert values(left.reason, left.exit_bar, left.exit_price) == (ExitReason.SIGNAL, 3, 100)


def test_flat_again_in_a_candle_may_buy_at_its_close() -> None:
    rows = [*flat(100, 2), (100, 100, 97, 100), *flat(100, 2)]
    outcome = simulate(candles(*rows), Scripted({0, 2}, {3}, stop=0.02), settings())
    assert [(trade.entry_bar, trade.exit_bar) for trade in outcome.trades] == [(1, 2), (3, 4)]


def test_position_at_the_end_is_valued_apart() -> None:
    rows = [*flat(100, 2), *flat(107, 1)]
    outcome = simulate(candles(*rows), Scripted({0}), settings(taker_fee_ratio=Decimal("0.001")))
    assert outcome.trades == []
    held = outcome.open_position
    assert held is not None
    assert values(held.quantity, held.value, held.unrealized_profit) == (1, 107, Decimal("6.9"))
    assert outcome.final_balance == Decimal("1006.9")


def test_signal_at_the_last_close_has_no_open_to_trade_at() -> None:
    outcome = simulate(candles(*flat(100, 3)), Scripted({2}), settings())
    assert (len(outcome.trades), outcome.open_position, outcome.skipped_at_holes) == (0, None, 0)


def test_nothing_is_opened_or_held_across_a_hole() -> None:
    rows = [*flat(100, 2), *flat(103, 1), *flat(200, 3)]
    held = simulate(candles(*rows, holes={2}), Scripted({0}), settings())
    (trade,) = held.trades
    assert values(trade.reason, trade.exit_bar, trade.exit_price) == (ExitReason.HOLE, 2, 103)
    before = simulate(candles(*rows, holes={2}), Scripted({2}), settings())
    assert (len(before.trades), before.skipped_at_holes, before.holes) == (0, 1, 1)


def test_signal_to_leave_at_the_last_close_before_a_hole_leaves_there() -> None:
    rows = [*flat(100, 2), *flat(103, 1), *flat(200, 3)]
    (trade,) = simulate(candles(*rows, holes={2}), Scripted({0}, {2}), settings()).trades
    assert values(trade.reason, trade.exit_price) == (ExitReason.HOLE, 103)


@pytest.mark.parametrize(
    ("size", "stop", "words"),
    [
        (4.0, 0.0, "valeur 4 USDT inférieure au minimum 5 USDT"),
        (5.1, 0.05, "valeur 4,845 USDT"),  # 0.051 BTC sold at the stop of 95
        (0.05, 0.0, "quantité nulle"),
        (2000.0, 0.0, "solde insuffisant"),
        (0.0, 0.0, "taille nulle"),
    ],
)
def test_what_the_exchange_would_refuse_is_refused_and_listed(size: float, stop: float, words: str) -> None:
    outcome = simulate(candles(*flat(100, 4)), Scripted({1}, size=size, stop=stop), settings())
    assert outcome.trades == []
    (refusal,) = outcome.refusals
    assert words in refusal.reason
    assert (refusal.bar, refusal.time_ms) == (1, START_MS + MINUTE_MS)


def test_open_that_ran_away_beyond_the_balance_is_refused() -> None:
    rows = [*flat(100, 1), *flat(102, 2)]
    outcome = simulate(candles(*rows), Scripted({0}, size=1000.0), settings())
    assert "à l'ouverture" in outcome.refusals[0].reason


def test_quantity_is_cut_to_the_step_and_capped_by_the_bots_amount() -> None:
    rows = [*flat(30, 2), *flat(31, 3)]
    (trade,) = simulate(candles(*rows), Scripted({0}, {2}), settings(amount_cap=Decimal(50))).trades
    assert trade.quantity == Decimal("1.666")  # 50 / 30 = 1.6666…


def test_gains_are_compounded_through_the_balance_the_strategy_sees() -> None:
    script = Scripted({0, 3}, {2, 5})
    simulate(candles(*flat(100, 3), *flat(110, 5)), script, settings())
    assert script.balances == [1000.0, 1010.0]


def test_equity_is_the_value_at_each_close() -> None:
    rows = [*flat(100, 2), (100, 108, 100, 107), *flat(110, 2)]
    outcome = simulate(candles(*rows), Scripted({0}, {2}), settings(taker_fee_ratio=Decimal("0.001")))
    # Bought at 100 with 0.1 of fee; sold at the open 110 with 0.11.
    assert outcome.equity.tolist() == pytest.approx([1000, 999.9, 1006.9, 1009.79, 1009.79])


def test_warm_up_bars_decide_nothing_and_have_no_equity() -> None:
    outcome = simulate(candles(*flat(100, 6)), Scripted({0, 1, 4}, {2}), settings(first_bar=3))
    assert outcome.open_position is not None
    assert outcome.open_position.entry_bar == 5
    assert len(outcome.equity) == 3


def test_same_run_gives_the_same_outcome() -> None:
    random = np.random.default_rng(3)
    closes = 100 + np.cumsum(random.normal(0, 1, 2000))
    rows = [(c, c + 1, c - 1, c) for c in closes.tolist()]
    script = Scripted(range(0, 2000, 7), range(5, 2000, 13), stop=0.01, target=0.02)
    runs = [simulate(candles(*rows), script, settings()) for _ in range(2)]
    assert len(runs[0].trades) > 100
    assert runs[0].trades == runs[1].trades
    assert runs[0].equity.tobytes() == runs[1].equity.tobytes()
