"""What a simex is started with."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

MAX, STEP = "max", "step"


class OptionError(ValueError):
    """An option cannot be used; the message says which and why."""


@dataclass(frozen=True)
class Options:
    """Parsed options of one simex."""

    symbols: tuple[str, ...] = ("BTCUSDT",)
    seed: int = 42
    source: str = "walk"
    speed: str = "1"
    start_ms: int | None = None
    host: str = "127.0.0.1"
    port: int = 0
    data_dir: Path | None = None
    scenario: Path | None = None
    exchange_info: Path | None = None
    kline_every_ms: int | None = None
    depth_every_ms: int = 100
    wait_for_consumer: bool = False
    pause_without_consumer: bool = False
    live_ws: str = ""
    incognito: bool = False

    @property
    def source_kind(self) -> str:
        """`walk`, `trades`, `candles` or `live`."""
        return self.source.partition(":")[0]

    @property
    def source_file(self) -> Path | None:
        """The recording, None for the walk and for a relayed exchange."""
        name = self.source.partition(":")[2]
        return Path(name) if name and not self.is_live else None

    @property
    def is_live(self) -> bool:
        """Tell whether another exchange is relayed."""
        return self.source_kind == "live"

    @property
    def upstream_url(self) -> str:
        """REST address of the exchange to relay."""
        return self.source.partition(":")[2].rstrip("/") if self.is_live else ""

    @property
    def factor(self) -> float:
        """Market milliseconds for one of the wall, 0 for `max` and `step`."""
        return 0.0 if self.speed in (MAX, STEP) else float(self.speed)

    @property
    def limit_factor(self) -> Decimal:
        """How much more than Binance allows in a wall minute."""
        return Decimal(10_000) if self.speed in (MAX, STEP) else max(Decimal(1), Decimal(self.speed))


def check_options(options: Options) -> None:
    """Refuse what cannot be simulated.

    Raises:
        OptionError: naming the option.
    """
    if options.source_kind not in ("walk", "trades", "candles", "live"):
        raise OptionError(f"--source {options.source}: use walk, trades:FILE, candles:FILE or live:URL")
    if options.source_kind in ("trades", "candles") and options.source_file is None:
        raise OptionError(f"--source {options.source}: name the file after the colon")
    if options.is_live:
        _check_live(options)
    if options.speed not in (MAX, STEP):
        try:
            good = 0 < float(options.speed) <= 100_000
        except ValueError:
            good = False
        if not good:
            raise OptionError(f"--speed {options.speed}: a positive number, max or step")
    if options.depth_every_ms <= 0:
        raise OptionError(f"--depth-every {options.depth_every_ms}: more than 0")
    if not options.symbols:
        raise OptionError("--symbols: at least one symbol")


def _check_live(options: Options) -> None:
    """A relayed market has its own time and its own prices: nothing of it is simex's to choose."""
    address = urlsplit(options.upstream_url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise OptionError(f"--source {options.source}: live: and an address such as https://api.binance.com")
    if options.speed != "1":
        raise OptionError(f"--speed {options.speed}: a relayed exchange goes at its own pace, use --speed 1")
    if options.start_ms is not None:
        raise OptionError("--start: a relayed exchange has its own time")
    if options.scenario is not None:
        raise OptionError("--scenario: not with a relayed exchange, whose market begins when it is reached")


def parse_start(text: str) -> int:
    """Read an ISO date (UTC unless it says otherwise) as milliseconds.

    Raises:
        OptionError: not a date.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise OptionError(f"--start {text}: not an ISO date") from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)
