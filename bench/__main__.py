"""`python -m bench NAME [--json]`, from the repository's root with `backend` and the root on the path."""

import argparse
import sys
from collections.abc import Callable

from bench.figures import Outcome

LATER = {
    "backtest": "le moteur de backtest",
}
EXIT_USAGE = 2


def main(arguments: list[str] | None = None) -> int:
    """Run one measure; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.name in LATER:
        sys.stderr.write(
            f"La mesure « {options.name} » n'existe pas encore : elle vient avec {LATER[options.name]}.\n"
        )
        return EXIT_USAGE
    _measure(options)().write(as_json=options.json)
    return 0


def _measure(options: argparse.Namespace) -> Callable[[], Outcome]:
    if options.name == "heartbeat":
        from bench import heartbeat

        return lambda: heartbeat.run(trades=options.trades, minutes=options.closes or 120)
    if options.name == "gateway":
        from bench import gateway

        return lambda: gateway.run(calls=options.calls)
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
    parser.add_argument("name", choices=("heartbeat", "signal", "gateway", "stats", "webhooks", *LATER))
    parser.add_argument("--json", action="store_true", help="une ligne de JSON")
    parser.add_argument(
        "--closes", type=int, help="clôtures 1m mesurées (heartbeat : 120 ; signal, par série : 20)"
    )
    parser.add_argument("--rounds", type=int, default=2, help="signal : tours des quatre séries (2)")
    parser.add_argument("--speed", type=int, default=12, help="signal : vitesse du marché (12)")
    parser.add_argument("--trades", type=int, default=200_000, help="heartbeat : messages du débit (200000)")
    parser.add_argument("--calls", type=int, default=500, help="gateway : appels de chaque sorte (500)")
    parser.add_argument("--hooks", type=int, default=2000, help="webhooks : appels, à 200 par seconde (2000)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
