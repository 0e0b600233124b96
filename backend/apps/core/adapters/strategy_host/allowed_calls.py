"""The system calls that a computation on candles makes. Everything else answers EPERM, also what no kernel has yet.

A list of what is denied would have to name each new call of each new kernel; this one fails on the safe side.
"""

_GROUPS = {
    "memory": "brk mmap munmap mprotect mremap madvise",
    "files that Landlock lets it open, reading": """
        open openat openat2 read readv pread64 preadv preadv2 lseek close close_range dup dup2 dup3 fstat newfstatat
        stat lstat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat getdents getdents64 getcwd
        fadvise64""",
    "its answer": "write writev",
    "waiting": """
        nanosleep clock_nanosleep poll ppoll select pselect6 futex sched_yield restart_syscall""",
    "its own signals": "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack",
    "clocks and counters": """
        clock_gettime clock_getres gettimeofday time times getrusage getcpu sysinfo uname getrandom""",
    "who it is": """
        getpid getppid gettid getuid geteuid getgid getegid getgroups getpgrp getpgid getsid getpriority getrlimit
        sched_getaffinity set_robust_list rseq membarrier""",
    "leaving": "exit exit_group",
}
ALLOWED_CALLS = tuple(" ".join(_GROUPS.values()).split())

# Calls that do many things: which argument says what, and the values let through. What is left out can send a
# signal to anybody of the same user (F_SETOWN, FIOASYNC, FIOSETOWN) or type into a terminal (TIOCSTI).
_DUPFD, _GETFD, _SETFD, _GETFL, _SETFL, _DUPFD_CLOEXEC = 0, 1, 2, 3, 4, 1030
_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONCLEX, _FIOCLEX = 0x5401, 0x5413, 0x541B, 0x5450, 0x5451
ALLOWED_ARGUMENTS = {
    "fcntl": (1, (_DUPFD, _GETFD, _SETFD, _GETFL, _SETFL, _DUPFD_CLOEXEC)),
    "ioctl": (1, (_TCGETS, _TIOCGWINSZ, _FIONREAD, _FIONCLEX, _FIOCLEX)),
    "prlimit64": (2, (0,)),  # reading limits, not setting them
}
