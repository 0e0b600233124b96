"""The sources of a user: made, changed, given a new token, revoked, deleted."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import IntegrityError, transaction

from apps.brokers.models import Broker
from apps.core.adapters import secrets
from apps.market_data.models import ExchangeSymbol
from apps.orders.models import Position
from apps.orders.selectors import live_orders
from apps.webhooks.models import WebhookSource
from apps.webhooks.selectors import owner_of
from apps.webhooks.services import tokens, verdicts
from domain.errors import Conflict, InvalidInput, LimitReached, NotFound

log = structlog.get_logger(__name__)

MAX_SOURCES = 50


def own_source(user_id: int, source_id: int) -> WebhookSource:
    """Return the user's source. Raises NotFound, also for another user's."""
    found = WebhookSource.objects.select_related("broker").filter(id=source_id, user_id=user_id).first()
    if found is None:
        raise NotFound(f"Source de webhooks {source_id} introuvable.")
    source: WebhookSource = found
    return source


def create(user_id: int, wanted: Mapping[str, Any]) -> tuple[WebhookSource, str]:
    """Make a source from checked settings; return it with its token, which nobody will see again.

    Raises:
        Conflict: the name is taken. InvalidInput: a symbol unknown there. LimitReached. NotFound: not his broker.
    """
    if WebhookSource.objects.filter(user_id=user_id).count() >= MAX_SOURCES:
        raise LimitReached(f"Source refusée : {MAX_SOURCES} sources au plus par compte.")
    source = WebhookSource(user_id=user_id)
    token = _give_token(source)
    _take(source, wanted)
    _save(source)
    log.info("webhooks.source_created", user_id=user_id, source_id=source.id, broker_id=source.broker_id)
    return own_source(user_id, source.id), token


def update(user_id: int, source_id: int, changes: Mapping[str, Any]) -> WebhookSource:
    """Change a source's settings.

    Raises:
        Conflict: another broker while a position or an order of the source is live; the name is taken.
        InvalidInput, NotFound: as `create`.
    """
    with transaction.atomic():
        source = _locked(user_id, source_id)
        other_broker = changes.get("broker_id", source.broker_id) != source.broker_id
        if other_broker and is_engaged(source):
            raise Conflict(_engaged(source, "Changement de broker refusé"), code="open_position")
        _take(source, changes)
        _save(source)
    return own_source(user_id, source_id)


def rotate(user_id: int, source_id: int) -> tuple[WebhookSource, str]:
    """Give a new token; the former address is refused from now on. A revoked source is alive again."""
    with transaction.atomic():
        source = _locked(user_id, source_id)
        source.previous_token_hash = source.token_hash
        token = _give_token(source)
        source.revoked_at = None
        source.save()
    log.info("webhooks.token_rotated", user_id=user_id, source_id=source_id)
    return own_source(user_id, source_id), token


def revoke(user_id: int, source_id: int, *, now: datetime) -> WebhookSource:
    """Refuse the address from now on; doing it twice is harmless."""
    with transaction.atomic():
        source = _locked(user_id, source_id)
        source.revoked_at = source.revoked_at or now
        source.save()
    log.info("webhooks.source_revoked", user_id=user_id, source_id=source_id)
    return own_source(user_id, source_id)


def delete(user_id: int, source_id: int, *, now: datetime) -> None:
    """Delete a source; its calls stay in the journal. Raises Conflict while a position or an order is live."""
    with transaction.atomic():
        source = _locked(user_id, source_id)
        if is_engaged(source):
            raise Conflict(_engaged(source, "Suppression refusée"), code="open_position")
        verdicts.abandon(source.id, reason="Source supprimée avant l'exécution.", now=now)
        source.delete()
    log.info("webhooks.source_deleted", user_id=user_id, source_id=source_id)


def is_engaged(source: WebhookSource) -> bool:
    """Tell whether an order or a position of the source is live."""
    owner = owner_of(source.id)
    open_here = Position.objects.filter(user_id=source.user_id, owner=owner).exclude(status=Position.Status.CLOSED)
    return bool(live_orders(owner=owner).exists() or open_here.exists())


def _engaged(source: WebhookSource, head: str) -> str:
    return f"{head} : la source « {source.name} » a une position ouverte ou un ordre en cours ; la fermer d'abord."


def _locked(user_id: int, source_id: int) -> WebhookSource:
    found = WebhookSource.objects.select_for_update().filter(id=source_id, user_id=user_id).first()
    if found is None:
        raise NotFound(f"Source de webhooks {source_id} introuvable.")
    source: WebhookSource = found
    return source


def _give_token(source: WebhookSource) -> str:
    token = tokens.new_token()
    source.token_hash, source.token_hint = tokens.hash_of(token), tokens.hint_of(token)
    return token


def _take(source: WebhookSource, wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        if name == "secret":
            source.secret = secrets.encrypt(value) if value else ""
        else:
            setattr(source, name, value)
    broker = Broker.objects.filter(id=source.broker_id, user_id=source.user_id).first()
    if broker is None:
        raise NotFound(f"Source refusée : le broker {source.broker_id} n'existe pas.", code="unknown_broker")
    _check_symbols(source.allowed_symbols, broker)
    if source.default_quote_amount is not None and source.default_percent is not None:
        raise InvalidInput("Taille par défaut : un montant ou un pourcentage, pas les deux.")


def _check_symbols(allowed: list[str], broker: Broker) -> None:
    listed = ExchangeSymbol.objects.filter(exchange=broker.exchange, symbol__in=allowed)
    unknown = sorted(set(allowed) - set(listed.values_list("symbol", flat=True)))
    if unknown:
        raise InvalidInput(
            f"Symboles inconnus chez {broker.exchange} (broker « {broker.name} ») : {', '.join(unknown)}.",
            details={"field": "allowed_symbols", "unknown": unknown},
            code="unknown_symbol",
        )


def _save(source: WebhookSource) -> None:
    try:
        with transaction.atomic():
            source.save()
    except IntegrityError as exc:
        raise Conflict(f"Source « {source.name} » refusée : ce nom est déjà pris.", code="name_taken") from exc
