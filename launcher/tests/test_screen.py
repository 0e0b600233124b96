"""What `up` prints of its steps."""

import io

from launcher.screen import Screen


def test_steps_that_run_side_by_side_are_numbered_as_they_end() -> None:
    told = io.StringIO()
    screen = Screen(total_steps=4, done_steps=1, stream=told)
    slow, fast = screen.begin("Migrations"), screen.begin("Échange simulé")
    fast("prêt")
    slow("prêt")
    with screen.step("Comptes", "une minute"):
        pass
    assert [line.partition(" …")[0] for line in told.getvalue().splitlines()] == [
        "[2/4] Échange simulé",
        "[3/4] Migrations",
        "[4/4] Comptes",
        "[4/4] Comptes",
    ]
