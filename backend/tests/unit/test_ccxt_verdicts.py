"""Each way ccxt reports trouble, and what it means for an order (exchange-simulator.md's table)."""

from types import SimpleNamespace
from typing import Any

import aiohttp
import ccxt
import pytest

from apps.core.adapters.ccxt_verdicts import order_error, quote, read_error
from domain.errors import (
    AuthenticationFailed,
    ExchangeRateLimited,
    ExchangeUnavailable,
    InvalidInput,
    OrderNotExecuted,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
)


def because(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def words(code: int, text: str = "x") -> str:
    return f'binance {{"code":{code},"msg":"{text}"}}'


HOST: Any = SimpleNamespace(host="api.binance.com", port=443, ssl=True)
CONNECTION_REFUSED = aiohttp.ClientConnectorError(HOST, OSError(111, "refused"))

ORDER_TABLE = [
    ("lot size", ccxt.InvalidOrder(words(-1013, "Filter failure: LOT_SIZE")), 400, OrderRejected),
    ("notional", ccxt.BadRequest(words(-1013, "Filter failure: NOTIONAL")), 400, OrderRejected),
    ("no money", ccxt.InsufficientFunds(words(-2010)), 400, OrderRejected),
    ("keys", ccxt.AuthenticationError(words(-2015)), 401, OrderRejected),
    ("keys refused after a success", ccxt.DDoSProtection(words(-2015)), 401, OrderRejected),
    ("unknown parameter", ccxt.ExchangeError(words(-1104)), 400, OrderRejected),
    ("429", ccxt.DDoSProtection("binance 429 Too Many Requests"), 429, OrderNotExecuted),
    ("418", ccxt.DDoSProtection("binance 418 I'm a teapot"), 418, OrderNotExecuted),
    ("too many orders", ccxt.RateLimitExceeded(words(-1015)), 400, OrderNotExecuted),
    ("clock", ccxt.InvalidNonce(words(-1021)), 400, OrderNotExecuted),
    ("overloaded, not executed", ccxt.ExchangeError(words(-1008)), 503, OrderNotExecuted),
    ("never connected", because(ccxt.ExchangeNotAvailable("x"), CONNECTION_REFUSED), None, OrderNotExecuted),
    ("time-out", because(ccxt.RequestTimeout("x"), TimeoutError()), None, OrderOutcomeUnknown),
    (
        "cut while waiting",
        because(ccxt.ExchangeNotAvailable("x"), aiohttp.ServerDisconnectedError()),
        None,
        OrderOutcomeUnknown,
    ),
    ("cut answer", because(ccxt.ExchangeError("x"), aiohttp.ClientPayloadError()), 200, OrderOutcomeUnknown),
    ("-1000", ccxt.OperationFailed(words(-1000)), 400, OrderOutcomeUnknown),
    ("-1001", ccxt.OperationFailed(words(-1001)), 400, OrderOutcomeUnknown),
    ("-1006", ccxt.OperationFailed(words(-1006)), 400, OrderOutcomeUnknown),
    ("-1007", ccxt.RequestTimeout(words(-1007)), 408, OrderOutcomeUnknown),
    ("cancel-replace half done", ccxt.ExchangeError(words(-2021)), 409, OrderOutcomeUnknown),
    ("any 5xx, whatever its code", ccxt.ExchangeError(words(-9999)), 500, OrderOutcomeUnknown),
    ("503 HTML", ccxt.ExchangeNotAvailable("binance POST https://x/y 503 <html>"), 503, OrderOutcomeUnknown),
    ("unreadable answer", KeyError("orderId"), 200, OrderOutcomeUnknown),
]


@pytest.mark.parametrize(
    ("error", "status", "verdict"), [row[1:] for row in ORDER_TABLE], ids=[r[0] for r in ORDER_TABLE]
)
def test_order_trouble_gets_its_verdict(error: Exception, status: int | None, verdict: type[Exception]) -> None:
    found = order_error(error, exchange="Binance", target="BTC/USDT", http_status=status)
    assert type(found) is verdict
    assert "Binance" in found.message
    assert "BTC/USDT" in found.message


READ_TABLE = [
    (ccxt.AuthenticationError(words(-2015)), AuthenticationFailed),
    (ccxt.DDoSProtection(words(-2015)), AuthenticationFailed),
    (ccxt.DDoSProtection("binance 429 "), ExchangeRateLimited),
    (ccxt.RequestTimeout("x"), ExchangeUnavailable),
    (ccxt.ExchangeNotAvailable("x"), ExchangeUnavailable),
    (ccxt.OrderNotFound(words(-2013)), OrderNotFound),
    (ccxt.BadSymbol("binance does not have market symbol X/Y"), InvalidInput),
]


@pytest.mark.parametrize(("error", "kind"), READ_TABLE)
def test_read_trouble_is_translated(error: Exception, kind: type[Exception]) -> None:
    assert type(read_error(error, exchange="Binance", action="Lecture du solde")) is kind


def test_retry_after_reaches_the_caller() -> None:
    found = order_error(
        ccxt.DDoSProtection("binance 429 "), exchange="Binance", target="X", http_status=429, retry_after_s=7.0
    )
    assert isinstance(found, OrderNotExecuted)
    assert found.retry_after_s == 7.0


def test_quote_never_holds_a_query_string() -> None:
    error = ccxt.RequestTimeout("binance GET https://api.binance.com/api/v3/account?timestamp=1&signature=5ec3e7")
    assert "5ec3e7" not in quote(error)
    assert "api.binance.com/api/v3/account" in quote(error)


def test_quote_gives_the_exchanges_own_sentence() -> None:
    assert (
        quote(ccxt.InvalidOrder(words(-1013, "Filter failure: LOT_SIZE")))
        == "Filter failure: LOT_SIZE (code -1013)"
    )


def test_an_exchanges_english_is_explained_before_its_own_words() -> None:
    error = ccxt.InsufficientFunds(words(-2010, "Account has insufficient balance for requested action."))
    refused = order_error(error, exchange="Binance", target="BTC/USDT")
    assert str(refused) == (
        "Ordre refusé par Binance (BTC/USDT) : solde libre insuffisant sur le compte — "
        "Account has insufficient balance for requested action. (code -2010)"
    )
    unheard = read_error(
        ccxt.ExchangeError(words(-9000, "Something new.")), exchange="Binance", action="Lecture du solde"
    )
    assert str(unheard) == "Lecture du solde impossible chez Binance : Something new. (code -9000)"


UNREACHED = [
    (aiohttp.ClientConnectorDNSError(HOST, OSError("Name or service not known")), "nom introuvable"),
    (aiohttp.ClientConnectorError(HOST, ConnectionRefusedError(111, "refused")), "connexion refusée"),
    (aiohttp.ClientConnectorError(HOST, OSError(113, "No route to host")), "adresse hors d'atteinte"),
    (aiohttp.ConnectionTimeoutError("Connection timeout"), "connexion sans réponse à temps"),
]


@pytest.mark.parametrize(("cause", "reason"), UNREACHED)
def test_exchange_out_of_reach_is_told_in_french_with_the_technical_cause_after_it(
    cause: Exception, reason: str
) -> None:
    error = because(ccxt.ExchangeNotAvailable("kraken GET https://api.kraken.com/0/public/Assets"), cause)
    found = read_error(error, exchange="Kraken", action="Chargement des marchés")
    assert type(found) is ExchangeUnavailable
    french, _, technical = found.message.partition(" (")
    assert french == f"Kraken ne répond pas depuis cette machine : {reason}. Chargement des marchés impossible"
    assert technical.startswith("GET https://api.kraken.com/0/public/Assets : ")


def test_quote_says_why_no_answer_came() -> None:
    error = because(ccxt.RequestTimeout("binance POST https://api.binance.com/api/v3/order"), TimeoutError())
    assert quote(error) == "POST https://api.binance.com/api/v3/order : TimeoutError"
