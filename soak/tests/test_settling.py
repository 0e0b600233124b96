"""A run that cannot settle still says what was compared."""

from collections import Counter
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from soak import run
from soak.plan import Plan
from soak.report import Report
from tests.system.instance import wait_while_it_moves
from tests.system.judge import Verdict

PLAN = Plan(hours=1, speed=60, seed=1)


def test_waiting_goes_on_while_something_moves() -> None:
    left = iter(range(5, -1, -1))
    seen = [5]

    def is_empty() -> bool:
        seen[0] = next(left)
        return seen[0] == 0

    wait_while_it_moves(is_empty, progress=lambda: seen[0], standstill_s=0.6, what=lambda: "", period_s=0.001)
    with pytest.raises(AssertionError, match=r"stands still for 0 s at 3: three calls wait"):
        wait_while_it_moves(lambda: False, progress=lambda: 3, standstill_s=0, what=lambda: "three calls wait")


def test_run_that_cannot_settle_is_compared_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError("608 calls wait")

    def unreadable() -> Verdict:
        raise httpx.ConnectError("no exchange")

    agreed = Verdict(compared=Counter({"status": 12}))
    caller = SimpleNamespace(settle=fail, judge=lambda: agreed)
    desk = SimpleNamespace(stop_bots=lambda sell: None, simex_url="http://127.0.0.1:9", count=lambda rows: 0)
    monkeypatch.setattr(run, "Hand", lambda desk, seed: SimpleNamespace(leave_everything=lambda: None))
    monkeypatch.setattr(httpx, "delete", lambda *_, **__: httpx.Response(200, request=httpx.Request("DELETE", "/")))
    monkeypatch.setattr(run, "judges", lambda desk: {"ordres": lambda: agreed, "comptes": unreadable})
    report = Report(PLAN)
    run._settle(cast("Any", desk), cast("Any", caller), report)
    run._judge(cast("Any", desk), cast("Any", caller), report)
    assert list(report.verdicts) == ["appels", "ordres"]
    assert [failure.split(" : ")[0] for failure in report.failures] == ["AssertionError", "comptes"]
    assert not report.is_clean
    assert "ordres : aucune différence (status 12)" in report.french()
    assert "608 calls wait" in report.french()
