"""kill -9 of the heartbeat, of PostgreSQL, of Valkey and of the exchange: no candle missing, none wrong."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from domain.timeframes import Timeframe, to_ms
from launcher.embedded import EmbeddedServer, Postgres, Valkey
from launcher.errors import LauncherError
from tests.integration.simex_process import SimexProcess

pytestmark = [pytest.mark.crash, pytest.mark.timeout(300)]

M = 60_000
BACKEND = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("ARISTOBOT_HEARTBEAT_KILLS", "4"))


class World:
    """A heartbeat with a PostgreSQL, a Valkey and a simulated exchange of its own."""

    def __init__(self, folder: Path) -> None:
        self.postgres: EmbeddedServer = Postgres(folder / "pg")
        self.valkey: EmbeddedServer = Valkey(folder / "kv")
        walk = ["--symbols", "BTCUSDT", "--source", "walk", "--seed", "11", "--speed", "60"]
        self.exchange = SimexProcess([*walk, "--data-dir", str(folder / "simex")])
        self.heartbeat: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        for server in (self.postgres, self.valkey):
            await asyncio.to_thread(server.start)
        await self.exchange.start()
        migrate = await self._manage("migrate", "--verbosity", "0")
        assert await migrate.wait() == 0
        self.heartbeat = await self._manage("run_heartbeat")

    async def stop(self) -> None:
        if self.heartbeat is not None and self.heartbeat.returncode is None:
            self.heartbeat.send_signal(signal.SIGTERM)
            async with asyncio.timeout(20):
                await self.heartbeat.wait()
        await self.exchange.kill()
        for server in (self.valkey, self.postgres):
            await asyncio.to_thread(server.stop)

    async def strike(self, victim: str) -> None:
        """Kill one process with -9 and start it again."""
        match victim:
            case "heartbeat":
                if self.heartbeat is not None:
                    self.heartbeat.kill()
                    await self.heartbeat.wait()
                self.heartbeat = await self._manage("run_heartbeat")
            case "exchange":
                await self.exchange.kill()
                await self.exchange.start()
            case "postgres":
                await self._revive(self.postgres)
            case _:
                await self._revive(self.valkey)

    async def _revive(self, server: EmbeddedServer) -> None:
        process = server._process
        if process is not None:
            process.kill()
            process.wait()
        async with asyncio.timeout(60):
            while True:
                try:
                    await asyncio.to_thread(server.start)
                    return
                except LauncherError:  # PostgreSQL's children are still leaving
                    await asyncio.sleep(0.5)

    async def _manage(self, *arguments: str) -> asyncio.subprocess.Process:
        environment = {
            **os.environ,
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.valkey.url,
            "BINANCE_WS_URL": self.exchange.ws_url,
            "BINANCE_REST_URL": self.exchange.url,
            "HEARTBEAT_SYMBOLS": "BTCUSDT",
        }
        return await asyncio.create_subprocess_exec(
            sys.executable, "manage.py", *arguments, cwd=BACKEND, env=environment
        )

    def rows(self) -> dict[tuple[str, int], tuple[Decimal, ...]]:
        query = (
            "SELECT signal_type, open_time, open_price, high_price, low_price, close_price, volume, trade_count "
            "FROM candles_heartbeat ORDER BY open_time"
        )
        with psycopg.connect(self.postgres.url) as database:
            return {(row[0], to_ms(row[1])): row[2:] for row in database.execute(query)}

    async def until_more(self, minutes: int) -> None:
        """Wait until that many more minutes are stored."""
        before = await self._minutes()
        async with asyncio.timeout(90):
            while await self._minutes() < before + minutes:  # noqa: ASYNC110 — the state of other processes
                await asyncio.sleep(0.2)

    async def _minutes(self) -> int:
        rows = await asyncio.to_thread(self.rows)
        return sum(timeframe == "1m" for timeframe, _ in rows)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.stop()


async def test_killed_services_cost_no_candle(world: World) -> None:
    rng = random.Random(KILLS)
    victims = ["postgres", "heartbeat", "valkey", "exchange"]
    await world.until_more(2)
    for number in range(KILLS):
        await asyncio.sleep(rng.random())  # anywhere in a minute
        await world.strike(victims[number % len(victims)])
        await world.until_more(3)
    ours = world.rows()
    first = min(at for name, at in ours if name == "1m")
    last = max(at for name, at in ours if name == "1m") + M
    for timeframe in Timeframe:
        length = timeframe.milliseconds
        due = [at for at in range(first - first % length, last, length) if first < at + length <= last]
        assert [at for name, at in ours if name == timeframe.value] == due
        if timeframe is not Timeframe.M10:
            assert await _theirs(world.exchange, timeframe, due) == {
                at: row for (name, at), row in ours.items() if name == timeframe.value
            }


async def _theirs(
    exchange: SimexProcess, timeframe: Timeframe, due: list[int]
) -> dict[int, tuple[Decimal | int, ...]]:
    if not due:
        return {}
    rows = await exchange.get(
        "/api/v3/klines",
        symbol="BTCUSDT",
        interval=timeframe.value,
        startTime=due[0],
        endTime=due[-1],
        limit=1000,
    )
    return {k[0]: (*(Decimal(v) for v in k[1:6]), k[8]) for k in rows}
