"""What a ccxt exception means, decided in one place.

For an order only three answers exist (Source: exchange-simulator.md, "How ccxt reports trouble", tried on
ccxt 4.5.90): *rejected* (it does not exist there), *not executed* (certainly not, may be sent later) and
*unknown* (no proof). Whatever is not proof is unknown: that is the safe side, it costs a look-up.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import aiohttp

from apps.core.adapters.exchange_words import explained
from domain.errors import (
    AristobotError,
    AuthenticationFailed,
    ExchangeError,
    ExchangeRateLimited,
    ExchangeUnavailable,
    InvalidInput,
    OrderNotExecuted,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
)

# Answers that ccxt or our reading of them could not parse.
PARSE_ERRORS = (KeyError, IndexError, TypeError, ValueError, AttributeError, ArithmeticError)

_CODE = re.compile(r'"code"\s*:\s*"?(-?\d+)')
_URL_QUERY = re.compile(r"(https?://[^\s?]+)\?\S*")
_CCXT_ID = re.compile(r"^[a-z0-9]+ (?=[A-Z{])")  # "binance {…}": simex is one of its subclasses
_MESSAGE = re.compile(r'"msg"\s*:\s*"((?:[^"\\]|\\.)+)"')
# OKX says why in `sMsg`, beside a `msg` that says "All operations failed".
_OWN_MESSAGE = re.compile(r'"sMsg"\s*:\s*"((?:[^"\\]|\\.)+)"')
_OWN_CODE = re.compile(r'"sCode"\s*:\s*"(\d+)"')
_KRAKEN_WORDS = re.compile(r'"error"\s*:\s*\[\s*"((?:[^"\\]|\\.)+)"')
_KRAKEN_KEYS = ("EAPI:Invalid key", "EAPI:Invalid signature", "EGeneral:Permission denied")
_MAX_WORDS = 300

_RATE_LIMIT_CODES = frozenset({-1003, -1015})
_NOT_EXECUTED_CODES = frozenset({-1008, -1021}) | _RATE_LIMIT_CODES
_UNKNOWN_CODES = frozenset({-1000, -1001, -1006, -1007, -2021})
_AUTHENTICATION_CODES = frozenset({-1022, -2014, -2015})


def order_error(
    error: Exception,
    *,
    exchange: str,
    target: str,
    http_status: int | None = None,
    retry_after_s: float | None = None,
    proofs: Mapping[str, type[ExchangeError]] = MappingProxyType({}),
) -> ExchangeError:
    """Turn what `create_order` raised into one of the three verdicts.

    Args:
        exchange: the name shown to the user.
        target: what the order was about, e.g. "BTC/USDT".
        http_status: of the answer, None when there was none. Binance: any 5xx means "status unknown".
        retry_after_s: what the exchange's own header said, if it did.
        proofs: verdicts of the exchange's own codes or words where ccxt's class would mislead.

    Returns:
        OrderRejected, OrderNotExecuted or OrderOutcomeUnknown, never another one.
    """
    words, code = quote(error), exchange_code(error)
    told, details = explained(words), _details(exchange, words, code)
    if never_left(error):
        message = f"Ordre non envoyé à {exchange} ({target}) : connexion impossible ({told})."
        return OrderNotExecuted(message, details=details)
    proof = _proof(error, proofs)
    if proof is OrderRejected:
        return OrderRejected(f"Ordre refusé par {exchange} ({target}) : {told}", details=details)
    if proof is OrderNotExecuted or code in _NOT_EXECUTED_CODES or _is_not_taken(error, code):
        message = f"Ordre non exécuté par {exchange} ({target}), à renvoyer plus tard : {told}"
        return OrderNotExecuted(message, details=details, retry_after_s=retry_after_s)
    failed_there = http_status is not None and http_status >= 500
    if proof is OrderOutcomeUnknown or failed_there or code in _UNKNOWN_CODES or _proves_nothing(error, code):
        message = f"Ordre au sort inconnu chez {exchange} ({target}), recherché par son identifiant : {told}"
        return OrderOutcomeUnknown(message, details=details)
    return OrderRejected(f"Ordre refusé par {exchange} ({target}) : {told}", details=details)


def read_error(
    error: Exception, *, exchange: str, action: str, retry_after_s: float | None = None
) -> AristobotError:
    """Turn what a read (or a cancellation) raised into our tree, quoting the exchange.

    Args:
        action: what was tried, in French and capitalised, e.g. "Lecture du solde".
    """
    import ccxt

    words, code = quote(error), exchange_code(error)
    told, details = explained(words), _details(exchange, words, code)
    unreached = _unreached(error)
    if unreached:
        message = f"{exchange} ne répond pas depuis cette machine : {unreached}. {action} impossible ({words})."
        return ExchangeUnavailable(message, details=details)
    head = f"{action} impossible chez {exchange}"
    if isinstance(error, ccxt.AuthenticationError) or code in _AUTHENTICATION_CODES or words in _KRAKEN_KEYS:
        return AuthenticationFailed(f"{head} : clés refusées ({told})", details=details)
    if code in _RATE_LIMIT_CODES or _is_throttled(error, code):
        message = f"{head} : trop de requêtes ({told})"
        return ExchangeRateLimited(message, details=details, retry_after_s=retry_after_s)
    if isinstance(error, ccxt.OrderNotFound):
        return OrderNotFound(f"{head} : ordre introuvable ({told})", details=details)
    if isinstance(error, ccxt.BadSymbol):
        return InvalidInput(f"{head} : symbole inconnu ({told})", details=details, code="unknown_symbol")
    if _proves_nothing(error, code) or code in _NOT_EXECUTED_CODES:
        return ExchangeUnavailable(f"{head} : {told}", details=details)
    return ExchangeError(f"{head} : {told}", details=details)


def exchange_code(error: Exception) -> int | None:
    """Return the exchange's numeric error code when its words carry one (Binance's -2010 …)."""
    found = next((each for each in _OWN_CODE.finditer(str(error)) if each.group(1) != "0"), None)
    found = found or _CODE.search(str(error))
    return int(found.group(1)) if found else None


def _proof(error: Exception, proofs: Mapping[str, type[ExchangeError]]) -> type[ExchangeError] | None:
    said = _KRAKEN_WORDS.search(str(error))
    key = said.group(1) if said else str(exchange_code(error))
    return next((verdict for word, verdict in proofs.items() if key == word or key.startswith(f"{word}:")), None)


def quote(error: Exception) -> str:
    """Return the exchange's own words without query strings (they hold signatures), shortened."""
    text = _CCXT_ID.sub("", _URL_QUERY.sub(r"\1", str(error)).strip()) or type(error).__name__
    if isinstance(error.__cause__, aiohttp.ClientError | TimeoutError):  # ccxt keeps the address only
        text = f"{text} : {str(error.__cause__) or type(error.__cause__).__name__}"
    found = _OWN_MESSAGE.search(text) or _MESSAGE.search(text)
    said = _KRAKEN_WORDS.search(text)
    words = f"{found.group(1)} (code {exchange_code(error)})" if found else said.group(1) if said else text
    return words if len(words) <= _MAX_WORDS else f"{words[:_MAX_WORDS]}…"


