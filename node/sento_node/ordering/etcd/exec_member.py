"""Becomes the member: asks the kernel to end it with its parent, checks that the parent is still there, then executes etcd in its own place.

Run as `python -m sento_node.ordering.etcd.exec_member <parent's pid> <etcd> <arguments>`. The node cannot do this between fork and exec itself,
because it is full of threads by then. The death signal is sent when the *thread* that started this process ends, so the node starts members from
its main thread. Python has SIGPIPE ignored, and etcd inherits that: a member whose node was killed can still log its clean stop into the void.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

EXIT_PARENT_GONE: Final = 75
EXIT_NOT_EXECUTED: Final = 127

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def main(arguments: list[str]) -> int:
    """Execute `arguments[1:]` as a child that ends with the process `arguments[0]`; returns an exit code only when that failed."""
    parent_pid, program = int(arguments[0]), arguments[1]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.stderr.write(f"cannot tie the member to its node: {os.strerror(ctypes.get_errno())}\n")
        return EXIT_NOT_EXECUTED
    if os.getppid() != parent_pid:  # it ended before the kernel knew of our wish
        sys.stderr.write("the node that started this member is gone\n")
        return EXIT_PARENT_GONE
    try:
        os.execv(program, arguments[1:])  # noqa: S606 (replacing ourselves is the point)
    except OSError as error:
        sys.stderr.write(f"cannot execute {program}: {error.strerror}\n")
        return EXIT_NOT_EXECUTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
