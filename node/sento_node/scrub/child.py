"""The scrub's child process: one round over a running site's ledger, said on stdout, in the lowest priority and at a bounded pace.

    python -m sento_node.scrub.child <ledger directory> <genesis file> <MiB/s, 0: without bound>

A process of its own, because the database's engine trusts its pages: what a page broken at this very moment ends is this process, and the site learns of it.
It ends by itself when the round is over, or when its site is gone (nobody reads what it says). Exit codes: 0 the round ended, 2 it could not begin.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from sento_node.config_mistake import ConfigMistake
from sento_node.genesis_file import read_genesis
from sento_node.ledger.findings import Kind
from sento_node.scrub.lines import at_line, ended_line, finding_line
from sento_node.scrub.pace import Pace
from sento_node.scrub.round import Round

NICENESS = 19
TOLD_EVERY_S = 0.2
MIB = 1 << 20


class _Telling:
    """Lines to the site; where the round is, not more often than is of use."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._told_s = 0.0
        self._place = ""

    def at(self, words: str) -> None:
        """The round is there now. The first word of a new kind of place is always told: it may be the last."""
        place, now_s = words.split(" ", 1)[0], time.monotonic()
        if place != self._place or now_s - self._told_s >= TOLD_EVERY_S:
            self._place, self._told_s = place, now_s
            self.say(at_line(words, self._pace.total_bytes))

    def say(self, line: str) -> None:
        """One line, at once."""
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def main(arguments: list[str]) -> int:
    """Run one round. Returns the exit code."""
    directory, genesis_path, mib_per_s = Path(arguments[0]), Path(arguments[1]), float(arguments[2])
    os.nice(NICENESS)
    try:
        genesis = read_genesis(genesis_path)
    except ConfigMistake as error:
        sys.stderr.write(f"{error}\n")
        return 2
    pace = Pace(mib_per_s * MIB, time.monotonic, time.sleep)
    telling = _Telling(pace)
    work = Round(directory, genesis, pace, telling.at)
    try:
        for finding in work.findings():
            if finding.kind is not Kind.ERASED:
                telling.say(finding_line(finding))
        telling.say(ended_line(pace.total_bytes, work.summary))
    except BrokenPipeError:
        os._exit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
