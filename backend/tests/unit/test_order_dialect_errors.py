"""What Bitget, Kraken and OKX say when an order goes wrong, through ccxt's own reading of it, and our verdict."""

import json
from functools import cache
from typing import Any

import pytest

from apps.core.adapters.ccxt_loader import load_ccxt
from apps.core.adapters.ccxt_verdicts import order_error, read_error
from apps.core.adapters.order_dialects import dialect_for
from domain.errors import AuthenticationFailed, OrderNotExecuted, OrderOutcomeUnknown, OrderRejected


def bitget(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "msg": message, "requestTime": 1, "data": None}


def kraken(words: str) -> dict[str, Any]:
    return {"error": [words]}


def okx(code: str, message: str) -> dict[str, Any]:
    return {"code": code, "msg": message, "data": []}


def okx_order(code: str, message: str) -> dict[str, Any]:
    return {"code": "1", "msg": "All operations failed", "data": [{"ordId": "", "sCode": code, "sMsg": message}]}


REJECTED, NOT_EXECUTED, UNKNOWN = OrderRejected, OrderNotExecuted, OrderOutcomeUnknown
TABLE = [
    ("bitget", 400, bitget("43012", "Insufficient balance"), REJECTED),
    ("bitget", 400, bitget("40034", "Parameter does not exist"), REJECTED),
    ("bitget", 400, bitget("45110", "less than the minimum amount 1 USDT"), REJECTED),
    ("bitget", 400, bitget("40786", "Duplicate clientOid"), REJECTED),
    ("bitget", 400, bitget("40006", "Invalid ACCESS_KEY"), REJECTED),
    ("bitget", 400, bitget("40009", "sign signature error"), REJECTED),
    ("bitget", 400, bitget("41114", "The current trading pair is under maintenance"), REJECTED),
    ("bitget", 400, bitget("40008", "Request timestamp expired"), NOT_EXECUTED),
    ("bitget", 429, bitget("429", "Too Many Requests"), NOT_EXECUTED),
    ("bitget", 400, bitget("40200", "Server upgrade, please try again later"), UNKNOWN),
    ("bitget", 500, bitget("40015", "System is abnormal, please try again later"), UNKNOWN),
    ("kraken", 200, kraken("EOrder:Insufficient funds"), REJECTED),
    ("kraken", 200, kraken("EQuery:Unknown asset pair"), REJECTED),
    ("kraken", 200, kraken("EOrder:Order minimum not met"), REJECTED),
    ("kraken", 200, kraken("EAPI:Invalid key"), REJECTED),
    ("kraken", 200, kraken("EAPI:Invalid signature"), REJECTED),
    ("kraken", 200, kraken("EGeneral:Permission denied"), REJECTED),
    ("kraken", 200, kraken("EService:Market in cancel_only mode"), REJECTED),
    ("kraken", 200, kraken("EAPI:Rate limit exceeded"), NOT_EXECUTED),
    ("kraken", 200, kraken("EOrder:Rate limit exceeded"), NOT_EXECUTED),
    ("kraken", 200, kraken("EAPI:Invalid nonce"), NOT_EXECUTED),
    ("kraken", 200, kraken("EService:Deadline elapsed"), NOT_EXECUTED),
    ("kraken", 200, kraken("EService:Unavailable"), UNKNOWN),
    ("kraken", 200, kraken("EService:Busy"), UNKNOWN),
    ("kraken", 200, kraken("EGeneral:Internal error"), UNKNOWN),
    ("okx", 200, okx_order("51008", "Order failed. Insufficient USDT balance in account."), REJECTED),
    ("okx", 200, okx_order("51001", "Instrument ID does not exist"), REJECTED),
    ("okx", 200, okx_order("51020", "Your order should meet or exceed the minimum order amount."), REJECTED),
    ("okx", 200, okx_order("51016", "Client order ID already exists."), REJECTED),
    ("okx", 200, okx_order("51000", "Parameter tdMode error"), REJECTED),
    ("okx", 401, okx("50111", "Invalid OK-ACCESS-KEY"), REJECTED),
    ("okx", 401, okx("50113", "Invalid Sign"), REJECTED),
    ("okx", 429, okx("50011", "Requests too frequent."), NOT_EXECUTED),
    ("okx", 200, okx("50036", "The expTime can't be earlier than the current system time."), NOT_EXECUTED),
    ("okx", 401, okx("50102", "Timestamp request expired"), NOT_EXECUTED),
    ("okx", 200, okx("50004", "API endpoint request timeout (does not mean that the request failed)"), UNKNOWN),
    ("okx", 503, okx("50001", "Service temporarily unavailable. Try again later"), UNKNOWN),
    ("okx", 200, okx("50013", "Systems are busy. Please try again later."), UNKNOWN),
]


@cache
def client_of(name: str) -> Any:
    return getattr(load_ccxt(), name)()


def raised(name: str, status: int, body: Any) -> Exception:
    """Return what ccxt makes of an answer."""
    import ccxt

    try:
        client_of(name).handle_errors(status, "", "https://x/y", "POST", {}, json.dumps(body), body, {}, "")
    except ccxt.BaseError as exc:
        error: Exception = exc
        return error
    raise AssertionError("ccxt takes that for an answer")


@pytest.mark.parametrize(
    ("name", "status", "body", "verdict"),
    TABLE,
    ids=[f"{row[0]}-{number}" for number, row in enumerate(TABLE)],
)
def test_trouble_of_an_order_gets_its_verdict(name: str, status: int, body: Any, verdict: type[Exception]) -> None:
    client = client_of(name)
    found = order_error(
        raised(name, status, body),
        exchange=client.name,
        target="BTC/USDT",
        http_status=status,
        proofs=dialect_for(client).proofs,
    )
    assert type(found) is verdict
    words = body["error"][0] if "error" in body else body["data"][0]["sMsg"] if body.get("data") else body["msg"]
    assert words in found.message
    assert client.name in found.message


@pytest.mark.parametrize("status", [500, 502, 504])
def test_answer_in_html_is_no_proof(status: int) -> None:
    import ccxt

    error = ccxt.ExchangeNotAvailable(f"kraken POST https://api.kraken.com/0/private/AddOrder {status} <html>")
    found = order_error(error, exchange="Kraken", target="BTC/USDT", http_status=status)
    assert type(found) is OrderOutcomeUnknown


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("bitget", bitget("40012", "apikey/password is incorrect")),
        ("kraken", kraken("EAPI:Invalid signature")),
        ("kraken", kraken("EGeneral:Permission denied")),
        ("okx", okx("50105", "OK-ACCESS-PASSPHRASE incorrect")),
    ],
)
def test_refused_keys_are_told_as_such(name: str, body: Any) -> None:
    found = read_error(raised(name, 200, body), exchange=name, action="Lecture du solde")
    assert type(found) is AuthenticationFailed
