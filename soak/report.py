"""What a run says at its end."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from soak.memory import FLAT_MB_PER_DAY, Curve
from soak.plan import Plan
from tests.system.judge import Verdict

_SHOWN = 30


@dataclass
class Report:
    """The figures of one run; `failures` are what stopped it or could not be judged."""

    plan: Plan
    kills: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    curves: Sequence[Curve] = ()
    failures: list[str] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)

    @property
    def differences(self) -> list[str]:
        """Every difference, with what it is about."""
        return [f"{name} : {each}" for name, verdict in self.verdicts.items() for each in verdict.differences]

    @property
    def is_clean(self) -> bool:
        """Whether everything was judged, agrees, and no terminal grows."""
        judged = bool(self.verdicts) and not self.failures
        return judged and not self.differences and all(curve.is_flat for curve in self.curves)

    def french(self) -> str:
        """The report as it is printed."""
        plan, lines = self.plan, []
        lines.append(f"Endurance : {plan.hours:g} h de marché à la vitesse {plan.speed}, graine {plan.seed}.")
        lines.append(f"Arrêts brutaux : {_counts(self.kills)}. Fautes de l'échange : {_counts(self.faults)}.")
        lines.append("Fait : " + ", ".join(f"{count} {what}" for what, count in self.done.items()) + ".")
        for name, verdict in self.verdicts.items():
            wrong = len(verdict.differences)
            compared = ", ".join(f"{what} {count}" for what, count in verdict.compared.items())
            lines.append(f"  {name} : {wrong or 'aucune'} différence{'s' if wrong > 1 else ''} ({compared})")
        lines += [f"    ✗ {each}" for each in self.differences[:_SHOWN]]
        lines += [_of_curve(curve) for curve in self.curves]
        lines += [f"  ✗ {failure}" for failure in self.failures]
        unjudged = "" if any(curve.slope is not None for curve in self.curves) else " ; mémoire non jugée"
        lines.append(f"Verdict : tout concorde{unjudged}." if self.is_clean else "Verdict : ÉCHEC.")
        if not self.is_clean:
            lines.append(
                f"Pour refaire : ./aristobot soak --hours {plan.hours:g} --speed {plan.speed} --seed {plan.seed}"
            )
        return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} × {count}" for name, count in sorted(counter.items())) or "aucun"


def _of_curve(curve: Curve) -> str:
    text = (
        f"  Mémoire {curve.name} : {curve.first_mb:.0f} → {curve.last_mb:.0f} Mo (plus haut {curve.highest_mb:.0f}"
    )
    lives = f"{curve.lives} vie{'s' if curve.lives > 1 else ''})"
    if curve.slope is None:
        return f"{text}, {lives}, vies trop courtes pour une pente"
    judged = "plate" if curve.is_flat else f"✗ CROISSANTE (limite {FLAT_MB_PER_DAY:g})"
    return f"{text}, {lives}, pente {curve.slope:+.1f} Mo par jour de marché : {judged}"
