"""Which market a ticker names, among those of one exchange. More than one: refused, never guessed."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from domain.webhooks.refusal import CallRefused

# Other names of the same currency, as some venues write them.
_OTHER_NAMES = {"XBT": "BTC", "XDG": "DOGE"}
_SEPARATORS = re.compile(r"[/_\-\s]+")
_DERIVATIVES = re.compile(r"(\.P|\.PERP|PERP|:[A-Z]+|\d!|_PERP|-SWAP)$")


@dataclass(frozen=True, slots=True)
class Listed:
    """A market of the exchange, as `exchange_symbols` has it."""

    symbol: str  # BTC/USDT
    exchange_symbol: str  # BTCUSDT, XXBTZUSD
    base: str
    quote: str
    active: bool = True
    market_type: str = "spot"


def spellings(ticker: str) -> frozenset[str]:
    """Return how the compact name (base and quote together) of the market may be spelt.

    Raises:
        CallRefused: a derivative, or nothing that names a market.
    """
    name = _bare(ticker)
    compact = _SEPARATORS.sub("", name)
    found = {compact}
    for other, ours in _OTHER_NAMES.items():
        if compact.startswith(other):
            found.add(ours + compact[len(other) :])
        if compact.endswith(other):
            found.add(compact[: -len(other)] + ours)
    return frozenset(found)


def resolve(ticker: str, listed: Iterable[Listed], *, exchange: str) -> str:
    """Return the symbol of the one market that a ticker names.

    Args:
        ticker: `BTCUSDT`, `BINANCE:BTCUSDT`, `BTC/USDT`, `XBTUSD` …
        listed: at least every market whose compact name or exchange's name is one of `spellings`.

    Raises:
        CallRefused: none, several, a derivative, or a closed market.
    """
    wanted, pair = spellings(ticker), _pair(ticker)
    matches = {
        market.symbol: market
        for market in listed
        if market.market_type == "spot" and _is_named(market, wanted, pair)
    }
    if not matches:
        raise CallRefused(
            f"Symbole « {ticker[:40]} » introuvable parmi les marchés au comptant chargés de {exchange}.",
            code="unknown_symbol",
        )
    if len(matches) > 1:
        names = ", ".join(sorted(matches))
        raise CallRefused(
            f"Symbole « {ticker[:40]} » ambigu chez {exchange} : {names}. Écrire la paire avec une barre oblique.",
            code="ambiguous_symbol",
        )
    market = next(iter(matches.values()))
    if not market.active:
        raise CallRefused(f"Marché {market.symbol} fermé chez {exchange}.", code="market_closed")
    return market.symbol


def _bare(ticker: str) -> str:
    """Take the venue's name off, and refuse what is not a spot market."""
    name = ticker.strip().upper()
    if "/" not in name:
        name = name.rpartition(":")[2]
    elif ":" in name.partition("/")[0]:
        name = name.partition(":")[2]
    if _DERIVATIVES.search(name):
        raise CallRefused(
            f"Symbole « {ticker[:40]} » refusé : c'est un contrat perpétuel ou à terme, seul le comptant est "
            "négocié ici. Choisir sur TradingView la paire sans « .P ».",
            code="derivative",
        )
    if not re.fullmatch(r"[A-Z0-9$./_\-\s]{2,40}", name):
        raise CallRefused(f"Symbole « {ticker[:40]} » illisible.", code="unknown_symbol")
    return name


def _pair(ticker: str) -> tuple[str, str] | None:
    """Return (base, quote) when the ticker separates them."""
    parts = [part for part in _SEPARATORS.split(_bare(ticker)) if part]
    return (_ours(parts[0]), _ours(parts[1])) if len(parts) == 2 else None


def _ours(currency: str) -> str:
    return _OTHER_NAMES.get(currency, currency)


def _is_named(market: Listed, wanted: frozenset[str], pair: tuple[str, str] | None) -> bool:
    base, quote = market.base.upper(), market.quote.upper()
    if pair is not None:
        return (_ours(base), _ours(quote)) == pair
    return base + quote in wanted or market.exchange_symbol.upper() in wanted
