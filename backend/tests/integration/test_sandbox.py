"""What hostile or clumsy user code can do from its child: nothing, and nobody else notices."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from apps.core.adapters.strategy_host.host import SandboxedStrategyHost
from apps.core.adapters.strategy_host.zygote import Zygote
from apps.strategies.examples.ema_cross import EMA_CROSS
from domain.errors import StrategyError, StrategyMemory, StrategyTimeout
from domain.strategies.contract import CandleWindow, EvaluationJob
from domain.strategies.replay import ReplayJob, ReplayQuestion
from domain.strategies.sample import sample_window
from tests.escapes.assault import NEIGHBOURS, assault, attempt
from tests.escapes.attempts import ATTEMPTS
from tests.escapes.ordinary_user import as_ordinary_user

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKEND = Path(__file__).parents[2]
REFUSED = "refusé par le bac à sable"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncIterator[SandboxedStrategyHost]:
    sandbox = SandboxedStrategyHost(spares=1, cpu_seconds=20, memory_bytes=1 << 28)
    await sandbox.start()
    yield sandbox
    await sandbox.close()


def honest(closes: list[float] | None = None) -> EvaluationJob:
    candles = sample_window(500)
    if closes is not None:
        times = list(range(0, len(closes) * 60_000, 60_000))
        candles = CandleWindow(times, closes, closes, closes, closes, [1.0] * len(closes))
    return EvaluationJob(code=EMA_CROSS, candles=candles, balance=1000.0)


async def test_example_decides_in_the_sandbox(host: SandboxedStrategyHost) -> None:
    answer = await host.evaluate(honest([100.0] * 30 + [90.0, 130.0]))

    assert (answer.should_long, answer.position_size, answer.stop_loss) == (True, 100.0, 0.02)
    assert (await host.validate(EMA_CROSS)).valid


async def test_replay_asks_each_close_of_a_clean_text(host: SandboxedStrategyHost) -> None:
    count = """
calls = 0

class Counts(Strategy):
    def should_long(self):
        global calls
        calls += 1
        return len(self.candles) / calls > 30.5 and self.balance / 0.0 if self.balance else True
"""
    questions = [ReplayQuestion(0, 30, 0.0, None), ReplayQuestion(5, 40, 1.0, None)]
    job = ReplayJob(code=count, params={}, candles=sample_window(60), questions=questions)

    first, second = await host.replay(job)

    assert first.evaluation is not None
    assert first.evaluation.should_long
    assert (second.evaluation, "ZeroDivisionError" in second.error) == (None, True)


async def test_forged_replay_is_refused(host: SandboxedStrategyHost) -> None:
    forged = FORGERY.format(write="""os.write(fd, b'\\0\\0\\0\\x1f{"kind":"replay","answers":[{}]}')""")
    job = ReplayJob(attempt(forged).code, {}, sample_window(60), [ReplayQuestion(0, 60, 0.0, None)] * 2)

    with pytest.raises(StrategyError, match="réponse est refusée"):
        await host.replay(job)


async def test_walls_are_reported(host: SandboxedStrategyHost) -> None:
    walls = host.layers()

    assert set(walls) == {"network", "capabilities", "no_new_privs", "limits", "landlock", "seccomp"}
    assert walls["limits"] == walls["no_new_privs"] == "ok"


async def test_every_escape_is_stopped_and_neighbours_are_answered(host: SandboxedStrategyHost) -> None:
    report = await assault(host)

    check(asdict(report))


async def test_every_escape_is_stopped_for_an_ordinary_user() -> None:
    command = as_ordinary_user([sys.executable, "-m", "tests.escapes.assault"])
    if isinstance(command, str):
        pytest.skip(command)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=BACKEND)
    output, _ = await asyncio.wait_for(process.communicate(), 90)

    report = json.loads(output.splitlines()[-1])

    assert report["uid"] != 0
    check(report)


def check(report: dict[str, Any]) -> None:
    missing = [wall for wall, state in report["layers"].items() if state != "ok"]
    if missing:
        pytest.skip(f"this machine lacks walls: {missing}")
    assert report["not_stopped"] == []
    assert report["tried"] == len(ATTEMPTS)
    assert (report["loops_stopped"], report["neighbours_answered"]) == (3, NEIGHBOURS)


async def test_escapes_left_no_file() -> None:
    places = [Path("/tmp"), Path("/dev/shm")]  # noqa: S108
    assert not [each for place in places if place.is_dir() for each in place.glob("aristobot-escape*")]


async def test_refused_socket_is_explained_in_french(host: SandboxedStrategyHost) -> None:
    with pytest.raises(StrategyError) as caught:
        await host.evaluate(attempt("import socket\nsocket.socket()"))

    assert REFUSED in caught.value.message
    assert caught.value.details["line"] == 4


async def test_four_gigabytes_are_refused(host: SandboxedStrategyHost) -> None:
    with pytest.raises(StrategyMemory, match="mémoire épuisée"):
        await host.evaluate(attempt("return len(np.ones(4 << 27)) > 0"))


async def test_slowly_eaten_memory_is_refused(host: SandboxedStrategyHost) -> None:
    with pytest.raises(StrategyMemory, match="mémoire épuisée"):
        await host.evaluate(attempt("eaten = []\nwhile True:\n    eaten.append(bytearray(1 << 26))"), timeout_s=20)


@pytest.mark.parametrize(
    "body",
    [
        "while True:\n    pass",
        "import time\ntime.sleep(60)",
        "while True:\n    try:\n        while True: pass\n    except BaseException:\n        pass",
        "import signal\nfor n in range(1, 32):\n    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass",
    ],
)
async def test_endless_code_is_stopped_in_time(host: SandboxedStrategyHost, body: str) -> None:
    started = time.monotonic()
    with pytest.raises(StrategyTimeout, match=r"pas de réponse après 0\.4 s"):
        await host.evaluate(attempt(body), timeout_s=0.4)

    assert time.monotonic() - started < 5


async def test_processor_limit_ends_a_child_whatever_the_wall_clock() -> None:
    sandbox = SandboxedStrategyHost(spares=0, cpu_seconds=1)
    try:
        with pytest.raises(StrategyTimeout, match="1 s de calcul"):
            await sandbox.evaluate(attempt("while True:\n    pass"), timeout_s=30)
    finally:
        await sandbox.close()


async def test_output_flood_goes_nowhere(host: SandboxedStrategyHost) -> None:
    answer = await host.evaluate(
        attempt(
            """
            import sys
            for _ in range(200):
                print("x" * 100_000)
                sys.stderr.write("y" * 100_000)
            return True
            """
        )
    )

    assert answer.should_long


# Every open file but the standard ones is the line to the host.
FORGERY = """
import os, pickle
for fd in range(3, 64):
    try:
        {write}
    except OSError:
        pass
