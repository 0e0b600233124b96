"""The AI provider of a user: its settings, its models, its test. No transaction is open during a call."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from asgiref.sync import async_to_sync
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.selectors import configured_provider
from apps.core.adapters import ai_providers, secrets
from domain.assistant import OPENROUTER, AiModel, checked_ollama_url
from domain.errors import InvalidInput

log = structlog.get_logger(__name__)

_TEST_TIMEOUT_S = 60.0  # Ollama loads the model first
_TEST_TOKENS = 16
_TEST_PROMPT = "Réponds par le seul mot : prêt"


@dataclass(frozen=True, slots=True)
class ProviderTest:
    """A model answered."""

    model: str
    elapsed_ms: int


def change(user: User, changes: Mapping[str, Any]) -> User:
    """Apply provider, openrouter_key, openrouter_model, ollama_url, ollama_model; return the user as stored.

    Switching one provider on switches the other off: one column names the one that is on. A new key or a new
    address forgets nothing of the model, which the new server may have too.

    Raises:
        InvalidInput: a key that no header can carry, or an address that may not be called.
    """
    columns: dict[str, str] = {}
    if "provider" in changes:
        columns["ai_provider"] = changes["provider"]
    if "openrouter_key" in changes:
        columns["ai_api_key"] = secrets.encrypt(_checked_key(changes["openrouter_key"]))
    if "ollama_url" in changes:
        columns["ai_url"] = checked_ollama_url(changes["ollama_url"])
    for name in ("openrouter_model", "ollama_model"):
        if name in changes:
            columns[f"ai_{name}"] = changes[name].strip()
    with transaction.atomic():
        stored: User = User.objects.select_for_update().get(pk=user.pk)
        for column, value in columns.items():
            setattr(stored, column, value)
        stored.save(update_fields=list(columns))
    log.info("assistant.changed", user_id=user.pk, fields=sorted(changes))
    return stored


def list_models(user: User, provider: str) -> list[AiModel]:
    """Raises InvalidInput (no key), AiProviderError (the provider's own words)."""
    return async_to_sync(ai_providers.list_models)(configured_provider(user, provider))


def test(user: User, provider: str) -> ProviderTest:
    """Let the chosen model answer one word: a list of models would not prove the key, OpenRouter's is public.

    Raises:
        InvalidInput: no key, or no model chosen.
        AiProviderError: with the provider's own words.
    """
    target = configured_provider(user, provider)
    if not target.model:
        raise InvalidInput(
            f"Test de {target.label} impossible : choisir d'abord un modèle.", code="ai_model_missing"
        )
    started = time.monotonic()
    async_to_sync(ai_providers.complete)(target, _TEST_PROMPT, max_tokens=_TEST_TOKENS, timeout_s=_TEST_TIMEOUT_S)
    return ProviderTest(model=target.model, elapsed_ms=round((time.monotonic() - started) * 1000))


def _checked_key(text: str) -> str:
    key = text.strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise InvalidInput(
            f"Clé {OPENROUTER} refusée : elle contient un espace ou un caractère qu'une clé n'a pas.",
            code="ai_key_malformed",
        )
    return key
