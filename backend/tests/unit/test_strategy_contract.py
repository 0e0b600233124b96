"""The strategy contract in one process: loading, checking, asking. (The sandbox has its own tests.)"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta_classic as ta
import pytest

from apps.strategies.examples.ema_cross import EMA_CROSS
from domain.errors import StrategyError, StrategyInvalid
from domain.strategies.contract import CandleWindow, PositionView
from domain.strategies.evaluate import evaluate
from domain.strategies.loader import load
from domain.strategies.syntax import check_syntax
from domain.strategies.validate import validate

SCOPE = {"pd": pd, "np": np, "ta": ta}
LONG = PositionView("long", 0.5, 100.0, 1_577_836_800_000, 98.0, 104.0, 1.0)


@pytest.fixture(autouse=True)
def _pandas_ta_by_its_usual_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas_ta", ta)


def window(closes: list[float]) -> CandleWindow:
    times = [1_577_836_800_000 + i * 60_000 for i in range(len(closes))]
    return CandleWindow(times, closes, closes, closes, closes, [1.0] * len(closes))


def strategy(**methods: str) -> str:
    """Code of a strategy whose methods return these expressions."""
    answers = {
        "should_long": "True",
        "should_short": "False",
        "calculate_position_size": "10.0",
        "calculate_stop_loss": "0.02",
        "calculate_take_profit": "0.04",
        **methods,
    }
    lines = ["class Mine(Strategy):"]
    for name, answer in answers.items():
        lines += [f"    def {name}(self):", f"        return {answer}"]
    return "\n".join(lines)


def ask(code: str, closes: list[float], position: PositionView | None = None) -> Any:
    return evaluate(load(code, SCOPE), window(closes), 1000.0, position, {}, code=code)


# Thirty flat closes at 100: both averages are 100. Then one close at p moves the EMA 10 by 2/11 of the step and
# the EMA 20 by 2/21: after a fall to 90 they are 98.18 and 99.05 (fast below), after the next close at 130 they
# are 103.97 and 102.00: the fast one has just crossed above. The mirror image crosses below.
RISING = [100.0] * 30 + [90.0, 130.0]
FALLING = [100.0] * 30 + [110.0, 70.0]


def test_ema_cross_upwards_wants_a_long_of_a_tenth() -> None:
    answer = ask(EMA_CROSS, RISING)

    assert (answer.should_long, answer.should_short) == (True, False)
    assert (answer.position_size, answer.stop_loss, answer.take_profit) == (100.0, 0.02, 0.04)


def test_ema_cross_downwards_wants_out() -> None:
    answer = ask(EMA_CROSS, FALLING, LONG)

    assert (answer.should_long, answer.should_short) == (False, True)
    assert answer.position_size == 0.0  # not asked


@pytest.mark.parametrize("closes", [RISING[:-1], [100.0] * 30, [*RISING, 131.0], RISING[-20:]])
def test_ema_without_a_fresh_cross_wants_nothing(closes: list[float]) -> None:
    answer = ask(EMA_CROSS, closes)

    assert (answer.should_long, answer.should_short) == (False, False)


def test_example_of_the_specification_is_valid() -> None:
    verdict = validate(EMA_CROSS, SCOPE)

    assert verdict.valid, verdict.errors
    assert verdict.class_name == "MaNouvelleStrategie"


@pytest.mark.parametrize(
    ("code", "line", "words"),
    [
        ("class A(Strategy)\n    pass", 1, "il manque « : »"),
        ("x = 1\ny = (", 2, "« ( » n'est jamais refermé"),
        ("def f():\n    a = 1\n   b = 2", 3, "indentation"),
        ("return 1", 1, "hors d'une fonction"),
        ("a = 'b", 1, "non terminée"),
        ("(" * 500, None, "parenthèses"),
        ("1+" * 100_000, None, "trop long"),
        ("a\0", None, "octet nul"),
        ("\ud800", None, "illisible"),
    ],
)
def test_syntax_error_is_told_in_french_with_its_line(code: str, line: int | None, words: str) -> None:
    (error,) = check_syntax(code)

    assert words in error.message
    assert line is None or error.line == line


def test_deep_code_is_refused_without_crashing() -> None:
    (error,) = check_syntax("x" + ".a" * 40_000)

    assert "imbriqué" in error.message


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("a = 1", "Aucune classe n'hérite de Strategy"),
        (strategy() + "\n" + strategy().replace("Mine", "Other"), "2 trouvées : Mine, Other"),
        ("class Mine(Strategy):\n    def should_long(self):\n        return True", "should_short(self) manque"),
        (strategy().replace("should_long(self)", "should_long(self, price)"), "d'autres arguments"),
        (strategy().replace("def should_long", "async def should_long"), "« async »"),
        (strategy() + "\n    def __init__(self, candles):\n        pass", "def __init__(self, candles, balance"),
        (strategy() + "\n    should_short = 3", "doit être une méthode"),
    ],
)
def test_class_that_breaks_the_contract_is_refused(code: str, words: str) -> None:
    verdict = validate(code, SCOPE)

    assert not verdict.valid
    assert words in verdict.errors[0].message


def test_class_derived_from_the_users_own_base_is_the_one() -> None:
    code = strategy().replace("Mine", "Base") + "\nclass Mine(Base):\n    pass"

    assert load(code, SCOPE).__name__ == "Mine"


@pytest.mark.parametrize(
    ("method", "answer", "words"),
    [
        ("should_long", "None", "should_long() a renvoyé None (type NoneType), attendu True ou False"),
        ("should_long", "1", "attendu True ou False"),
        ("should_long", "pd.NA", "attendu True ou False"),
        ("calculate_position_size", "float('nan')", "nombre fini"),
        ("calculate_position_size", "10 ** 400", "nombre fini"),
        ("calculate_position_size", "-1", "montant positif"),
        ("calculate_position_size", "'10'", "attendu un nombre"),
        ("calculate_position_size", "True", "attendu un nombre"),
        ("calculate_stop_loss", "2.0", "fraction du dernier cours (0.02 = 2 %)"),
        ("calculate_take_profit", "np.inf", "nombre fini"),
    ],
)
def test_answer_of_another_type_is_refused(method: str, answer: str, words: str) -> None:
    with pytest.raises(StrategyError) as caught:
        ask(strategy(**{method: answer}), RISING)

    assert words in caught.value.message


def test_numpy_answers_are_accepted() -> None:
    answer = ask(strategy(should_long="np.bool_(True)", calculate_position_size="np.int64(7)"), RISING)

    assert answer.should_long is True
    assert answer.position_size == 7.0


def test_error_in_user_code_has_his_line_and_no_line_of_ours() -> None:
    with pytest.raises(StrategyError) as caught:
        ask(strategy(should_short="self.helper()") + "\n    def helper(self):\n        return 1 / 0", RISING)

    details = caught.value.details
    assert details["line"] == 13
    assert details["traceback"].splitlines() == [
        "  ligne 5, dans should_short : return self.helper()",
        "  ligne 13, dans helper : return 1 / 0",
        "ZeroDivisionError: division by zero",
    ]
    assert "ligne 13 : division par zéro (ZeroDivisionError : " in caught.value.message


def test_indicator_that_is_none_on_a_short_series_is_explained() -> None:
    code = strategy(should_long="ta.ema(self.candles['close'], length=20).iloc[-1] > 0")

    with pytest.raises(StrategyError) as caught:
        ask(code, [100.0] * 5)

    assert "renvoie None quand la série (5 bougies) est plus courte que sa période" in caught.value.message


def test_exit_and_error_at_import_are_user_errors() -> None:
    with pytest.raises(StrategyError, match="ligne 2 : la stratégie demande à sortir"):
        load("import sys\nsys.exit()", SCOPE)


def test_unreadable_exception_message_does_not_hide_the_line() -> None:
    code = "class E(Exception):\n    def __str__(self):\n        raise ValueError\nraise E()"

    with pytest.raises(StrategyError) as caught:
        load(code, SCOPE)

    assert caught.value.details["line"] == 4


def test_syntax_error_while_loading_keeps_line_and_column() -> None:
    with pytest.raises(StrategyInvalid) as caught:
        load("a = 1\nb = = 2", SCOPE)

    assert caught.value.details["errors"] == [
        {"line": 2, "column": 5, "message": "Erreur de syntaxe : syntaxe invalide."}
    ]


def test_strategy_sees_position_params_and_candles_in_order() -> None:
    code = strategy(
        should_long="self.position.entry_time.year == 2020 and self.params['n'] == 3"
        " and list(self.candles.columns) == ['open', 'high', 'low', 'close', 'volume']"
        " and str(self.candles.index[0]) == '2020-01-01 00:00:00+00:00'"
    )

    answer = evaluate(load(code, SCOPE), window([1.0, 2.0]), 1.0, LONG, {"n": 3}, code=code)

    assert answer.should_long


def test_domain_and_host_import_no_pandas() -> None:
    program = (
        "import sys, domain.strategies.validate, apps.core.adapters.strategy_host.host\n"
        "print([name for name in ('pandas', 'numpy', 'pandas_ta_classic', 'django') if name in sys.modules])"
    )
    backend = Path(__file__).parents[2]

    shown = subprocess.run([sys.executable, "-c", program], cwd=backend, capture_output=True, text=True, check=True)

    assert shown.stdout.strip() == "[]"