os._exit(0)
"""


IMPOSSIBLE = json.dumps(
    {
        "kind": "evaluation",
        "should_long": True,
        "should_short": False,
        "position_size": 10.0,
        "stop_loss": 2.0,  # 200 %: no strategy can answer that, its process can
        "take_profit": 0.0,
        "duration_ms": 1.0,
    }
)


@pytest.mark.parametrize(
    "write",
    [
        "while True: os.write(fd, b'\\xff' * 65536)",
        "os.write(fd, b'\\0\\0\\0\\x20' + pickle.dumps(print) * 2)",
        'os.write(fd, b\'\\0\\0\\0\\x15{"kind":"evaluation"}\')',
        f"text = b{IMPOSSIBLE!r}; os.write(fd, len(text).to_bytes(4) + text)",
    ],
)
async def test_forged_reply_is_refused(host: SandboxedStrategyHost, write: str) -> None:
    with pytest.raises(StrategyError, match="réponse est refusée"):
        await host.evaluate(attempt(FORGERY.format(write=write)))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("import os\nos._exit(0)", "sans répondre (code 0)"),
        ("import ctypes\nctypes.string_at(0)", "signal SIGSEGV"),
        ("def f(): return f()\nreturn f()", "RecursionError"),
        ("raise ValueError('prix introuvable')", "ValueError : prix introuvable"),
        ("raise SystemExit", "SystemExit"),
        ("self.candles['rsi']", "KeyError : 'rsi'"),
    ],
)
async def test_clumsy_code_is_reported(host: SandboxedStrategyHost, body: str, words: str) -> None:
    with pytest.raises(StrategyError) as caught:
        await host.evaluate(attempt(body))

    assert words in caught.value.message


async def test_message_of_user_code_can_be_stored_and_printed(host: SandboxedStrategyHost) -> None:
    with pytest.raises(StrategyError) as caught:
        await host.evaluate(attempt("raise ValueError('a\\0b \\ud800 \\x1b[2J é\u00a0! ' + 'x' * 10**6)"))

    texts = [caught.value.message, *(text for text in caught.value.details.values() if isinstance(text, str))]
    assert all(text.encode() and "\0" not in text and "\x1b" not in text for text in texts)
    assert "é\u00a0!" in caught.value.message
    assert len(caught.value.message) < 10_000


async def test_crashes_are_reported_whichever_news_comes_first(host: SandboxedStrategyHost) -> None:
    crash = attempt("import ctypes\nctypes.string_at(0)")

    outcomes = await asyncio.gather(*(host.evaluate(crash) for _ in range(20)), return_exceptions=True)

    assert all("SIGSEGV" in str(outcome) for outcome in outcomes), outcomes


async def test_spare_killed_while_it_waits_is_not_the_strategys_fault() -> None:
    sandbox = SandboxedStrategyHost(spares=1)
    try:
        await sandbox.start()
        (spare,) = sandbox._spares
        await asyncio.wait_for(spare.reader.readexactly(1), 10)
        (pid,) = _children_of(_zygote_pid(sandbox))
        os.kill(pid, signal.SIGKILL)
        assert await spare.exit_code() == -signal.SIGKILL

        assert (await sandbox.evaluate(attempt("return True"))).should_long
    finally:
        await sandbox.close()


TIME_BOMBS = """
import atexit, os, sys

