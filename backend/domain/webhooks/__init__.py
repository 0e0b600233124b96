"""Calls from outside: how their text is read, which market they name, and what they ask for. No I/O."""
