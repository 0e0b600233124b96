"""Reads of the accounts room."""

from typing import Any

from django.conf import settings

from apps.accounts.models import User
from apps.core.adapters import secrets
from domain.assistant import LABELS, OLLAMA, OLLAMA_DEFAULT_URL, OPENROUTER, PROVIDERS, AiProvider
from domain.errors import InvalidInput

_HINT, _SHORTEST_HINTED = 4, 12


def assistant_provider(user: User) -> AiProvider | None:
    """Return whom the user's assistant calls; None when it is off or lacks its key or its model.

    Raises:
        SecretUnreadable: the key was written under another SECRET_KEY.
    """
    if not assistant_is_on(user):
        return None
    return configured_provider(user, user.ai_provider)


def assistant_is_on(user: User) -> bool:
    """Return whether the provider that is switched on has what a call needs. Decrypts nothing."""
    return bool(chosen_model(user)) and (user.ai_provider != OPENROUTER or bool(user.ai_api_key))


def chosen_model(user: User) -> str:
    """Return the model of the provider that is switched on, "" when there is none."""
    models: dict[str, str] = {OPENROUTER: user.ai_openrouter_model, OLLAMA: user.ai_ollama_model}
    return models.get(user.ai_provider, "")


def configured_provider(user: User, name: str) -> AiProvider:
    """Return the provider as the user configured it, switched on or not, with or without a model.

    Raises:
        InvalidInput: unknown provider, or no key for OpenRouter.
        SecretUnreadable: the key was written under another SECRET_KEY.
    """
    if name == OLLAMA:
        base_url = f"{user.ai_url or OLLAMA_DEFAULT_URL}/v1"
        return AiProvider(name=name, base_url=base_url, model=user.ai_ollama_model)
    if name != OPENROUTER:
        raise InvalidInput(
            f"Fournisseur d'IA « {name} » inconnu, attendu : {', '.join(PROVIDERS)}.", code="ai_provider_unknown"
        )
    key = secrets.decrypt(user.ai_api_key)
    if not key:
        raise InvalidInput(f"{LABELS[name]} demande une clé API : la saisir d'abord.", code="ai_key_missing")
    return AiProvider(
        name=name, base_url=settings.OPENROUTER_URL.rstrip("/"), model=user.ai_openrouter_model, api_key=key
    )


def assistant_settings(user: User) -> dict[str, Any]:
    """Return the body of GET /api/assistant/settings/; of the key, the last four characters at most."""
    return {
        "provider": user.ai_provider,
        "is_on": assistant_is_on(user),
        "openrouter": {
            "has_key": bool(user.ai_api_key),
            "key_hint": _hint(user.ai_api_key),
            "model": user.ai_openrouter_model,
        },
        "ollama": {"url": user.ai_url or OLLAMA_DEFAULT_URL, "model": user.ai_ollama_model},
    }


def _hint(token: str) -> str:
    try:
        key = secrets.decrypt(token)
    except secrets.SecretUnreadable:
        return ""
    return key[-_HINT:] if len(key) >= _SHORTEST_HINTED else ""
