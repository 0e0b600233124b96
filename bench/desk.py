"""A throw-away instance to measure on: `./aristobot up` with the simulated market at speed 60."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.system.instance import Instance
from tests.system.trader import PASSWORD

SPEED = 60  # market seconds per second: a one-minute candle closes every second
_START_TIMEOUT_S = 180.0


@contextmanager
def instance(*, speed: int = SPEED) -> Iterator[Instance]:
    """Start an instance in a temporary folder; stop it and remove the folder at the end."""
    folder = Path(tempfile.mkdtemp(prefix="aristobot-bench-"))
    passwords = {"ARISTOBOT_DEV_PASSWORD": PASSWORD, "ARISTOBOT_DAC_PASSWORD": PASSWORD}
    running = Instance(folder / "data", feed="walk", speed=str(speed), environment=passwords)
    try:
        running.start(timeout_s=_START_TIMEOUT_S)
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)
