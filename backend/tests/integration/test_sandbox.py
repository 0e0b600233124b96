"""What hostile or clumsy user code can do from its child: nothing, and nobody else notices."""

import asyncio
import os
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from apps.core.adapters.strategy_host.host import SandboxedStrategyHost
from apps.strategies.examples.ema_cross import EMA_CROSS
from domain.errors import StrategyError, StrategyMemory, StrategyTimeout
from domain.strategies.contract import CandleWindow, EvaluationJob
from domain.strategies.sample import sample_window

pytestmark = pytest.mark.asyncio(loop_scope="module")

REFUSED = "refusé par le bac à sable"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncIterator[SandboxedStrategyHost]:
    sandbox = SandboxedStrategyHost(spares=1, cpu_seconds=20)
    await sandbox.start()
    yield sandbox
    await sandbox.close()


def attempt(body: str) -> EvaluationJob:
    """A strategy that runs `body` when it is asked whether to buy."""
    code = "class Hostile(Strategy):\n    def should_long(self):\n" + textwrap.indent(
        textwrap.dedent(body), " " * 8
    )
    return EvaluationJob(code=code, candles=sample_window(60), balance=1000.0)


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


async def test_walls_are_reported(host: SandboxedStrategyHost) -> None:
    walls = host.layers()

    assert set(walls) == {"network", "capabilities", "no_new_privs", "limits", "landlock", "seccomp"}
    assert walls["limits"] == walls["no_new_privs"] == "ok"


# Each body returns False or raises when it is stopped; it returns True when it got through.
ESCAPES = {
    "tcp": "import socket; socket.create_connection(('127.0.0.1', 22), 1); return True",
    "udp": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)); return True",
    "unix socket": "import socket; socket.socket(socket.AF_UNIX); return True",
    "subprocess": "import subprocess; subprocess.run(['/bin/true']); return True",
    "os.system": "import os; return os.system('true') == 0",
    "fork": "import os; pid = os.fork(); return True",
    "posix_spawn": "import os; os.posix_spawn('/bin/true', ['true'], {}); return True",
    "multiprocessing": "import multiprocessing as m; p = m.Process(target=print); p.start(); return True",
    "kill the parent": "import os; os.kill(os.getppid(), 9); return True",
    "signal a group": "import os; os.killpg(0, 9); return True",
    "write in /tmp": "open('/tmp/aristobot-escape', 'w').write('x'); return True",
    "write beside us": "import domain; open(domain.__file__, 'a'); return True",
    "delete": "import os, pandas; os.unlink(pandas.__file__); return True",
    "make a folder": "import os; os.mkdir('/tmp/aristobot-escape-folder'); return True",
    "read accounts": "open('/etc/passwd').read(); return True",
    "read own environment": "open('/proc/self/environ').read(); return True",
    "read the parent's environment": "import os; open(f'/proc/{os.getppid()}/environ').read(); return True",
    "read the parent's memory": "import os; open(f'/proc/{os.getppid()}/mem', 'rb').read(1); return True",
    "list the root": "import os; os.listdir('/'); return True",
    "raise its own limits": "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9, 9)); return True",
    "give its processors back": "import os; os.sched_setaffinity(0, {0}); return True",
    "memory file": "import os; os.memfd_create('x'); return True",
    "import the settings": "import aristobot.settings; return True",
    "import django models": "import apps.accounts.models; return True",
    "ctypes fork": "import ctypes; return ctypes.CDLL(None).syscall(57) >= 0",
    "ctypes socket": "import ctypes; return ctypes.CDLL(None).socket(2, 1, 0) >= 0",
    "ctypes survive the parent": "import ctypes; return ctypes.CDLL(None).prctl(1, 0, 0, 0, 0) == 0",
    "leave the namespace": "import ctypes; return ctypes.CDLL(None).unshare(0x10000000) == 0",
    "files of other processes": """
        import os
        held = 0
        for fd in range(3, 1024):
            try:
                os.fstat(fd)
                held += 1
            except OSError:
                pass
        return held > 1  # one is its own line to the host
    """,
    "keys in the environment": """
        import os
        return any(word in name for name in os.environ for word in ('SECRET', 'DATABASE', 'REDIS', 'TOKEN', 'KEY'))
    """,
}


@pytest.mark.parametrize("name", ESCAPES)
async def test_escape_is_stopped(host: SandboxedStrategyHost, name: str) -> None:
    missing = [wall for wall, state in host.layers().items() if state != "ok"]
    if missing:
        pytest.skip(f"this machine lacks walls: {missing}")

    try:
        answer = await host.evaluate(attempt(ESCAPES[name]))
    except StrategyError:
        return
    assert not answer.should_long, f"{name} got through"


async def test_escapes_left_no_file() -> None:
    assert not [name for name in os.listdir("/tmp") if name.startswith("aristobot-escape")]  # noqa: S108


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


@pytest.mark.parametrize(
    "write",
    [
        "while True: os.write(fd, b'\\xff' * 65536)",
        "os.write(fd, b'\\0\\0\\0\\x20' + pickle.dumps(print) * 2)",
        'os.write(fd, b\'\\0\\0\\0\\x15{"kind":"evaluation"}\')',
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


async def test_nothing_stays_from_one_evaluation_to_the_next(host: SandboxedStrategyHost) -> None:
    body = "import pandas\nseen = getattr(pandas, 'mark', False)\npandas.mark = True\nreturn seen"

    answers = [await host.evaluate(attempt(body)) for _ in range(3)]

    assert [answer.should_long for answer in answers] == [False, False, False]


async def test_good_strategies_do_not_wait_for_spinning_ones(host: SandboxedStrategyHost) -> None:
    spinning = [asyncio.create_task(host.evaluate(attempt("while True: pass"), timeout_s=6)) for _ in range(3)]
    try:
        answers = await asyncio.wait_for(asyncio.gather(*(host.evaluate(honest()) for _ in range(10))), 5)
        assert len(answers) == 10
        assert not any(task.done() for task in spinning)
    finally:
        outcomes = await asyncio.gather(*spinning, return_exceptions=True)
    assert all(isinstance(outcome, StrategyTimeout) for outcome in outcomes)


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
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
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
