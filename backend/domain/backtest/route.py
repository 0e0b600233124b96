"""Chooses the fastest way to a strategy's decisions that can be proved, and falls back to the exact one."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from domain.backtest import causality, proof, recognised, windowed
from domain.backtest.certificate import Certificate, shape_of
from domain.backtest.contract import (
    BacktestJob,
    CandleSeries,
    ColumnDifference,
    Decisions,
    EnginePath,
    Hashes,
    LookAheadCheck,
    Outcome,
    Verdict,
    WindowCheck,
)
from domain.backtest.fast import FastDecisions
from domain.backtest.literal import LiteralDecisions, seen_at
from domain.backtest.snapshot import Key, Snapshot, name_of, take
from domain.backtest.source import CannotFollow, Methods, Source
from domain.errors import StrategyError
from domain.french import number
from domain.strategies.evaluate import Asked

_T = TypeVar("_T")


@dataclass(slots=True)
class Proved:
    """What is known of a run's honesty, and what it cost to know."""

    look_ahead: LookAheadCheck
    window: WindowCheck
    seconds: float


class Route:
    """One run's way. `path`, `fallback` and `decisions` say afterwards which was taken and why.

    Args:
        hashes: of what is played.
        given: what an earlier run proved, or None.
    """

    def __init__(
        self,
        source: Source,
        job: BacktestJob,
        candles: CandleSeries,
        ticks: tuple[Callable[[int], None], Callable[[int], None]],
        clock: Callable[[], float],
        *,
        hashes: Hashes,
        given: Certificate | None,
    ) -> None:
        self._source, self._job, self._candles, self._clock = source, job, candles, clock
        self._hashes, self._given = hashes, given
        self.certificate: Certificate | None = None
        self._tell, self._pulse = ticks  # with the bar reached; without a word on it
        self._window, self._first = job.settings.window, job.settings.first_bar
        self._balance = float(job.settings.initial_amount)
        self._literal, self._witness = (
            LiteralDecisions(source.fresh, candles, job.params, window=self._window, code=job.code, tick=tick)
            for tick in ticks
        )
        self._spent = 0.0
        self._short: list[ColumnDifference] = []
        self._biased: tuple[ColumnDifference, ...] = ()
        self._bars = self._prefixes = 0
        self._depth: proof.Depth | None = proof.WHOLE  # how much is compared; None = nothing
        self.path, self.fallback = EnginePath.LITERAL, ""
        self.windowed: tuple[str, ...] = ()  # columns of long memory, read as each window shows them
        self._long: tuple[ColumnDifference, ...] = ()  # those of them that made it necessary
        self.decisions: Decisions = self._literal
        self._fast_decisions: FastDecisions | None = None

    def play(self, simulate: Callable[[Decisions], Outcome]) -> tuple[Outcome, Proved]:
        """Return the outcome, and what was proved of it.

        Raises:
            StrategyError: it would have to be played the exact way, over more bars than the job allows.
        """
        outcome = self._attempt(simulate)
        if outcome is None and self._given is not None:  # not so with these parameters: prove them for themselves
            self._given, self.fallback, self._short, self._long = None, "", [], ()
            outcome = self._attempt(simulate)
        if outcome is None:
            self._check_length()
            outcome = simulate(self._literal)
        return outcome, self._proved()

    def _check_length(self) -> None:
        bars, most = len(self._candles) - self._first, self._job.exact_at_most
        if most is not None and bars > most:
            counts = [number(Decimal(count)) for count in (bars, most)]
            raise StrategyError(
                f"Essai non joué : il demande le calcul exact, bougie par bougie ({self.fallback}), soit "
                f"{counts[0]} bougies ; {counts[1]} au plus dans un balayage. Un backtest de ce seul réglage "
                "le joue.",
                details={"line": None, "bars": bars, "limit": most},
            )

    def forget(self) -> None:
        """Let go of what the run was played on, tens of bytes a candle; `decisions` answer nothing afterwards."""
        if self._fast_decisions is not None:
            self._fast_decisions.forget()

    def _attempt(self, simulate: Callable[[Decisions], Outcome]) -> Outcome | None:
        try:
            with _without_collections():
                whole = self._whole()
                known = self._timed(lambda: self._known(whole))
                self._biased = known.differences
                return self._fast(simulate, whole, known)
        except CannotFollow as exc:
            self.fallback = str(exc)
            return None

    def _whole(self) -> Snapshot:
        """Run `__init__` once over all candles."""
        count = len(self._candles)
        try:
            everything = seen_at(self._candles, count - 1, count)
            asked = Asked(
                self._source.fresh(), everything, self._balance, None, self._job.params, code=self._job.code
            )
        except StrategyError as exc:
            raise CannotFollow("__init__ échoue sur toute la période") from exc
        self._class = type(asked.user)
        return take(asked.user, count)

    def _known(self, whole: Snapshot) -> causality.Causality:
        """Return what is known of the columns: what was proved before, or what prefixes show now."""
        given, window = self._given, self._window
        if given is None or not given.speaks_of(self._hashes, window, whole):
            self._given, self._depth = None, proof.WHOLE
            return self._causality(whole)
        # Other parameters may need more candles: under a whole window, bars are played the exact way.
        same = given.params == self._hashes.params
        self._depth = None if same else proof.AGAIN
        return causality.Causality((), given.shortest if same else max(given.shortest, window), "", 0)

    def _causality(self, whole: Snapshot) -> causality.Causality:
        known = causality.check(self._source, self._candles, whole, balance=self._balance, seed=self._job.seed)
        self._prefixes = known.tried
        return known

    def _fast(
        self, simulate: Callable[[Decisions], Outcome], whole: Snapshot, known: causality.Causality
    ) -> Outcome:
        if known.differences:
            raise CannotFollow(f"« {known.differences[0].column} » change quand la suite est connue")
        if known.state or known.settled is None:
            raise CannotFollow(known.state or "les indicateurs changent de forme avec le nombre de bougies")
        methods = Methods(self._source, self._class)
        shortest = max(known.settled, causality.SHORTEST)
        first = max(self._first, shortest - 1)
        if first >= len(self._candles):
            raise CannotFollow("trop peu de bougies pour un chemin rapide")
        read = [key for key in whole.columns if key[0] in methods.mentioned]
        settled = self._timed(lambda: self._settling(whole, read, first))
        fast = FastDecisions(
            methods,
            whole,
            self._candles,
            self._literal,
            window=self._window,
            first_bar=self._first,
            shortest=shortest,
            slack=settled.slack,
            code=self._job.code,
            tick=self._tell,
        )
        self._fast_decisions = fast
        outcome = simulate(fast)
        self._timed(lambda: self._agree(fast, whole, settled, outcome))
        self.path = EnginePath.VECTORISED if fast.vectorised else EnginePath.PREFIX_VIEW
        self.fallback, self.decisions = fast.slow_reason, fast
        self.windowed = tuple(map(name_of, whole.windowed))
        self._certify(whole, shortest, settled)
        return outcome

    def _certify(self, whole: Snapshot, shortest: int, settled: proof.Settling) -> None:
        if self._given is not None:
            self.certificate = self._given  # what was compared now is no whole proof
            return
        self.certificate = Certificate(
            code=self._hashes.code,
            candles=self._hashes.candles,
            params=self._hashes.params,
            window=self._window,
            shape=shape_of(whole),
            shortest=shortest,
            slack=settled.slack,
            windowed=frozenset(whole.windowed),
            too_short=self._long,
        )

    def _settling(self, whole: Snapshot, read: list[Key], first: int) -> proof.Settling:
        known = {} if self._given is None else self._given.slack
        if self._depth is None:
            self._as_given(whole)
            return proof.Settling(slack=dict(known))
        settled = self._compared(whole, read, first, self._depth)
        wanted = settled.too_short or settled.loose
        if wanted and self._as_windows_show(whole, read, settled.too_short):
            before, settled = settled, self._compared(whole, read, first, self._depth)
            if settled.too_short and not before.too_short:  # it was good enough as it was
                settled, whole.windowed = before, {}
        settled.slack = {key: max(slack, known.get(key, 0.0)) for key, slack in settled.slack.items()}
        self._bars, self._short = len(settled.bars), settled.too_short
        if settled.too_short:
            raise CannotFollow(f"« {settled.too_short[0].column} » dépend de bougies plus anciennes que la fenêtre")
        return settled

    def _as_given(self, whole: Snapshot) -> None:
        if self._given is None or not self._given.windowed:
            return
        whole.windowed = recognised.find(whole, self._given.windowed, self._candles, self._window)
        if whole.windowed.keys() != self._given.windowed:
            raise CannotFollow("une moyenne n'est pas celle de l'essai déjà prouvé")
        self._long = self._given.too_short

    def _as_windows_show(self, whole: Snapshot, keys: list[Key], needed: Sequence[ColumnDifference]) -> bool:
        """Read averages of long memory as each window shows them, unless another column remembers longer too."""
        averages = recognised.find(whole, keys, self._candles, self._window)
        if not averages or not {each.column for each in needed} <= set(map(name_of, averages)):
            return False
        others = [key for key in keys if key not in averages and not windowed.is_given(whole, key, self._candles)]
        if windowed.remember(
            self._source,
            self._candles,
            others,
            window=self._window,
            balance=self._balance,
            seed=self._job.seed,
            tick=self._pulse,
        ):
            return False
        whole.windowed, self._long = averages, tuple(needed)
        return True

    def _compared(self, whole: Snapshot, read: list[Key], first: int, depth: proof.Depth) -> proof.Settling:
        return proof.settling(
            self._source,
            self._candles,
            whole,
            read,
            first=first,
            window=self._window,
            balance=self._balance,
            seed=self._job.seed,
            tick=self._pulse,
            depth=depth,
        )

    def _agree(self, fast: FastDecisions, whole: Snapshot, settled: proof.Settling, outcome: Outcome) -> None:
        if self._depth is None:
            return
        found = proof.compare(
            fast,
            self._witness,
            whole,
            settled,
            outcome.trades,
            self._candles,
            first=self._first,
            seed=self._job.seed,
            depth=self._depth,
        )
        self._bars, self._short = len(found.bars), found.too_short
        if found.too_short:
            raise CannotFollow(f"« {found.too_short[0].column} » dépend de bougies plus anciennes que la fenêtre")
        if found.where:
            raise CannotFollow(found.where)

    def _timed(self, function: Callable[[], _T]) -> _T:
        started = self._clock()
        try:
            return function()
        finally:
            self._spent += self._clock() - started

    def _proved(self) -> Proved:
        biased = self._biased
        verdict = Verdict.BIASED if biased else Verdict.OK if self._prefixes else Verdict.UNPROVEN
        reason = ""
        if biased:
            reason = "la valeur de ces colonnes change quand la suite du marché est connue"
        elif self._given is not None:
            verdict = Verdict.OK
            reason = f"prouvé pour ce code et ces bougies par un autre essai ; {self._bars} bougies revérifiées ici"
        elif not self._prefixes:
            reason = self.fallback or "trop peu de bougies"
        look_ahead = LookAheadCheck(verdict, biased, self._bars, self._prefixes, reason)
        known = Verdict.OK if self.path is not EnginePath.LITERAL else Verdict.UNPROVEN
        short = tuple(self._short) or self._long
        window = WindowCheck(Verdict.TOO_SHORT if short else known, self._window, short)
        return Proved(look_ahead, window, self._spent)


@contextmanager
def _without_collections() -> Iterator[None]:
    """Keep the garbage collector from walking through pandas again and again while trades and instances pile up."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
