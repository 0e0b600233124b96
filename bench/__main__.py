"""`python -m bench NAME [--json]`, from the repository's root with `backend` and the root on the path."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from bench.figures import Outcome


def main(arguments: list[str] | None = None) -> int:
    """Run one measure; return the exit code."""
    options = _parser().parse_args(arguments)
    _measure(options)().write(as_json=options.json)
    return 0


def _measure(options: argparse.Namespace) -> Callable[[], Outcome]:
    if options.name == "heartbeat":
        from bench import heartbeat

        return lambda: heartbeat.run(trades=options.trades, minutes=options.closes or 120)
    if options.name == "gateway":
        from bench import gateway

        return lambda: gateway.run(calls=options.calls)
    if options.name == "backtest" and options.service:
        from bench import backtest_service

        return lambda: backtest_service.run(
            bars=options.bars, combinations=options.combinations, sizes=options.sizes
        )
    if options.name == "backtest" and options.beside_live:
        from bench import backtest_beside_live

        return lambda: backtest_beside_live.run(
            bars=options.bars,
            closes=options.closes or 10,
            rounds=options.rounds,
            speed=options.speed,
            bots=options.bots,
        )
    if options.name == "backtest":
        from bench import backtest

        if options.agreement:
            from bench import agreement

            return lambda: agreement.run(
                bars=options.bars,
                peers_dir=options.peers_dir or backtest.DEFAULT_DIR,
                install=options.install_peers,
            )
        return lambda: backtest.run(
            bars=options.bars,
            sizes=options.sizes,
            peers_dir=options.peers_dir or backtest.DEFAULT_DIR,
            install=options.install_peers,
        )
    if options.name == "webhooks":
        from bench import webhooks

        return lambda: webhooks.run(calls=options.hooks)
    if options.name == "stats":
        from bench import stats

        return stats.run
    from bench import signal

    return lambda: signal.run(closes=options.closes or 20, rounds=options.rounds, speed=options.speed)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Mesures, en rapports.")
    names = ("heartbeat", "signal", "gateway", "backtest", "stats", "webhooks")
    parser.add_argument("name", choices=names)
    parser.add_argument("--json", action="store_true", help="une ligne de JSON")
    parser.add_argument(
        "--closes", type=int, help="clôtures 1m mesurées (heartbeat : 120 ; signal, par série : 20)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="signal : tours des quatre séries (2)")
    parser.add_argument("--speed", type=int, default=12, help="signal : vitesse du marché (12)")
    parser.add_argument("--trades", type=int, default=200_000, help="heartbeat : messages du débit (200000)")
    parser.add_argument("--calls", type=int, default=500, help="gateway : appels de chaque sorte (500)")
    parser.add_argument("--bars", type=int, default=525_600, help="backtest : bougies (525600)")
    parser.add_argument(
        "--sizes", type=int, nargs="*", default=(), help="backtest : autres tailles, pour la linéarité"
    )
    parser.add_argument("--service", action="store_true", help="backtest : du clic au résultat, sur une instance")
    parser.add_argument(
        "--beside-live", action="store_true", help="backtest : des bots, seuls puis à côté de deux backtests"
    )
    parser.add_argument("--bots", type=int, default=20, help="backtest --beside-live : bots (20)")
    parser.add_argument("--combinations", type=int, default=16, help="backtest --service : du balayage (16)")
    parser.add_argument("--peers-dir", type=Path, help="backtest : dossier des environnements des concurrents")
    parser.add_argument("--install-peers", action="store_true", help="backtest : les y installer d'abord")
    parser.add_argument(
        "--agreement", action="store_true", help="backtest : nos trades et ceux de backtesting.py, un par un"
    )
    parser.add_argument("--hooks", type=int, default=2000, help="webhooks : appels, à 200 par seconde (2000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
