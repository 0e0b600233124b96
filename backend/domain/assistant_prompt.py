"""What the assistant is told: the contract of a strategy, its units, the indicators, and the user's own request.

Only the user's own text and code go in: no key, no account, no market data.
"""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.strategies.contract import DEFAULT_WINDOW, CodeError

MAX_MESSAGE = 4_000
MAX_TURNS = 8
_SHOWN_ERRORS = 5

Message = dict[str, str]


class Mode(enum.StrEnum):
    """Write a strategy, change the one on the workbench, or explain it (or its error)."""

    GENERATE = "generate"
    CONTINUE = "continue"
    EXPLAIN = "explain"


@dataclass(frozen=True, slots=True)
class Turn:
    """An earlier exchange of the same conversation, words only: the code shown is always the present one."""

    asked: str
    answered: str


@dataclass(frozen=True, slots=True)
class AssistantRequest:
    """What the user wants; `code` is the text on his workbench, `errors` what is wrong with it."""

    mode: Mode
    message: str
    code: str = ""
    errors: Sequence[CodeError] = ()
    history: Sequence[Turn] = ()


_CONTRACT = f"""\
Tu écris des stratégies de trading en Python 3.11 pour Aristobot3. Réponds en français.

Contrat : une seule classe qui hérite de Strategy, avec exactement ces méthodes.
- __init__(self, candles, balance, position=None) : range les trois arguments dans self et calcule les indicateurs.
- should_long(self) -> bool : acheter maintenant ? Demandé à chaque clôture.
- should_short(self) -> bool : au comptant, vendre la position ouverte.
- calculate_position_size(self) -> float : montant à dépenser en devise de cotation, par exemple self.balance * 0.1.
- calculate_stop_loss(self) -> float : 0.02 = 2 % sous le dernier cours (pas du prix d'achat) ; 0.0 = aucun.
- calculate_take_profit(self) -> float : 0.04 = 4 % au-dessus de ce cours ; 0.0 = aucun.
Données :
- candles : DataFrame pandas, la plus ancienne bougie en premier, colonnes open, high, low, close, volume \
(float), index d'heures d'ouverture UTC. Au plus {DEFAULT_WINDOW} bougies closes, parfois moins de 50.
- balance : float, devise de cotation libre.
- position : None, ou un objet avec side, quantity, entry_price, entry_time, stop_loss, take_profit, unrealized_pnl.
- Strategy, pd, np et ta (pandas_ta) sont déjà là ; `import pandas_ta as ta` est permis. Ni réseau, ni fichier, \
ni processus, ni autre bibliothèque.
Règles :
- Un indicateur renvoie None quand la série est plus courte que sa période : le tester avant de lire .iloc[-1].
- Ne regarder que le passé : .iloc[-1] est la bougie qui vient de fermer ; jamais de shift négatif ni de centrage.
- Les méthodes rendent de vrais bool et float, jamais NaN ni une Series.
- Les valeurs à régler vont dans la classe : STRATEGY_PARAMS = {{"longueur": {{"default": 14, "min": 2, "max": 50, \
"step": 1, "label": "Longueur"}}}} (valeurs simples), lues par self.params["longueur"].
- Un tableau d'indicateurs se lit par position, par exemple bandes.iloc[:, 0].
"""

_ANSWER_CODE = """\
Réponse : deux ou trois phrases qui disent ce que fait la stratégie ou ce qui change, puis un seul bloc ```python \
avec le texte complet de la classe, jamais un fragment. Ne promets aucun gain."""
_ANSWER_WORDS = "Réponse : une explication claire et courte, sans réécrire le code."


def messages_for(
    request: AssistantRequest,
    indicators: Sequence[Mapping[str, Any]],
    common: Mapping[str, Sequence[str]],
    *,
    is_brief: bool = False,
) -> list[Message]:
    """Return the conversation to send, the system's message first.

    Args:
        indicators: what `ta` offers: name, arguments, columns (it answers a table).
        common: the columns, in order, of the tables one uses most; () for those that answer a series.
        is_brief: only the common ones with their signature, the others by name: a model at home reads some
            thousand tokens, and cuts silently what is longer.
    """
    ending = _ANSWER_WORDS if request.mode is Mode.EXPLAIN else _ANSWER_CODE
    system = f"{_CONTRACT}\nIndicateurs de ta :\n{_listed(indicators, common, is_brief)}\n\n{ending}"
    talk = [
        message
        for turn in request.history[-MAX_TURNS:]
        for message in (_said("user", turn.asked), _said("assistant", turn.answered or "(sans texte)"))
    ]
    return [_said("system", system), *talk, _said("user", _request(request))]


def repair_messages(messages: Sequence[Message], answer: str, errors: Sequence[CodeError]) -> list[Message]:
    """Return the same conversation, asking the model to mend what it has just written."""
    asked = (
        f"Ce code ne passe pas l'essai :\n{_errors(errors)}\nCorrige-le et redonne le texte complet de la classe "
        "dans un seul bloc ```python."
    )
    return [*messages, _said("assistant", answer), _said("user", asked)]


def _request(request: AssistantRequest) -> str:
    parts = []
    if request.code.strip() and request.mode is not Mode.GENERATE:
        parts.append(f"Code actuel :\n```python\n{request.code.rstrip()}\n```")
    if request.errors and request.mode is not Mode.GENERATE:
        parts.append(f"Erreurs de ce code :\n{_errors(request.errors)}")
    asked = {
        Mode.GENERATE: "Écris cette stratégie",
        Mode.CONTINUE: "Modifie ce code",
        Mode.EXPLAIN: "Explique ce code",
    }[request.mode]
    parts.append(f"{asked} : {request.message.strip()}" if request.message.strip() else f"{asked}.")
    return "\n\n".join(parts)


def _listed(indicators: Sequence[Mapping[str, Any]], common: Mapping[str, Sequence[str]], is_brief: bool) -> str:
    told = [each for each in indicators if not is_brief or each["name"] in common]
    rows = []
    for each in told:
        columns = common.get(each["name"])
        table = f" -> colonnes {', '.join(columns)}" if columns else " -> tableau" if each["columns"] else ""
        rows.append(f"{each['name']}({', '.join(each['arguments'])}){table}")
    if is_brief:
        others = (each["name"] for each in indicators if each["name"] not in common)
        rows.append(f"et aussi : {', '.join(others)}")
    return "\n".join(rows)


def _errors(errors: Sequence[CodeError]) -> str:
    return "\n".join(
        f"- {f'ligne {error.line} : ' if error.line else ''}{error.message}" for error in errors[:_SHOWN_ERRORS]
    )


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}
