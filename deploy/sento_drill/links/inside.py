"""A program inside a network namespace: `python -m sento_drill.links.inside <path of the namespace> <program> <arguments...>`.

Enters and becomes the program, so that its process id is the one its starter knows.
"""

from __future__ import annotations

import os
import sys

from sento_drill.links.namespaces import enter_at


def inside_command(namespace: str) -> list[str]:
    """What goes in front of a command that is to run in there."""
    return [sys.executable, "-m", "sento_drill.links.inside", namespace]


def main(arguments: list[str]) -> None:
    """Become the program in `arguments`. Raises OSError when the namespace is gone."""
    namespace, program = arguments[0], arguments[1:]
    enter_at(namespace)
    os.execv(program[0], program)  # noqa: S606 - argv comes from our own starter, and no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
