"""What an account pays on a market, and where that is known from."""

import enum
from dataclasses import dataclass
from decimal import Decimal

import structlog

from domain.errors import AristobotError
from domain.markets import Market
from domain.ports import Gateway

log = structlog.get_logger(__name__)


class FeeOrigin(enum.StrEnum):
    CHOSEN = "chosen"  # by the user, for this backtest
    ACCOUNT = "account"  # what the exchange says this account pays
    MARKET = "market"  # what the exchange says anybody pays there


@dataclass(frozen=True, slots=True)
class Fees:
    """Ratios of the notional, and where they come from; `words` is French."""

    maker_ratio: Decimal
    taker_ratio: Decimal
    origin: FeeOrigin
    words: str


async def known_fees(
    gateway: Gateway,
    market: Market,
    *,
    broker_id: int,
    broker_name: str,
    exchange: str,
    user_id: int,
    timeout_s: float,
) -> Fees:
    """Return the account's own fees, else the market's usual ones, with the reason.

    Args:
        exchange: as a reader calls it.
    """
    try:
        own = await gateway.trading_fee(broker_id, user_id=user_id, symbol=market.symbol, timeout_s=timeout_s)
    except AristobotError as exc:
        log.warning("backtests.fees_not_read", broker_id=broker_id, error=exc.message)
        return _usual(market, f"ceux du marché : ceux du compte n'ont pas pu être lus ({exc.message})")
    if own is None:
        return _usual(market, f"ceux du marché : {exchange} ne donne pas ceux du compte")
    return Fees(own.maker_ratio, own.taker_ratio, FeeOrigin.ACCOUNT, f"ceux du compte « {broker_name} »")


def _usual(market: Market, words: str) -> Fees:
    return Fees(market.maker_fee_ratio, market.taker_fee_ratio, FeeOrigin.MARKET, words)
