"""Attempts to leave the sandbox. Each body is that of a function a strategy calls: True when it got through.

One that is stopped raises, returns False or is killed. `reached` tells whether the kernel looked at a call's
arguments (here deliberately wrong ones, so that a hole in the wall would do no harm to the machine that tests).
"""

import platform

# Found by every body. System call numbers are x86-64's.
PREAMBLE = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)

def reached(number, *arguments):
    ctypes.set_errno(0)
    done = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return done >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.EACCES, errno.ENOSYS)

PARENT = os.getppid()
NOWHERE = '/tmp/aristobot-escape-from'  # is not there: a call that gets through says so
"""

_NETWORK = {
    "tcp": "import socket; socket.create_connection(('127.0.0.1', 22), 1); return True",
    "udp": "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9)); return True",
    "unix socket": "import socket; socket.socket(socket.AF_UNIX).connect('/run/x'); return True",
    "abstract socket": "import socket; socket.socket(socket.AF_UNIX).connect(b'\\0x'.decode()); return True",
    "netlink": "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); return True",
    "socketpair, to pass files": "import socket; socket.socketpair(); return True",
    "name lookup": "import socket; socket.getaddrinfo('example.org', 80); return True",
    "http library": "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/', timeout=1); return True",
    "asyncio": "import asyncio; asyncio.new_event_loop(); return True",
    "ctypes socket": "return libc.socket(2, 1, 0) >= 0",
}

_FILES = {
    "write in /tmp": "open('/tmp/aristobot-escape', 'w').write('x'); return True",
    "write in shared memory": "open('/dev/shm/aristobot-escape', 'w').write('x'); return True",
    "write beside us": "import domain; open(domain.__file__, 'a'); return True",
    "write into a library": "import pandas; open(pandas.__file__, 'a'); return True",
    "delete": "os.unlink(NOWHERE); return True",
    "empty a file": "os.truncate(NOWHERE, 0); return True",
    "rename": "os.rename(NOWHERE, NOWHERE + '.old'); return True",
    "make a folder": "os.mkdir('/tmp/aristobot-escape-folder'); return True",
    "symbolic link": "os.symlink('/etc/passwd', '/tmp/aristobot-escape-link'); return True",
    "hard link": "os.link(NOWHERE, NOWHERE + '-hard'); return True",
    "change a mode": "os.chmod(NOWHERE, 0o644); return True",
    "change an owner": "os.chown(NOWHERE, 0, 0); return True",
    "change a date": "os.utime(NOWHERE); return True",
    "set an attribute": "os.setxattr(NOWHERE, 'user.x', b'x'); return True",
    "set an attribute, newer call": "return reached(463, -1, 0, 0, 0, 0, 0)",
    "change file flags, newest call": "return reached(469, -1, 0, 0, 0, 0)",
    "make a device": "os.mknod('/tmp/aristobot-escape-node'); return True",
    "read accounts": "open('/etc/passwd').read(); return True",
    "read accounts through ..": "import os.path, pandas; d = os.path.dirname(pandas.__file__); "
    "open(d + '/..' * 30 + '/etc/passwd').read(); return True",
    "read accounts from an open folder": """
        import pandas
        fd = os.open(os.path.dirname(pandas.__file__), os.O_RDONLY)
        os.open('../' * 30 + 'etc/passwd', os.O_RDONLY, dir_fd=fd)
        return True
    """,
    "read our own program": "import domain; open(domain.__file__).read(); return True",
    "list the root": "os.listdir('/'); return True",
    "list the temporary files": "os.listdir('/tmp'); return True",
    "terminal": "os.open('/dev/tty', os.O_RDWR); return True",
    "device": "os.open('/dev/zero', os.O_RDWR); return True",
    "file by its handle": "return reached(304, -100, 0, 0)",
    "leave the folder": "os.chdir('/'); return True",
}

_PROC = {
    "own environment": "open('/proc/self/environ').read(); return True",
    "own memory as a file": "open('/proc/self/mem', 'rb+'); return True",
    "own memory map": "open('/proc/self/maps').read(); return True",
    "root through /proc": "open('/proc/self/root/etc/passwd').read(); return True",
    "parent's environment": "open(f'/proc/{PARENT}/environ').read(); return True",
    "parent's memory": "open(f'/proc/{PARENT}/mem', 'rb').read(1); return True",
    "parent's command": "open(f'/proc/{PARENT}/cmdline').read(); return True",
    "parent's files": "os.listdir(f'/proc/{PARENT}/fd'); return True",
    "a file of the parent": "os.readlink(f'/proc/{PARENT}/fd/3'); return True",
    "list of processes": "os.listdir('/proc'); return True",
    "kernel settings": "open('/proc/sys/kernel/core_pattern', 'w'); return True",
    "control groups": "os.listdir('/sys/fs/cgroup'); return True",
}

_PROCESSES = {
    "subprocess": "import subprocess; subprocess.run(['/bin/true']); return True",
    "os.system": "return os.system('true') == 0",
    "exec": "os.execv('/bin/true', ['true'])",
    "fork": "os.fork(); return True",
    "vfork": "return reached(58)",
    "clone": "return reached(56, 17, 0, 0, 0, 0)",
    "clone3": "return reached(435, 0, 0)",
    "posix_spawn": "os.posix_spawn('/bin/true', ['true'], {}); return True",
    "multiprocessing": "import multiprocessing as m; m.Process(target=print).start(); return True",
    "thread": "import threading; threading.Thread(target=print).start(); return True",
    "pool of threads": "from concurrent.futures import ThreadPoolExecutor as P; P().submit(print); return True",
    "memory file to execute": "os.memfd_create('x'); return True",
    "execveat": "return reached(322, -1, 0, 0, 0, 0)",
}

_OTHERS = {
    "kill the parent": "os.kill(PARENT, 0); return True",
    "signal a group": "os.killpg(0, 0); return True",
    "signal everybody": "os.kill(-1, 0); return True",
    "signal a thread of the parent": "return reached(234, PARENT, PARENT, 0)",
    "queue a signal": "return reached(129, PARENT, 0, 0)",
    "signal by owning a file": "import fcntl; fcntl.fcntl(0, fcntl.F_SETOWN, PARENT); return True",
    "choose that signal": "import fcntl; fcntl.fcntl(0, fcntl.F_SETSIG, 9); return True",
    "own a file by ioctl": "import fcntl; fcntl.ioctl(0, 0x8901, b'\\0\\0\\0\\0'); return True",
    "type into a terminal": "import fcntl; fcntl.ioctl(0, 0x5412, b'x'); return True",
    "handle on the parent": "os.pidfd_open(PARENT); return True",
    "take a file of the parent": "return reached(438, -1, 0, 0)",
    "ptrace the parent": "return reached(101, 16, PARENT, 0, 0)",
    "be traced": "return reached(101, 0, 0, 0, 0)",
    "read the parent's memory by call": "return reached(310, PARENT, 0, 0, 0, 0, 0)",
    "write the parent's memory by call": "return reached(311, PARENT, 0, 0, 0, 0, 0)",
    "compare processes": "return reached(312, PARENT, os.getpid(), 0, 0, 0)",
    "lower the parent's priority": "os.setpriority(os.PRIO_PROCESS, PARENT, 19); return True",
    "move the parent": "os.sched_setaffinity(PARENT, {0}); return True",
    "shared memory": """
        from multiprocessing.shared_memory import SharedMemory
        SharedMemory('aristobot-escape', True, 9)
        return True
    """,
    "shared memory, old": "return reached(29, 1, 4096, 0o1600)",
    "message queue, old": "return reached(68, 1, 0o1600)",
    "semaphore, old": "return reached(64, 1, 1, 0o1600)",
    "posix queue": "return reached(240, 0, 0, 0, 0)",
}

_KERNEL = {
    "io_uring": "return reached(425, 0, 0)",
    "bpf": "return reached(321, 0, 0, 0)",
    "userfaultfd": "return reached(323, 1)",
    "keyring": "return reached(250, 0, -3, 0, 0, 0)",
    "add a key": "return reached(248, 0, 0, 0, 0, -3)",
    "performance counters": "return reached(298, 0, 0, -1, -1, 0)",
    "asynchronous i/o": "return reached(206, 1, 0)",
    "kernel timer": "return reached(222, 99, 0, 0)",
    "watch files": "return reached(253) or reached(294, 0)",
    "mount": "return reached(165, 0, 0, 0, 0, 0)",
    "mount, newer": "return reached(430, 0, 0) or reached(428, -1, 0, 0)",
    "list mounts": "return reached(458, 0, 0, 0, 0)",
    "user namespace": "return libc.unshare(0x10000000) == 0",
    "network namespace": "return libc.unshare(0x40000000) == 0",
    "enter a namespace": "return reached(308, -1, 0)",
    "chroot": "os.chroot('/tmp'); return True",
    "pivot_root": "return reached(155, 0, 0)",
    "module": "return reached(313, -1, 0, 0)",
    "kernel log": "return reached(103, 10, 0, 0)",
    "clock": "return reached(227, 0, 0)",
    "host name": "return reached(170, 0, 0)",
    "swap": "return reached(167, 0, 0)",
    "ports": "return reached(172, 0)",
    "32-bit calls": """
        import mmap
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(b'\\xb8\\x14\\0\\0\\0\\xcd\\x80\\xc3')  # mov eax, 20 (getpid); int 0x80; ret
        return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() > 0
    """,
    "x32 calls": "return libc.syscall(ctypes.c_long(0x40000000 + 39)) > 0",
}

_ITSELF = {
    "become another user": "os.setuid(1); return True",
    "become another group": "os.setgid(1); return True",
    "capabilities": "return reached(126, 0, 0)",
    "raise its own limits": "return reached(302, 0, 1, 1, 0) or reached(160, 1, 1)",
    "survive the parent": "return libc.prctl(1, 0, 0, 0, 0) == 0",
    "keep privileges": "return libc.prctl(8, 1, 0, 0, 0) == 0",
    "another filter": "return reached(317, 1, 0, 0)",
    "personality": "return reached(135, 0x0040000)",
    "real time": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)); return True",
    "give its processors back": "os.sched_setaffinity(0, {0}); return True",
    "lock memory": "return libc.mlock(ctypes.c_void_p(id(os)), ctypes.c_size_t(4096)) == 0",
    "new session": "os.setsid(); return True",
    "files of others": """
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
        names = list(os.environ)
        given = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, 'environ')  # what the process was started with
        while given[len(names) - len(os.environ)]:
            names.append(given[len(names) - len(os.environ)].decode())
        return any(word in name for name in names for word in ('SECRET', 'DATABASE', 'REDIS', 'TOKEN', 'KEY'))
    """,
}

_PYTHON = {
    "the settings are there already": """
        import sys
        forbidden = ('django', 'redis', 'aristobot', 'ccxt', 'psycopg')
        return any(name.split('.')[0] in forbidden for name in sys.modules)
    """,
    "import the settings": "import aristobot.settings; return True",
    "import the models": "import apps.accounts.models; return True",
    "set Django up": """
        import django
        os.environ['DJANGO_SETTINGS_MODULE'] = 'aristobot.settings'
        django.setup()
        return True
    """,
    "load the settings as a file": """
        import domain, importlib.util as u
        path = domain.__file__.replace('domain/__init__', 'aristobot/settings')
        u.spec_from_file_location('s', path).loader.get_data(path)
        return True
    """,
    "an object that lies": """
        class Lie(int):
            __class__ = bool
        return Lie(1)
    """,
}

# These end their child, or answer something else than a boolean: each has a child of its own.
ALONE = ("32-bit calls", "x32 calls", "exec", "an object that lies")
_X86_64 = platform.machine() == "x86_64"
_ALL = {**_NETWORK, **_FILES, **_PROC, **_PROCESSES, **_OTHERS, **_KERNEL, **_ITSELF, **_PYTHON}
ATTEMPTS = {
    name: body for name, body in _ALL.items() if _X86_64 or ("reached" not in body and name != "32-bit calls")
}
