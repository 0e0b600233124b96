"""A clean process that holds Python, pandas and the indicators in memory, and forks a child per question.

Run by `host` with an empty environment: `python -m apps.core.adapters.strategy_host.zygote FD MEMORY CPU`.
It has one thread (a fork copies one only, and a second would stay out of the jail), never sees user code,
and ends when the host's end of the control socket closes.
"""

import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from apps.core.adapters.strategy_host.child import Talk, answer_one, serve, user_scope, warm_up
from apps.core.adapters.strategy_host.jail import Jail

MAX_MESSAGE = 4096
_LOWEST_PRIORITY = 19
_SMALL_SHARE = 10  # a tenth of what anybody else gets: a slow strategy ends in time even where others never rest
_EXIT_NOT_FORKED = 98
_TO_ALL = {"stand_still": signal.SIGSTOP, "go_on": signal.SIGCONT}
_WARM_UP_ROUNDS = 10


class Zygote:
    """Forks, kills and reaps on order of the host; every child's end is reported with its wait status."""

    def __init__(
        self, control: socket.socket, jail: Jail, scope: Mapping[str, Any], talk: Talk = answer_one
    ) -> None:
        self._control = control
        self._jail = jail
        self._scope = scope
        self._talk = talk
        self._pids: dict[int, int] = {}
        self._ids: dict[int, int] = {}
        self._used_before: dict[int, float] = {}
        self._layers: dict[str, str] = {}

    def run(self) -> None:
        """Serve until the host is gone."""
        self._layers = self._probe_layers()
        self._send({"op": "ready", "layers": self._layers})
        wake_reader, wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        poll.register(wake_reader, select.POLLIN)
        while True:
            ready = {fd for fd, _ in poll.poll()}
            if wake_reader in ready:
                os.read(wake_reader, 4096)
                self._reap()
            if self._control.fileno() in ready and not self._obey():
                break
        for pid in self._ids:
            os.kill(pid, signal.SIGKILL)

    def _obey(self) -> bool:
        try:
            data, fds, _, _ = socket.recv_fds(self._control, MAX_MESSAGE, 1)
        except ConnectionError:
            return False
        if not data:
            return False
        order = json.loads(data)
        if order["op"] == "spawn":
            self._spawn(order["id"], fds[0], warm=order["warm"])
            return True
        if order["op"] in _TO_ALL:
            for each in self._ids:  # a dead one keeps its pid until it is reaped
                os.kill(each, _TO_ALL[order["op"]])
            return True
        pid = self._pids.get(order["id"])  # None: it is dead and reaped, its pid may be another's by now
        if pid is not None and order["op"] == "kill":
            os.kill(pid, signal.SIGKILL)
        elif pid is not None and order["op"] == "demote":
            _give_way(pid)
        elif pid is not None and self._used_since_question(pid) > order["after_s"]:
            _give_way(pid)
            self._send({"op": "long", "id": order["id"]})
        return True

    def _used_since_question(self, pid: int) -> float:
        """The first look comes with the question: what the child calculated before was its own warming up."""
        used = _cpu_seconds(pid)
        return used - self._used_before.setdefault(pid, used)

    def _spawn(self, number: int, fd: int, *, warm: bool) -> None:
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as exc:  # the machine is short of processes or memory: this question fails, not all
            os.close(fd)
            os.write(2, f"sandbox.fork_failed {exc}\n".encode())
            self._send({"op": "exited", "id": number, "code": _EXIT_NOT_FORKED})
            return
        if pid == 0:
            _become_child(lambda: self._serve(fd, warm, parent))
        os.close(fd)
        self._pids[number] = pid
        self._ids[pid] = number

    def _serve(self, fd: int, warm: bool, parent: int) -> int:
        return serve(
            fd,
            warm=warm,
            jail=self._jail,
            layers=self._layers,
            parent_pid=parent,
            scope=self._scope,
            talk=self._talk,
        )

    def _reap(self) -> None:
        while self._ids:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._ids.pop(pid)
            del self._pids[number]
            self._used_before.pop(pid, None)
            self._send({"op": "exited", "id": number, "code": os.waitstatus_to_exitcode(status)})

    def _probe_layers(self) -> dict[str, str]:
        """Close the jail in a throw-away child and return what closed."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            _become_child(lambda: _report_layers(self._jail, writer))
        os.close(writer)
        with os.fdopen(reader, "rb") as answer:
            text = answer.read()
        os.waitpid(pid, 0)
        return dict(json.loads(text))

    def _send(self, message: Mapping[str, Any]) -> None:
        self._control.send(json.dumps(message).encode())


def _cpu_seconds(pid: int) -> float:
    """Return the processor time a child has used."""
    return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python does not wrap


def _give_way(pid: int) -> None:
    """Let a child that calculates for long run only when nobody else wants the processor, and on one alone."""
    os.setpriority(os.PRIO_PROCESS, pid, _LOWEST_PRIORITY)
    if not hasattr(os, "sched_setaffinity"):  # not Linux
        return
    os.sched_setaffinity(pid, {max(os.sched_getaffinity(0))})
    os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))  # whoever wakes up takes its place at once
    try:
        # With autogroups (the default of most systems) a priority counts within a session only: its own, here.
        with open(f"/proc/{pid}/autogroup", "w") as share:
            share.write(str(_SMALL_SHARE))
    except OSError:
        return  # no autogroups, or asked too soon after another child's: the host asks again while it calculates


def _report_layers(jail: Jail, writer: int) -> int:
    states = jail.close()
    os.write(writer, json.dumps(states).encode())
    return 0


def _become_child(work: Any) -> None:
    """Run `work` in a forked process and leave without unwinding into the zygote's own frames."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        code = work()
    finally:
        os._exit(code)


def count_threads() -> int:
    return len(os.listdir("/proc/self/task"))


def main(arguments: list[str], *, talk: Talk = answer_one, prepared: Callable[[], None] = lambda: None) -> None:
    """Prepare everything that children inherit, then serve.

    Args:
        talk: what each child says with the host, inside its jail.
        prepared: called once the imports are done, before the first fork.
    """
    control = socket.socket(fileno=int(arguments[0]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's affair: we end with the host
    _be_the_first_killed_when_memory_is_short()
    scope = user_scope()
    for _ in range(_WARM_UP_ROUNDS):
        warm_up(scope)
    threads = count_threads()
    if threads != 1:
        failure = f"{threads} fils d'exécution avant le bac à sable, 1 attendu"
        control.send(json.dumps({"op": "failed", "reason": failure}).encode())
        return
    jail = Jail(memory_bytes=int(arguments[1]), cpu_seconds=int(arguments[2]))
    prepared()
    gc.collect()
    gc.freeze()  # children then do not touch, hence do not copy, the pages of what is already loaded
    Zygote(control, jail, scope, talk).run()


def _be_the_first_killed_when_memory_is_short() -> None:
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("900")
    except OSError:
        return  # a comfort, not a wall


if __name__ == "__main__":
    main(sys.argv[1:])
