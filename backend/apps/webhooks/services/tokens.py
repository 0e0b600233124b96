"""Tokens of addresses: made at random, shown once, kept as a hash."""

import hashlib
import secrets

PREFIX = "wh_"


def new_token() -> str:
    """Return a token of 256 random bits that fits into an address."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(token: str) -> str:
    """Return what is stored. A plain hash is enough: nobody guesses 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def hint_of(token: str) -> str:
    """Return enough of a token to recognise it, not to use it."""
    return f"{token[:7]}…{token[-2:]}"
