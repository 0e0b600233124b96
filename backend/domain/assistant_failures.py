"""Says in French why an AI provider refused or failed, from its HTTP status and its own words."""

import re
from dataclasses import dataclass

_CONTEXT = re.compile(
    r"context|too (?:long|large|many tokens)|maximum.*(?:tokens|length)|prompt is too", re.IGNORECASE
)
_UNKNOWN_MODEL = re.compile(r"model|no endpoints", re.IGNORECASE)
_MAX_QUOTED = 300


@dataclass(frozen=True, slots=True)
class Refusal:
    """A machine code and the cause, to follow « action chez fournisseur : »."""

    code: str
    why: str


def explain_refusal(status: int, said: str, *, retry_after_s: int | None = None) -> Refusal:
    """Return what a status means, quoting the provider.

    Args:
        status: of HTTP, or the one that a provider writes inside a stream.
        said: the provider's own words, "" when it gave none.
    """
    quoted = f"HTTP {status}{f', « {said[:_MAX_QUOTED]} »' if said else ''}"
    if status in (401, 403):
        return Refusal("ai_key_refused", f"clé API refusée ({quoted})")
    if status == 402:
        return Refusal("ai_no_credit", f"crédit insuffisant, à recharger chez le fournisseur ({quoted})")
    if status == 413 or (status in (400, 422, 500) and _CONTEXT.search(said)):
        return Refusal("ai_context_too_long", f"demande trop longue pour ce modèle ({quoted})")
    if status == 404 or (status == 400 and _UNKNOWN_MODEL.search(said)):
        return Refusal("ai_model_unknown", f"modèle ou adresse inconnu du fournisseur ({quoted})")
    if status == 429:
        wait = f", réessayer dans {retry_after_s} s" if retry_after_s else ", réessayer plus tard"
        return Refusal("ai_rate_limited", f"trop de demandes{wait} ({quoted})")
    if status >= 500:
        return Refusal("ai_provider_down", f"panne chez le fournisseur, réessayer plus tard ({quoted})")
    return Refusal("ai_refused", f"demande refusée ({quoted})")
