"""What may be traded: filters, assets, usual prices; plausible where nothing was recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

from simex.market.walk import WalkShape
from simex.units import money

QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "EUR", "BTC", "ETH", "BNB")
USUAL = {"BTC": "0.01", "ETH": "0.15", "BNB": "1"}
MINIMUM = {"BTC": "0.0001", "ETH": "0.001", "BNB": "0.05"}
ORDER_TYPES = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
MAX_ALGO = 5
# base price, tick, step
KNOWN = {
    "BTCUSDT": ("60000", "0.01", "0.00001"),
    "ETHUSDT": ("3000", "0.01", "0.0001"),
    "BNBUSDT": ("500", "0.01", "0.001"),
    "SOLUSDT": ("150", "0.01", "0.001"),
    "XRPUSDT": ("0.6", "0.0001", "0.1"),
    "ADAUSDT": ("0.5", "0.0001", "0.1"),
    "XRPETH": ("0.0014", "0.0000001", "0.1"),
    "ETHBTC": ("0.05", "0.00001", "0.001"),
}


@dataclass(frozen=True)
class SymbolRules:
    """One market's assets and filters."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    step: Decimal
    min_quantity: Decimal
    max_quantity: Decimal
    market_max: Decimal
    min_notional: Decimal
    max_notional: Decimal
    min_price: Decimal
    max_price: Decimal
    base_price: Decimal
    max_orders: int = 200
    max_algo: int = MAX_ALGO
    band_up: Decimal = Decimal(5)
    band_down: Decimal = Decimal("0.2")
    recorded: Mapping[str, Any] | None = field(default=None, compare=False)

    def walk_shape(self) -> WalkShape:
        """Return what the walk needs to look like this market."""
        usual = Decimal(USUAL.get(self.quote, "400"))
        return WalkShape(self.base_price, self.tick, self.step, self.min_quantity, usual)

    def describe(self) -> dict[str, Any]:
        """Return the symbol's entry of exchangeInfo, with only what simex supports."""
        entry: dict[str, Any] = {
            "symbol": self.symbol,
            "status": "TRADING",
            "baseAsset": self.base,
            "baseAssetPrecision": 8,
            "quoteAsset": self.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": list(ORDER_TYPES),
            "icebergAllowed": False,
            "ocoAllowed": True,
            "otoAllowed": False,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": False,
            "cancelReplaceAllowed": True,
            "amendAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": self._filters(),
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["EXPIRE_MAKER"],
        }
        return entry

    def _filters(self) -> list[dict[str, Any]]:
        return [
            {
                "filterType": "PRICE_FILTER",
                "minPrice": money(self.min_price),
                "maxPrice": money(self.max_price),
                "tickSize": money(self.tick),
            },
            {
                "filterType": "LOT_SIZE",
                "minQty": money(self.min_quantity),
                "maxQty": money(self.max_quantity),
                "stepSize": money(self.step),
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": "0.00000000",
                "maxQty": money(self.market_max),
                "stepSize": "0.00000000",
            },
            {
                "filterType": "PERCENT_PRICE_BY_SIDE",
                "bidMultiplierUp": str(self.band_up),
                "bidMultiplierDown": str(self.band_down),
                "askMultiplierUp": str(self.band_up),
                "askMultiplierDown": str(self.band_down),
                "avgPriceMins": 5,
            },
            {
                "filterType": "NOTIONAL",
                "minNotional": money(self.min_notional),
                "applyMinToMarket": True,
                "maxNotional": money(self.max_notional),
                "applyMaxToMarket": False,
                "avgPriceMins": 5,
            },
            {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": self.max_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": self.max_algo},
        ]


def split_symbol(symbol: str) -> tuple[str, str]:
    """Split a name such as XRPETH into base and quote.

    Raises:
        ValueError: no known quote asset ends the name.
    """
    for quote in QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol[: -len(quote)], quote
    raise ValueError(f"cannot tell base from quote in {symbol!r} (quotes: {', '.join(QUOTES)})")


def plausible_rules(symbol: str, price: Decimal | None = None) -> SymbolRules:
    """Return filters for a symbol nobody recorded.

    Args:
        symbol: Binance's name.
        price: a real price of it, when a recording gives one.
    """
    base, quote = split_symbol(symbol)
    if symbol in KNOWN:
        usual, tick, step = (Decimal(part) for part in KNOWN[symbol])
    else:
        usual = price or Decimal(1 + sha256(symbol.encode()).digest()[0]) / 10
        tick, step = _increments(usual)
    return SymbolRules(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=tick,
        step=step,
        min_quantity=step,
        max_quantity=Decimal(90_000_000) * step / Decimal("0.01"),
        market_max=Decimal(1_000_000) * step / Decimal("0.01"),
        min_notional=Decimal(MINIMUM.get(quote, "5")),
        max_notional=Decimal(9_000_000),
        min_price=tick,
        max_price=Decimal(100_000_000) * tick,
        base_price=price or usual,
    )


def _increments(price: Decimal) -> tuple[Decimal, Decimal]:
    """Return a tick of about 1e-5 of the price and a step such that tick*step >= 1e-8."""
    exponent = max(-8, min(-1, price.adjusted() - 4))
    tick = Decimal(1).scaleb(exponent)
    step = Decimal(1).scaleb(max(-8 - exponent, -5))
    return tick, step


def recorded_rules(entry: Mapping[str, Any], fallback: Decimal) -> SymbolRules:
    """Return the filters of one symbol of a recorded exchangeInfo."""
    by_type = {one["filterType"]: one for one in entry["filters"]}
    price, lot = by_type["PRICE_FILTER"], by_type["LOT_SIZE"]
    notional = by_type.get("NOTIONAL") or by_type.get("MIN_NOTIONAL") or {}
    market = by_type.get("MARKET_LOT_SIZE", lot)
    return SymbolRules(
        symbol=entry["symbol"],
        base=entry["baseAsset"],
        quote=entry["quoteAsset"],
        tick=Decimal(price["tickSize"]),
        step=Decimal(lot["stepSize"]),
        min_quantity=Decimal(lot["minQty"]),
        max_quantity=Decimal(lot["maxQty"]),
        market_max=Decimal(market["maxQty"]) or Decimal(lot["maxQty"]),
        min_notional=Decimal(notional.get("minNotional", "0")),
        max_notional=Decimal(notional.get("maxNotional", "9000000")),
        min_price=Decimal(price["minPrice"]),
        max_price=Decimal(price["maxPrice"]),
        base_price=Decimal(KNOWN[entry["symbol"]][0]) if entry["symbol"] in KNOWN else fallback,
        max_algo=int(by_type.get("MAX_NUM_ALGO_ORDERS", {}).get("maxNumAlgoOrders", MAX_ALGO)),
        recorded=entry,
    )


def rules_for(
    symbols: Sequence[str], exchange_info: Mapping[str, Any] | None, prices: Mapping[str, Decimal]
) -> dict[str, SymbolRules]:
    """Return the rules of each symbol, recorded ones first.

    Raises:
        ValueError: a symbol's assets cannot be told.
    """
    entries = {e["symbol"]: e for e in exchange_info["symbols"]} if exchange_info else {}
    found = {}
    for symbol in symbols:
        guess = plausible_rules(symbol, prices.get(symbol))
        entry = entries.get(symbol)
        found[symbol] = recorded_rules(entry, guess.base_price) if entry else guess
    return found
