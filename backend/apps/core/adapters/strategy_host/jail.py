"""Closes the jail around a freshly forked process, for good.

Invariant: what `Jail.close` does cannot be undone by the process itself; a layer that worked when it was
probed at start-up and fails later stops the child before it reads user code.

Layers, in order: capabilities dropped, no_new_privs, resource limits, Landlock (read-only Python trees,
no TCP, no signal outwards), seccomp (an allow-list; no thread either, which `demote` would not reach). The
network namespace is entered once by the zygote, for all. A layer that this kernel lacks is reported with its
reason, never silently skipped.
"""

import ctypes
import errno
import os
import resource
import sys
from collections.abc import Callable, Mapping
from typing import Any

from apps.core.adapters.strategy_host.allowed_calls import ALLOWED_ARGUMENTS, ALLOWED_CALLS

OK = "ok"
_PR_SET_PDEATHSIG = 1
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_SECCOMP_MODE_FILTER = 2
_BPF_INSTRUCTION_BYTES = 8
_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_OPEN_FILES = 64


class JailFailed(Exception):
    """A layer that is available refused to close."""


class Jail:
    """The layers, prepared before the fork so that closing them costs well under a millisecond.

    Args:
        memory_bytes: address space a child may add to what it inherits.
        cpu_seconds: processor time of a child, its whole life.
    """

    def __init__(self, *, memory_bytes: int, cpu_seconds: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._memory_bytes = memory_bytes
        self._cpu_seconds = cpu_seconds
        self._missing: dict[str, str] = {}
        self._network = enter_empty_network(self._libc)
        self._filter = self._prepare("seccomp", _syscall_filter)
        self._ruleset = self._prepare("landlock", _readonly_ruleset)

    def close(self) -> dict[str, str]:
        """Close every layer around this process; return each one's state, "ok" or why it is missing."""
        states = {"network": self._network}
        for name, apply in self._layers():
            states[name] = self._missing.get(name) or self._apply(apply)
        return states

    def require(self, states: Mapping[str, str], expected: Mapping[str, str]) -> None:
        """Raises JailFailed when a layer that closed at the probe did not close now."""
        for name, state in expected.items():
            if state == OK and states.get(name) != OK:
                raise JailFailed(f"{name}: {states.get(name)}")

    def _layers(self) -> list[tuple[str, Callable[[], None]]]:
        return [
            ("capabilities", self._drop_capabilities),
            ("no_new_privs", self._no_new_privs),
            ("limits", self._limit_resources),
            ("landlock", lambda: self._ruleset.restrict()),
            ("seccomp", self._filter_calls),
        ]

    def _prepare(self, name: str, make: Callable[[], Any]) -> Any:
        # ImportError, RuntimeError: library absent; OSError: the kernel lacks it.
        try:
            return make()
        except (ImportError, RuntimeError, OSError) as exc:
            self._missing[name] = f"{type(exc).__name__}: {exc}"
            return None

    def _apply(self, apply: Callable[[], None]) -> str:
        try:
            apply()
        except (OSError, ValueError, RuntimeError) as exc:
            return f"{type(exc).__name__}: {exc}"
        return OK

    def _drop_capabilities(self) -> None:
        header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
        nothing = (ctypes.c_uint32 * 6)()
        _check(self._libc.capset(header, nothing))

    def _no_new_privs(self) -> None:
        _check(self._libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))

    def _filter_calls(self) -> None:
        # The compiled program, not libseccomp's load(), which compiles it anew (3.5 ms). No TSYNC: right after
        # the fork from a one-threaded zygote there is no other thread, and the filter lets none be made.
        _check(self._libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(self._filter), 0, 0))

    def _limit_resources(self) -> None:
        inherited = _address_space_bytes()
        limits = {
            resource.RLIMIT_CPU: (self._cpu_seconds, self._cpu_seconds + 1),
            resource.RLIMIT_AS: (inherited + self._memory_bytes,) * 2,
            resource.RLIMIT_FSIZE: (0, 0),
            resource.RLIMIT_CORE: (0, 0),
            resource.RLIMIT_NOFILE: (_OPEN_FILES, _OPEN_FILES),
            resource.RLIMIT_MEMLOCK: (0, 0),
        }
        for kind, (soft, hard) in limits.items():
            _, allowed = resource.getrlimit(kind)
            if allowed != resource.RLIM_INFINITY:
                soft, hard = min(soft, allowed), min(hard, allowed)
            resource.setrlimit(kind, (soft, hard))


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies; exit now if that has happened already."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(1)


def enter_empty_network(libc: Any) -> str:
    """Move this process, and those it will fork, to a network without any interface."""
    # Plain first, for root; then inside a user namespace, for everybody else (and a container's weak root).
    for flags in (_CLONE_NEWNET, _CLONE_NEWNET | _CLONE_NEWUSER):
        if libc.unshare(flags) == 0:
            return OK
    return os.strerror(ctypes.get_errno())


def _readonly_ruleset() -> Any:
    from landlockpy import AccessFS, Ruleset, Scope, abi_version

    if abi_version() == 0:
        raise OSError(errno.ENOSYS, "Landlock absent de ce noyau")
    rules = Ruleset(scoped=Scope.ABSTRACT_UNIX_SOCKET | Scope.SIGNAL)
    for path in _python_trees():
        folder = os.path.isdir(path)
        rules.allow_path(path, AccessFS.READ_FILE | AccessFS.READ_DIR if folder else AccessFS.READ_FILE)
    return rules


def _python_trees() -> list[str]:
    libraries = [f"{prefix}/{name}" for prefix in (sys.prefix, sys.base_prefix) for name in ("lib", "lib64")]
    system = [
        "/usr/lib",
        "/usr/lib64",
        "/lib",
        "/lib64",
        "/usr/share/zoneinfo",
        "/etc/localtime",
        "/etc/ld.so.cache",
    ]
    return [path for path in dict.fromkeys([*libraries, *system]) if os.path.exists(path)]


class _FilterProgram(ctypes.Structure):
    """The kernel's `struct sock_fprog`."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _syscall_filter() -> _FilterProgram:
    import pyseccomp as seccomp

    # Calls of another architecture's numbering (int 0x80, x32) end the process: libseccomp's default.
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.EPERM))
    for name in ALLOWED_CALLS:
        _allow(rules, name)
    for name, (argument, values) in ALLOWED_ARGUMENTS.items():
        for value in values:
            _allow(rules, name, seccomp.Arg(argument, seccomp.EQ, value))
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as compiled:
        rules.export_bpf(compiled)
        compiled.seek(0)
        code = compiled.read()
    return _FilterProgram(len(code) // _BPF_INSTRUCTION_BYTES, code)


def _allow(rules: Any, name: str, *arguments: Any) -> None:
    import pyseccomp as seccomp

    try:
        rules.add_rule(seccomp.ALLOW, name, *arguments)
    except (OSError, ValueError):
        return  # this architecture or this libseccomp does not know the call: it stays denied


def _address_space_bytes() -> int:
    with open("/proc/self/statm", "rb") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
