"""The life of one child: jail itself, read one question, answer it, exit."""

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from apps.core.adapters.strategy_host import protocol, quick_test_wire, replay_wire
from apps.core.adapters.strategy_host.jail import Jail, JailFailed, die_with_parent
from domain.backtest.quick_test import quick_test
from domain.errors import StrategyError, StrategyMemory
from domain.strategies.evaluate import evaluate
from domain.strategies.loader import load
from domain.strategies.replay import replay
from domain.strategies.sample import sample_window
from domain.strategies.validate import validate

EXIT_JAIL_FAILED = 97

Talk = Callable[[int, Mapping[str, Any]], None]

# Ours, not a user's. In the zygote it prepares what pandas and the interpreter do lazily; in a spare it also
# makes the private copies of the memory pages that an evaluation writes to (several ms, before any signal).
_WARM_UP = """
import pandas_ta as ta

class WarmUp(Strategy):
    def should_long(self):
        close = self.candles["close"]
        self.candles["ema"] = ta.ema(close, length=10)
        self.candles["sma"] = ta.sma(close, length=20)
        ta.rsi(close, length=14)
        now, before = self.candles["ema"].iloc[-1], self.candles["ema"].iloc[-2]
        return now > before and now > self.candles["sma"].iloc[-1]
"""
# Rows of a sorted index from which pandas searches it by halves instead of hashing all of it (its own figure is a
# million): on a year of one-minute candles the hash alone takes as long as four averages.
_HALVED_FROM = 10_000
_OUT_OF_MEMORY = protocol.pack_error(
    StrategyMemory("Stratégie arrêtée : mémoire épuisée (limite du bac à sable atteinte).", details={"line": None})
)


def serve(
    fd: int,
    *,
    warm: bool,
    jail: Jail,
    layers: Mapping[str, str],
    parent_pid: int,
    scope: Mapping[str, Any],
    talk: Talk,
) -> int:
    """Enter the jail and talk on `fd`; return the exit code.

    Args:
        warm: a spare has the time to warm up; a child whose question waits has not.
        talk: what is said with the host once jailed; sees user code.
    """
    die_with_parent(parent_pid)
    os.setsid()  # the scheduler's share is a session's: one that calculates for long gives up its own only
    null = os.open(os.devnull, os.O_RDWR)  # the jail lets nobody open it for writing
    try:
        jail.require(jail.close(), layers)
    except JailFailed as exc:
        os.write(2, f"sandbox.layer_failed {exc}\n".encode())
        return EXIT_JAIL_FAILED
    keep_only(fd, null)
    if warm:
        warm_up(scope)
    _write(fd, protocol.HELLO)
    talk(fd, scope)
    return 0


def answer_one(fd: int, scope: Mapping[str, Any]) -> None:
    """Answer one question, if one comes: a spare may not be needed."""
    payload = _read(fd)
    if payload is not None:
        _write(fd, _answer(payload, scope, tell=lambda news: _write(fd, news)))


def keep_only(fd: int, null: int) -> None:
    """Close every inherited file but `fd`; standard input, output and error become `null`: floods go nowhere."""
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    os.closerange(3, fd)
    os.closerange(fd + 1, 4096)


def _answer(payload: bytes, scope: Mapping[str, Any], *, tell: Callable[[bytes], None]) -> bytes:
    try:
        header, raw = protocol.split_request(payload)
        if header["mode"] == quick_test_wire.MODE:
            job = quick_test_wire.unpack_quick_test(header, raw)
            result = quick_test(job, scope, progress=lambda ratio: tell(quick_test_wire.pack_progress(ratio)))
            return quick_test_wire.pack_result(result)
        if header["mode"] == replay_wire.MODE:
            return replay_wire.pack_answers(replay(replay_wire.unpack_replay(header, raw), scope))
        asked = protocol.unpack_evaluation_job(header, raw)
        if header["mode"] == "validate":
            return protocol.pack_reply(validate(asked.code, scope))
        strategy = load(asked.code, scope)
        answer = evaluate(strategy, asked.candles, asked.balance, asked.position, asked.params, code=asked.code)
        return protocol.pack_reply(answer)
    except StrategyError as exc:
        return protocol.pack_error(exc)
    except MemoryError:
        return _OUT_OF_MEMORY


def _read(fd: int) -> bytes | None:
    head = _read_exactly(fd, protocol.LENGTH.size)
    return None if head is None else _read_exactly(fd, protocol.LENGTH.unpack(head)[0])


def _read_exactly(fd: int, count: int) -> bytes | None:
    chunks = []
    while count > 0:
        chunk = os.read(fd, min(count, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        count -= len(chunk)
    return b"".join(chunks)


def _write(fd: int, payload: bytes) -> None:
    view = memoryview(payload)
    while view:
        view = view[os.write(fd, view) :]


def warm_up(scope: Mapping[str, Any]) -> None:
    """Evaluate an innocent strategy once."""
    evaluate(load(_WARM_UP, scope), sample_window(500), 1.0, None, {}, ask_all=True)


def user_scope() -> dict[str, Any]:
    """Import what a strategy finds in scope, and make `import pandas_ta` name the library that is installed."""
    sys.modules["pyarrow"] = None  # type: ignore[assignment]  # optional for pandas; it starts a thread on import
    import numpy as np
    import pandas as pd
    import pandas_ta_classic as ta
    from pandas._libs import index as indexing

    indexing._SIZE_CUTOFF = _HALVED_FROM
    sys.modules["pandas_ta"] = ta
    return {"pd": pd, "np": np, "ta": ta}
