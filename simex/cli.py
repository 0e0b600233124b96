"""Command line of simex."""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from simex.app import serve
from simex.market.replay import RecordingError
from simex.options import OptionError, Options, check_options, parse_start
from simex.simulation import Simulation

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the options."""
    parser = argparse.ArgumentParser(prog="python -m simex", description="A simulated exchange.")
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (loopback only)")
    add("--port", type=int, default=18080, help="port, 0 for a free one")
    add("--seed", type=int, default=42)
    add("--symbols", default="BTCUSDT,ETHUSDT", help="comma-separated, e.g. BTCUSDT,XRPETH")
    add("--source", default="walk", help="walk, trades:FILE, candles:FILE or live:URL")
    add("--speed", default="1", help="market seconds per second, or max, or step")
    add("--start", help="ISO date of the market's start")
    add("--scenario", type=Path, help="JSON file of events at market times")
    add("--data-dir", type=Path, help="folder of the journal; without it nothing is kept")
    add("--exchange-info", type=Path, help="a recorded exchangeInfo to take filters from")
    add("--kline-every", type=int, metavar="MS", help="market time between two kline messages")
    add("--depth-every", type=int, default=100, metavar="MS", help="wall time between two @depth@100ms messages")
    add("--wait-for-consumer", action="store_true", help="start with the first stream subscriber")
    add(
        "--pause-without-consumer",
        action="store_true",
        help="hold the market whenever nobody listens to a stream",
    )
    add("--live-ws", default="", metavar="URL", help="where the streams of live:URL are, when not told by URL")
    add("--incognito", action="store_true", help="answer like Binance itself, without the run's header")
    return parser


def read_options(arguments: Sequence[str] | None) -> Options:
    """Parse and check the options.

    Raises:
        OptionError: an option cannot be used.
    """
    given = make_parser().parse_args(arguments)
    if given.host not in LOOPBACK:
        raise OptionError(f"--host {given.host}: simex listens on the loopback only")
    symbols = tuple(dict.fromkeys(s.strip().upper() for s in given.symbols.split(",") if s.strip()))
    options = Options(
        symbols=symbols,
        seed=given.seed,
        source=given.source,
        speed=given.speed,
        start_ms=parse_start(given.start) if given.start else None,
        host=given.host,
        port=given.port,
        data_dir=given.data_dir,
        scenario=given.scenario,
        exchange_info=given.exchange_info,
        kline_every_ms=given.kline_every,
        depth_every_ms=given.depth_every,
        wait_for_consumer=given.wait_for_consumer,
        pause_without_consumer=given.pause_without_consumer,
        live_ws=given.live_ws,
        incognito=given.incognito,
    )
    check_options(options)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run simex until it is told to stop; return the exit code."""
    try:
        sim = Simulation(read_options(arguments))
    except (OptionError, RecordingError, OSError, RuntimeError, ValueError) as error:
        sys.stderr.write(f"simex: {error}\n")
        return 2
    try:
        asyncio.run(_until_stopped(sim))
    except OSError as error:
        sys.stderr.write(f"simex: {error}\n")
        return 1
    return 0


async def _until_stopped(sim: Simulation) -> None:
    server = asyncio.create_task(serve(sim))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, server.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await server
