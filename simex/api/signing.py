"""Keys, signatures and timestamps, as Binance checks them."""

import hmac
from collections.abc import Mapping
from hashlib import sha256

from simex.engine.errors import ApiError, missing

AHEAD_MS = 1_000
USUAL_WINDOW_MS = 5_000
LONGEST_WINDOW_MS = 60_000


def sign(payload: str, secret: str) -> str:
    """Return the HMAC-SHA256 of a payload, in hex."""
    return hmac.new(secret.encode(), payload.encode(), sha256).hexdigest()


def signed_payload(query: str, body: str) -> tuple[str, str | None]:
    """Split query and body into what was signed and the signature.

    Returns:
        The percent-encoded text without its `signature` pair, and the signature or None.
    """
    signature = None
    kept = []
    for part in (query, body):
        pairs = []
        for pair in part.split("&") if part else []:
            if pair.startswith("signature="):
                signature = pair.removeprefix("signature=")
            else:
                pairs.append(pair)
        kept.append("&".join(pairs))
    return "".join(kept), signature


def check_signature(payload: str, signature: str | None, secret: str) -> None:
    """Compare the signature.

    Raises:
        ApiError: -1102 without one, -1022 when it is wrong.
    """
    if not signature:
        raise missing("signature")
    if not hmac.compare_digest(sign(payload, secret), signature.lower()):
        raise ApiError(-1022, "Signature for this request is not valid.")


def check_timestamp(params: Mapping[str, str], server_ms: int) -> None:
    """Apply Binance's window: timestamp < server + 1000 and server - timestamp <= recvWindow.

    Raises:
        ApiError: -1102 when malformed, -1131 for a window too long, -1021 when outside.
    """
    try:
        timestamp = int(params["timestamp"])
        window = float(params.get("recvWindow", USUAL_WINDOW_MS))
    except (KeyError, ValueError) as error:
        raise missing("recvWindow" if "timestamp" in params else "timestamp") from error
    if window > LONGEST_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    if timestamp >= server_ms + AHEAD_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if server_ms - timestamp > window:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")
