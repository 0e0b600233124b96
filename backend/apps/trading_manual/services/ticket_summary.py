"""How a computed order is told on the page: the numbers, the summary's lines, what is worth a warning."""

from decimal import Decimal
from typing import Any

from apps.orders.events import amount
from apps.orders.preview import Preview, PreviewLeg
from domain.french import number
from domain.markets import Market
from domain.order_terms import TYPE_LABELS
from domain.orders import OrderRequest, OrderType, Side

_LEG_NAMES = {OrderType.STOP_LOSS: "Stop loss", OrderType.TAKE_PROFIT: "Take profit"}
_FAR = Decimal("0.1")  # a price this far from the last one is more likely a slip than a wish


def preview_body(
    found: Preview, *, request: OrderRequest, market: Market, reference_price: Decimal, available: Decimal
) -> dict[str, Any]:
    """Return the reply to a preview. Amounts are text; `quote_amount` is what the quantity is worth."""
    return {
        "quantity": amount(found.quantity),
        "quote_amount": amount(found.notional),
        "price": amount(found.price),
        "stop_price": amount(found.stop_price),
        "notional": amount(found.notional),
        "fee": amount(found.fee),
        "fee_currency": found.fee_currency,
        "needed": amount(found.needed),
        "needed_currency": found.needed_currency,
        "available": amount(available),
        "reference_price": amount(reference_price),
        "distance_ratio": amount(_distance(found, reference_price)),
        "legs": [_leg(each) for each in found.legs],
        "summary": _summary(found, request, market, available),
        "warnings": _warnings(found, request, market, reference_price),
    }


def _distance(found: Preview, reference_price: Decimal) -> Decimal | None:
    """Return how far the order's price, or else its trigger, is from the last one, as a ratio of it."""
    watched = found.price if found.price is not None else found.stop_price
    if watched is None or reference_price <= 0 or found.legs:
        return None
    return (watched / reference_price - 1).quantize(Decimal("0.0001"))


def _leg(leg: PreviewLeg) -> dict[str, Any]:
    return {
        "order_type": leg.order_type.value,
        "stop_price": amount(leg.stop_price),
        "notional": amount(leg.notional),
        "fee": amount(leg.fee),
    }


def _summary(found: Preview, request: OrderRequest, market: Market, available: Decimal) -> list[dict[str, str]]:
    side = "Achat" if request.side is Side.BUY else "Vente"
    price = "" if found.price is None else f" à {number(found.price)}"
    lines = [
        (f"{side} {TYPE_LABELS[request.order_type]}", f"{number(found.quantity)} {market.base}{price}"),
        *_triggers(found, market),
        ("Valeur", f"{number(found.notional)} {market.quote}"),
        *_fee(found, market),
        (
            "Montant retenu" if request.side is Side.BUY else "Quantité retenue",
            f"{number(found.needed)} {found.needed_currency}",
        ),
        ("Restera disponible", f"{number(available - found.needed)} {found.needed_currency}"),
    ]
    return [{"label": label, "value": value} for label, value in lines]


def _fee(found: Preview, market: Market) -> list[tuple[str, str]]:
    """Return the fee, and what it leaves of a purchase where it is kept back from it."""
    taken = f"{number(found.fee)} {found.fee_currency}"
    if found.fee_currency == market.quote:
        return [("Frais estimés", taken)]
    worth = market.round_up(found.notional * market.taker_fee_ratio)
    return [
        ("Frais estimés", f"{taken} (≈ {number(worth)} {market.quote})"),
        ("Vous recevrez", f"{number(found.quantity - found.fee)} {market.base}"),
    ]


def _triggers(found: Preview, market: Market) -> list[tuple[str, str]]:
    named = [(_LEG_NAMES[leg.order_type], leg.stop_price) for leg in found.legs]
    named = named or [("Déclenchement", found.stop_price)]
    return [(label, f"{number(price)} {market.quote}") for label, price in named if price is not None]


def _warnings(found: Preview, request: OrderRequest, market: Market, reference_price: Decimal) -> list[str]:
    said = []
    if request.quantity is not None and found.quantity != request.quantity:
        said.append(
            f"Quantité arrondie de {number(request.quantity)} à {number(found.quantity)} {market.base} "
            f"(pas de {number(market.step_size)})."
        )
    for label, asked, kept in (
        ("Prix", request.price, found.price),
        ("Déclenchement", request.stop_price, found.stop_price),
    ):
        if asked is not None and kept is not None and asked != kept:
            said.append(
                f"{label} arrondi de {number(asked)} à {number(kept)} {market.quote} "
                f"(pas de {number(market.tick_size)})."
            )
    if found.price is not None and reference_price > 0:
        said += _price_warnings(found.price, request, market, reference_price)
    return said


def _price_warnings(price: Decimal, request: OrderRequest, market: Market, reference_price: Decimal) -> list[str]:
    said = []
    distance = price / reference_price - 1
    if abs(distance) >= _FAR:
        place = "au-dessus" if distance > 0 else "au-dessous"
        percent = number((abs(distance) * 100).quantize(Decimal("0.1")))
        said.append(f"Prix {percent} % {place} du dernier ({number(reference_price)} {market.quote}).")
    crosses = price >= reference_price if request.side is Side.BUY else price <= reference_price
    if crosses and request.order_type is OrderType.LIMIT:
        said.append("À ce prix l'ordre s'exécute tout de suite, aux frais preneur.")
    return said
