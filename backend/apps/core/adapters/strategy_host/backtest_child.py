"""A jailed child that plays strategies over the candles it was given, as often as it is asked."""

import io
import json
import os
import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np

from apps.core.adapters.strategy_host import backtest_wire as wire
from apps.core.adapters.strategy_host.protocol import LENGTH, pack_error
from domain.backtest.certificate import Certificate
from domain.backtest.contract import CandleSeries
from domain.backtest.played import MAX_TRADES, played
from domain.backtest.run import run
from domain.errors import AristobotError, StrategyError, StrategyMemory

_OUT_OF_MEMORY = pack_error(
    StrategyMemory("Stratégie arrêtée : mémoire épuisée (limite du bac à sable atteinte).", details={"line": None})
)


def converse(fd: int, scope: Mapping[str, Any]) -> None:
    """Serve the host until it closes the line."""
    _Conversation(fd, scope).serve()


class _Conversation:
    def __init__(self, fd: int, scope: Mapping[str, Any]) -> None:
        self._fd = fd
        self._input = io.FileIO(fd, "rb", closefd=False)
        self._scope = scope
        self._candles: CandleSeries | None = None
        self._finer: CandleSeries | None = None
        self._certificates: dict[tuple[int, int] | None, Certificate] = {}  # by part of these candles

    def serve(self) -> None:
        while True:
            message = self._hear()
            if message is None:
                return
            tag, payload = message
            if tag == wire.SERIES:
                self._candles, self._finer, self._certificates = self._receive(payload), None, {}
            elif tag == wire.FINER:
                self._finer = self._receive(payload)
            else:
                self._say(self._answer(payload))

    def _answer(self, payload: bytes) -> bytes:
        """Play; return the last frame of the answer, which alone ends it."""
        try:
            return self._play(payload)
        except MemoryError:
            self._candles = self._finer = None
            return _error_frame(_OUT_OF_MEMORY)
        except AristobotError as exc:
            return _error_frame(pack_error(exc if isinstance(exc, StrategyError) else StrategyError(exc.message)))
        except Exception as exc:  # noqa: BLE001 — the process's boundary: told to the host, which logs it
            return _error_frame(pack_error(_internal(exc)))

    def _play(self, payload: bytes) -> bytes:
        if self._candles is None:
            raise StrategyError("Backtest impossible : aucune bougie reçue.")
        asked = wire.unpack_run(payload)
        candles = wire.part_of(self._candles, asked.part)
        given = None if asked.prove else self._certificates.get(asked.part)
        report = run(asked.job, candles, scope=self._scope, finer=self._finer, progress=self._tell, given=given)
        if report.certificate is not None:
            self._certificates[asked.part] = report.certificate
        outcome = report.outcome
        if len(outcome.trades) > MAX_TRADES:
            raise StrategyError(
                f"Backtest arrêté : {len(outcome.trades)} transactions, {MAX_TRADES} au plus.",
                details={"line": None},
            )
        if asked.full:
            for block in wire.pack_trades(outcome.trades):
                self._say(block)
            self._say(wire.frame(wire.EQUITY, np.ascontiguousarray(outcome.equity, dtype="<f8").tobytes()))
        return wire.pack_played(played(report))

    def _tell(self, progress: float) -> None:
        self._say(wire.frame(wire.PROGRESS, f"{progress:.4f}".encode()))

    def _hear(self) -> tuple[bytes, bytes] | None:
        head = self._read(LENGTH.size + 1)
        if head is None:
            return None
        payload = self._read(LENGTH.unpack(head[:-1])[0])
        return None if payload is None else (bytes(head[-1:]), bytes(payload))

    def _receive(self, payload: bytes) -> CandleSeries:
        head = json.loads(payload)
        times: Any = np.empty(head["count"], dtype="<i8")
        prices = [np.empty(head["count"], dtype="<f8") for _ in wire.COLUMNS[1:]]
        for column in (times, *prices):
            self._fill(memoryview(column).cast("B"))
            column.flags.writeable = False  # a strategy works on copies
        return CandleSeries(head["step_ms"], times, *prices)

    def _read(self, count: int) -> bytearray | None:
        buffer = bytearray(count)
        return buffer if self._fill(memoryview(buffer)) else None

    def _fill(self, view: memoryview) -> bool:
        while view:
            got = self._input.readinto(view)
            if not got:
                return False
            view = view[got:]
        return True

    def _say(self, message: bytes) -> None:
        view = memoryview(message)
        while view:
            view = view[os.write(self._fd, view) :]


def _error_frame(framed: bytes) -> bytes:
    return wire.frame(wire.ERROR, framed[LENGTH.size :])


def _internal(exc: Exception) -> StrategyError:
    """Say where our own code failed."""
    last = traceback.extract_tb(exc.__traceback__)[-1]
    where = f"{os.path.basename(last.filename)}, ligne {last.lineno}"
    return StrategyError(
        f"Backtest interrompu par une erreur interne du moteur : {type(exc).__name__}: {exc} ({where}).",
        details={"line": None, "exception": type(exc).__name__, "traceback": traceback.format_exc()},
    )
