"""What the assistant is told and how its answer is read: text in, text out."""

import pandas as pd
import pandas_ta_classic as ta
import pytest

from apps.strategies.common_indicators import COMMON
from apps.strategies.indicators import indicators
from domain.assistant_answer import read_answer
from domain.assistant_failures import explain_refusal
from domain.assistant_prompt import AssistantRequest, Mode, Turn, messages_for, repair_messages
from domain.strategies.contract import CodeError
from domain.strategies.sample import sample_window

CODE = "class A(Strategy):\n    pass\n"
COLUMNS = {name: columns for name, (_, columns) in COMMON.items()}


def told(mode: Mode = Mode.CONTINUE, *, is_brief: bool = False, **facts: object) -> list[dict[str, str]]:
    request = AssistantRequest(mode=mode, message="Ajoute un filtre RSI", **facts)  # type: ignore[arg-type]
    return messages_for(request, indicators(), COLUMNS, is_brief=is_brief)


@pytest.mark.parametrize(
    ("text", "words", "code", "is_cut"),
    [
        (f"Voici.\n```python\n{CODE}```\nFin.", "Voici.\n\nFin.", CODE, False),
        (f"```\n{CODE}```", "", CODE, False),
        (f"Bout :\n```python\nx = 1\n```\nTout :\n```python\n{CODE}```", "Bout :\n\nTout :", CODE, False),
        (f"Voici.\n```python\n{CODE}", "Voici.", CODE, True),
        (f"<think>```python\nclass Z(Strategy): pass\n```</think>Bien.\n```py\n{CODE}```", "Bien.", CODE, False),
        ("<think>sans fin", "", None, False),
        (f"```bash\npip install x\n```\n```python\n{CODE}```", "pip install x", CODE, False),
        (f"# sans clôture\n{CODE}", "", f"# sans clôture\n{CODE}", False),
        ("Quel stop voulez-vous ?", "Quel stop voulez-vous ?", None, False),
        ("Un bout :\n```python\nreturn True\n```", "Un bout :", None, False),
        ("", "", None, False),
    ],
)
def test_answer_is_parted_into_words_and_code(text: str, words: str, code: str | None, is_cut: bool) -> None:
    read = read_answer(text)
    assert (read.words, read.code, read.is_cut) == (words, code, is_cut)


def test_prompt_holds_the_contract_the_units_and_every_indicator() -> None:
    system, asked = told(code=CODE, errors=[CodeError("nom « x » inconnu", line=3)])
    for word in ("should_long", "0.02 = 2 %", "devise de cotation", "STRATEGY_PARAMS", "500 bougies closes"):
        assert word in system["content"]
    assert all(f"\n{each['name']}(" in system["content"] for each in indicators())
    assert "macd(close, fast, slow, signal) -> colonnes MACD_12_26_9, MACDh_12_26_9" in system["content"]
    assert asked["content"] == (
        "Code actuel :\n```python\nclass A(Strategy):\n    pass\n```\n\n"
        "Erreurs de ce code :\n- ligne 3 : nom « x » inconnu\n\nModifie ce code : Ajoute un filtre RSI"
    )


def test_brief_prompt_names_the_rare_indicators_only() -> None:
    (whole, _), (brief, _) = told(), told(is_brief=True)
    assert "\nema(close, length)" in brief["content"]
    assert "\nzlma(" in whole["content"]
    assert "\nzlma(" not in brief["content"]
    assert ", zlma" in brief["content"]
    assert len(brief["content"]) < 8_000  # some 2,000 tokens: half of what a small model reads by default


def test_starting_anew_leaves_the_code_out_and_explaining_asks_for_words() -> None:
    assert "class A" not in told(Mode.GENERATE, code=CODE)[-1]["content"]
    assert "sans réécrire le code" in told(Mode.EXPLAIN, code=CODE)[0]["content"]


def test_history_comes_before_the_request_and_is_bounded() -> None:
    messages = told(history=[Turn(f"q{n}", f"r{n}") for n in range(12)])
    assert [each["content"] for each in messages[1:3]] == ["q4", "r4"]
    assert len(messages) == 1 + 2 * 8 + 1


def test_repair_shows_the_model_its_own_text_and_the_errors() -> None:
    repaired = repair_messages(told(), "mon texte", [CodeError("oups", line=2)])
    assert [each["role"] for each in repaired[-2:]] == ["assistant", "user"]
    assert "- ligne 2 : oups" in repaired[-1]["content"]


@pytest.mark.parametrize(
    ("status", "said", "code"),
    [
        (401, "No auth", "ai_key_refused"),
        (402, "Insufficient credits", "ai_no_credit"),
        (400, "This endpoint's maximum context length is 4096 tokens", "ai_context_too_long"),
        (413, "", "ai_context_too_long"),
        (400, "zz/none is not a valid model ID", "ai_model_unknown"),
        (404, 'model "x" not found, try pulling it first', "ai_model_unknown"),
        (429, "", "ai_rate_limited"),
        (503, "overloaded", "ai_provider_down"),
        (418, "", "ai_refused"),
    ],
)
def test_refusal_is_explained(status: int, said: str, code: str) -> None:
    assert explain_refusal(status, said).code == code


def test_common_columns_are_those_of_the_installed_library() -> None:
    window = sample_window(300)
    index = pd.to_datetime(window.open_time_ms, unit="ms", utc=True)
    names = ("open", "high", "low", "close", "volume")
    candles = pd.DataFrame({name: getattr(window, name) for name in names}, index=index)
    arguments = {each["name"]: each["arguments"] for each in indicators()}
    for name, columns in COLUMNS.items():
        series = [
            candles[each.strip("_")] for each in arguments[name] if each.strip("_") in names and each != "open_"
        ]
        answered = getattr(ta, name)(*series)
        assert tuple(getattr(answered, "columns", ())) == columns, name
