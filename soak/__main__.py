"""`python -m soak --hours 24 --speed 60`, from the repository's root with `backend` and the root on the path."""

import argparse
import secrets
import sys
from pathlib import Path

from soak.plan import Plan
from soak.run import soak


def main(arguments: list[str] | None = None) -> int:
    """Run it; 0 when every record agrees and the memory stays flat, 1 otherwise."""
    parser = argparse.ArgumentParser(prog="python -m soak", description="Endurance, puis rapprochement complet.")
    parser.add_argument("--hours", type=float, default=24.0, help="heures de marché")
    parser.add_argument("--speed", type=int, default=60, help="vitesse du marché")
    parser.add_argument("--seed", type=int, default=None, help="graine des fautes et des arrêts")
    parser.add_argument("--keep", type=Path, default=None, help="garde l'instance dans ce dossier")
    options = parser.parse_args(arguments)
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    plan = Plan(hours=options.hours, speed=options.speed, seed=seed)
    report = soak(plan, folder=options.keep, say=say)
    say(report.french())
    return 0 if report.is_clean else 1


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
