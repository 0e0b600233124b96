"""What the launcher says when it cannot go on: a French sentence and an honest exit code."""

from __future__ import annotations

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_PORT_TAKEN = 3
EXIT_DISK_FULL = 4
EXIT_PYTHON = 5
EXIT_NETWORK = 6
EXIT_DATA_VERSION = 7
EXIT_DATA_IN_USE = 8
EXIT_INTERRUPTED = 130


class LauncherError(Exception):
    """A failure the person at the screen can act on; its message is French and complete."""

    def __init__(self, message: str, exit_code: int = EXIT_FAILURE) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code
