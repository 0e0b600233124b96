"""The gate's arithmetic: a stage that broke is never counted as passed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from launcher import gate
from launcher.gate import Counts, count, read_junit
from launcher.gate_stages import GROUPS, Stage, stages
from launcher.install import ROOT
from launcher.main import main

JUNIT = """<testsuites><testsuite>
<testcase name="a"/><testcase name="b"><failure/></testcase><testcase name="c"><error/></testcase>
<testcase name="d"><skipped message="no recording"/></testcase><testcase name="e"/>
</testsuite></testsuites>"""


def stage(*, tests: bool, needs: tuple[Path, ...] = (), command: tuple[str, ...] = ()) -> Stage:
    return Stage(group="unit", name="s", command=command, cwd=Path.cwd(), is_pytest=tests, needs=needs)


def test_report_is_counted_case_by_case(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(JUNIT)
    assert read_junit(tmp_path / "r.xml") == Counts(passed=2, failed=2, skipped=1)


@pytest.mark.parametrize(
    ("report", "code", "expected"),
    [
        ("<testsuite><testcase/></testsuite>", 0, Counts(passed=1)),
        ("<testsuite><testcase/></testsuite>", 1, Counts(passed=1, failed=1)),  # died after its tests
        ("<testsuite/>", 0, Counts(failed=1)),  # no test ran: nothing was proved
        (None, 0, Counts(failed=1)),  # no report
    ],
)
def test_test_stage_without_proof_is_a_failure(
    tmp_path: Path, report: str | None, code: int, expected: Counts
) -> None:
    file = tmp_path / "r.xml"
    if report is not None:
        file.write_text(report)
    assert count(stage(tests=True), code, file) == expected


def test_lint_stage_counts_as_one(tmp_path: Path) -> None:
    assert count(stage(tests=False), 0, tmp_path) == Counts(passed=1)
    assert count(stage(tests=False), 2, tmp_path) == Counts(failed=1)


def test_every_group_has_stages_in_order_and_lint_comes_first() -> None:
    groups = [each.group for each in stages()]
    assert list(dict.fromkeys(groups)) == list(GROUPS)


def test_last_line_is_the_sum_and_absent_stages_are_not_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    passing = stage(tests=False, command=(sys.executable, "-c", ""))
    failing = stage(tests=False, command=(sys.executable, "-c", "raise SystemExit(1)"))
    absent = stage(tests=True, needs=(ROOT / "not-written-yet",), command=("false",))
    monkeypatch.setattr(gate, "stages", lambda: [passing, failing, absent])
    assert gate.run_inside([], []) == 1
    out = capfd.readouterr().out
    assert out.splitlines()[-1] == "1 passed, 1 failed, 1 skipped"
    assert "absent : not-written-yet n'existe pas" in out


def test_summary_names_what_failed_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    junit = (
        '<testsuite><testcase/><testcase classname="tests.orders" name="sent_once"><failure message="2 &#10;sent"/>'
    )
    write = f"import sys; open(sys.argv[1], 'w').write({junit + '</testcase></testsuite>'!r}); raise SystemExit(1)"
    monkeypatch.setattr(
        gate, "stages", lambda: [stage(tests=True, command=(sys.executable, "-c", write, "{report}"))]
    )
    assert gate.run_inside([], []) == 1
    mark, failure = capfd.readouterr().out.splitlines()[-4:-2]
    assert mark.startswith("✗")
    assert failure.strip() == "✗ tests.orders › sent_once : 2 sent"


def test_pytest_arguments_reach_pytest_stages_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = tmp_path / "seen"
    record = f"import sys; open({str(seen)!r}, 'a').write(' '.join(sys.argv[1:]) + ';')"
    both = [stage(tests=kind, command=(sys.executable, "-c", record)) for kind in (True, False)]
    monkeypatch.setattr(gate, "stages", lambda: both)
    assert main(["_gate", "unit", "--", "-k", "name"]) == 1
    assert seen.read_text() == "-k name;;"


def test_unknown_stage_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["test", "everything"])
    assert caught.value.code == 2
    assert "attendu lint, unit" in capsys.readouterr().err
