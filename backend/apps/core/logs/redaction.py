"""Nothing secret reaches a log: by the name of a field, by the shape of a text, and by the secrets that we know."""

import re
from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any

HIDDEN = "••••"
_SHORTEST_SECRET = 8
_DEEPEST = 6

_SECRET_NAME = re.compile(
    r"api_?key|apikey|secret|passw|passphrase|token|authorization|cookie|session_?key|session_?id|signature"
    r"|csrf|credential|private_?key|mbx",
    re.IGNORECASE,
)

# Most texts hold none of these, and are not searched further.
_SUSPECT = re.compile(
    r"auth|cookie|sess|csrf|api.?key|secret|passw|passp|passe|token|sign|private|mbx|bearer|basic|webhooks|://"
    r"|gAAAA|BEGIN",
    re.IGNORECASE,
)
_VALUE = r"[^\s&\"',;)}\]]+"
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Authorization headers, whole: "Bearer x", "Basic y".
    (re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?)[^\"'\r\n}]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # Cookies, whole lines; then single ones.
    (re.compile(r"((?:set-)?cookie[\"']?\s*[:=]\s*[\"']?)[^\"'\r\n}]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(rf"\b(sessionid|csrftoken)([\"']?\s*[:=]\s*[\"']?){_VALUE}", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    # name=value and "name": "value", in queries, bodies and reprs.
    (
        re.compile(
            r"\b([\w-]*(?:api[_-]?key|secret[_-]?key|secret|passw(?:or)?d|mot[_ ]de[_ ]passe|passphrase|token"
            rf"|signature|private[_-]?key|mbx-apikey)[\w-]*)([\"']?\s*[:=]\s*[\"']?){_VALUE}",
            re.IGNORECASE,
        ),
        rf"\1\2{HIDDEN}",
    ),
    # The address of a webhook's source, and whoever signs in by an URL.
    (re.compile(r"(/webhooks/in/)[^/\s\"']+"), rf"\1{HIDDEN}"),
    (re.compile(r"([a-z][a-z0-9+.-]*://)[^/\s:@\"']*:[^/\s@\"']+@", re.IGNORECASE), rf"\1{HIDDEN}@"),
    # Addresses of alerts: their path is what signs in.
    (
        re.compile(r"\b((?:discord|tgram|slack|gotifys?|ntfys?|pover|matrixs?|mmosts?|mailtos?)://)\S+"),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(discord(?:app)?\.com/api/webhooks/)\S+"), rf"\1{HIDDEN}"),
    # What our own database holds encrypted, and private keys.
    (re.compile(r"\bgAAAA[A-Za-z0-9_=-]{20,}"), HIDDEN),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), HIDDEN),
)


class Redaction:
    """A structlog processor; goes after tracebacks became text and before anything is written.

    Args:
        known: secrets of this process, such as SECRET_KEY: hidden wherever they stand.
    """

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = sorted({each for each in known if len(each) >= _SHORTEST_SECRET}, key=len, reverse=True)

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        for name, value in event.items():
            if not name.startswith("_"):
                event[name] = self._hidden(name, value, depth=0)
        return event

    def text(self, text: str) -> str:
        """Return a text without its secrets."""
        for secret in self._known:
            text = text.replace(secret, HIDDEN)
        if _SUSPECT.search(text) is None:
            return text
        for shape, shown in _SHAPES:
            text = shape.sub(shown, text)
        return text

    def _hidden(self, name: str, value: Any, *, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if _SECRET_NAME.search(name):
            return HIDDEN
        if isinstance(value, str):
            return self.text(value)
        if depth >= _DEEPEST:
            return self.text(repr(value))
        if isinstance(value, Mapping):
            return {str(key): self._hidden(str(key), each, depth=depth + 1) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._hidden("", each, depth=depth + 1) for each in value]
        return self.text(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))
