"""Takes away what Windows lacks (modules, functions, signals, flags) from every Python that starts with it on its path.

    PYTHONPATH=tests/without_posix python -m pytest -n 0 -m "not forks" tests/data

Libraries that go by the name of the system miss what that name promises, so they are imported before; on Windows they
have files of their own. filelock is not among them: it then holds a folder without the help of the system.
"""

import os
import shutil
import signal
import sys

import platformdirs
import platformdirs.unix  # noqa: F401
import portalocker  # noqa: F401
import psutil  # noqa: F401

# Not termios, os.uname, os.statvfs, os.getuid and SIGKILL, which libraries and pytest take by the name of the
# system; that ours do not is held by tests/architecture.
MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "syslog")
FUNCTIONS = (
    "chown", "fchown", "fork", "forkpty", "getegid", "getgid", "killpg", "mkfifo", "nice",
    "posix_spawn", "pread", "pwrite", "sched_getaffinity", "setsid", "sysconf", "wait3", "wait4",
    "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC",
)  # fmt: skip
SIGNALS = (
    "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGPIPE", "SIGQUIT", "SIGSTOP", "SIGTSTP",
    "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm", "pause", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait",
)  # fmt: skip

_open = os.open


def take_away() -> None:
    for name in MODULES:
        sys.modules[name] = None
    for owner, names in ((os, FUNCTIONS), (signal, SIGNALS)):
        for name in names:
            if hasattr(owner, name):
                delattr(owner, name)
    os.open = _fail_on_folders
    shutil._use_fd_functions = False  # it opens folders by the name of the system


def _fail_on_folders(path, flags, *rest, **named):
    if isinstance(path, str | bytes | os.PathLike) and os.path.isdir(path):  # noqa: PTH112
        raise PermissionError(13, "Permission denied", os.fspath(path))
    return _open(path, flags, *rest, **named)


take_away()