class Bomb:
    def __del__(self):
        while True: pass

class Hostile(Strategy):
    def should_long(self):
        atexit.register(Bomb().__del__)
        os._exit = sys.exit = lambda code: Bomb().__del__()
        os.bomb = Bomb()
        return True

    def calculate_position_size(self):
        return float(os.getpid())
"""


async def test_child_that_will_not_leave_is_ended_once_it_has_answered(host: SandboxedStrategyHost) -> None:
    answer = await host.evaluate(EvaluationJob(code=TIME_BOMBS, candles=sample_window(60), balance=1000.0))

    assert answer.should_long
    await asyncio.wait_for(_gone([int(answer.position_size)]), 5)


# With much money it calculates for long; with some it waits until its priority is the lowest, taking no processor,
# so that only what is known of its text can lower it. What it would spend is its own priority (19 is the lowest).
_LAZY_OR_NOT = """
import os, time

class Calculates(Strategy):  # {name}
    def should_long(self):
        start = time.process_time()
        while self.balance > 500 and time.process_time() < start + 0.25:
            pass
        end = time.monotonic() + (20 if self.balance > 1 else 0.3)
        while os.getpriority(os.PRIO_PROCESS, 0) < 19 and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.2)  # the news of it is on its way to the host
        return True

    def calculate_position_size(self):
        return float(os.getpriority(os.PRIO_PROCESS, 0))
"""


async def test_text_that_calculated_for_long_starts_behind_the_others(host: SandboxedStrategyHost) -> None:
    async def priority(name: str, balance: float) -> float:
        code = _LAZY_OR_NOT.format(name=name)
        return (await host.evaluate(EvaluationJob(code, sample_window(60), balance), timeout_s=60)).position_size

    usual = await priority("known", 1.0)
    while_long = await priority("known", 1000.0)

    assert usual < while_long == 19
    assert (await priority("known", 2.0), await priority("another", 1.0)) == (19, usual)


async def test_machine_short_of_processes_fails_one_question_not_the_zygote(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_fork() -> int:
        raise BlockingIOError("no more processes")

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    line, line_of_child = socket.socketpair()
    with ours, theirs, line, line_of_child:
        zygote = Zygote(theirs, jail=None, scope={})  # type: ignore[arg-type]
        monkeypatch.setattr(os, "fork", no_fork)

        zygote._spawn(7, os.dup(line_of_child.fileno()), warm=False)

        assert json.loads(ours.recv(4096)) == {"op": "exited", "id": 7, "code": 98}


async def test_nothing_stays_from_one_evaluation_to_the_next(host: SandboxedStrategyHost) -> None:
    body = "import pandas\nseen = getattr(pandas, 'mark', False)\npandas.mark = True\nreturn seen"

    answers = [await host.evaluate(attempt(body)) for _ in range(3)]

    assert [answer.should_long for answer in answers] == [False, False, False]


async def test_killed_zygote_is_replaced_and_the_question_asked_again() -> None:
    sandbox = SandboxedStrategyHost(spares=1)
    try:
        await sandbox.start()
        question = asyncio.create_task(
            sandbox.evaluate(attempt("import time\ntime.sleep(0.5)\nreturn True"), timeout_s=10)
        )
        await asyncio.sleep(0)
        os.kill(_zygote_pid(sandbox), signal.SIGKILL)

        assert (await question).should_long
        assert (await sandbox.evaluate(honest())).should_short in (True, False)
    finally:
        await sandbox.close()


async def test_close_leaves_no_process() -> None:
    sandbox = SandboxedStrategyHost(spares=2)
    await sandbox.start()
    zygote = _zygote_pid(sandbox)
    await sandbox.evaluate(honest())  # the spares were asked for before it: they are there
    children = _children_of(zygote)
    assert len(children) >= 1

    await sandbox.close()

    await asyncio.wait_for(_gone([zygote, *children]), 5)


async def test_dead_host_takes_its_children_along() -> None:
    program = (
        "import asyncio, os\n"
        "from apps.core.adapters.strategy_host.host import SandboxedStrategyHost\n"
        "async def main():\n"
        "    host = SandboxedStrategyHost(spares=2)\n"
        "    await host.start()\n"
        "    await host.validate('a = 1')\n"
        "    print(host._zygote._process.pid, flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=BACKEND
    )
    assert process.stdout is not None
    while not (line := (await asyncio.wait_for(process.stdout.readline(), 30)).strip()).isdigit():
        assert line, "the host ended"  # its log goes to the same pipe
    zygote = int(line)
    children = _children_of(zygote)
    assert len(children) >= 1

    process.kill()
    await process.wait()

    await asyncio.wait_for(_gone([zygote, *children]), 5)


def _zygote_pid(sandbox: SandboxedStrategyHost) -> int:
    zygote = sandbox._zygote
    assert zygote is not None
    assert zygote._process is not None
    return zygote._process.pid


def _children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def _gone(pids: list[int]) -> None:
    while any(_runs(pid) for pid in pids):  # noqa: ASYNC110
        await asyncio.sleep(0.02)  # another process's end cannot be awaited; the caller bounds this


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