def _unreached(error: Exception) -> str:
    """Return in French why no connection was made, "" when one was."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return "nom introuvable"
    if isinstance(cause, aiohttp.ClientSSLError):
        return "connexion chiffrée refusée"
    if isinstance(cause, aiohttp.ClientConnectorError):
        return (
            "connexion refusée" if isinstance(cause.os_error, ConnectionRefusedError) else "adresse hors d'atteinte"
        )
    return "connexion sans réponse à temps" if isinstance(cause, aiohttp.ConnectionTimeoutError) else ""


def never_left(error: Exception) -> bool:
    """Tell whether not one byte of the request can have reached the exchange (no connection was made)."""
    cause = error.__cause__
    return isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)


def _is_not_taken(error: Exception, code: int | None) -> bool:
    """Tell whether the exchange turned the request away before it read the order: too many, or out of time."""
    import ccxt

    return _is_throttled(error, code) or isinstance(error, ccxt.InvalidNonce)


def _is_throttled(error: Exception, code: int | None) -> bool:
    # ccxt also raises DDoSProtection for -2015 (keys refused) once it has been authenticated.
    import ccxt

    return isinstance(error, ccxt.DDoSProtection | ccxt.RateLimitExceeded) and code not in _AUTHENTICATION_CODES


def _proves_nothing(error: Exception, code: int | None) -> bool:
    import ccxt

    if isinstance(error, PARSE_ERRORS) and not isinstance(error, ccxt.BaseError):
        return True
    if isinstance(error.__cause__, aiohttp.ClientError):  # a cut answer comes as a plain ExchangeError
        return True
    if code in _AUTHENTICATION_CODES:
        return False
    return isinstance(error, ccxt.OperationFailed)  # NetworkError, time-outs and 5xx included


def _details(exchange: str, words: str, code: int | None) -> Mapping[str, Any]:
    return {"exchange": exchange, "exchange_message": words, **({} if code is None else {"exchange_code": code})}
