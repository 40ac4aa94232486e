"""A program that must not outlive its starter: `python -m sento_drill.bound <starter's pid> <program> <arguments...>`.

Asks the kernel for SIGTERM at the end of the parent, makes sure that the parent had not ended before, and becomes the program. It is a process of
its own between fork and exec, because a starter full of gRPC threads must not run code of its own there.

Source: prctl(2), PR_SET_PDEATHSIG; the setting survives execve(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the program in `arguments`. Raises OSError when the kernel refuses."""
    starter_pid, program = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel refused to bind this process to its starter")
    if os.getppid() != starter_pid:
        raise SystemExit("the starter ended before its program began")
    os.execv(program[0], program)  # noqa: S606 - argv comes from our own starter, and no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
