"""The chain of the call log: each line carries its number and SHA-256 of the line before it, so that no line is altered or taken out unseen.

    line = one JSON object, UTF-8, keys sorted: "n" (from 1), "previous" (hex SHA-256 of the line before it, without the newline; zeros for the
           first), "time", and what happened

The chain shows changes in the middle by itself. Lines taken off the end show only against a line number and hash that somebody noted elsewhere:
the service gives both to whoever asks it to describe itself.

Pure: lines in, findings out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple, cast

ZERO_HASH = bytes(32)


class ChainEnd(NamedTuple):
    """How many lines there are, and SHA-256 of the last one."""

    lines: int = 0
    head: bytes = ZERO_HASH


class ChainBroken(Exception):
    """A line does not follow the one before it. `line`: its number in the order of the files, from 1."""

    def __init__(self, line: int, why: str) -> None:
        self.line = line
        super().__init__(f"line {line}: {why}")


def next_line(end: ChainEnd, happened: Mapping[str, object]) -> tuple[bytes, ChainEnd]:
    """The line that follows `end`, without a newline, and the new end."""
    value = {**happened, "n": end.lines + 1, "previous": end.head.hex()}
    line = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return line, ChainEnd(end.lines + 1, hashlib.sha256(line).digest())


def end_after(line: bytes) -> ChainEnd:
    """The end of a chain whose last line this is, believed. Raises ChainBroken when it is no line."""
    number, _ = _parts(line, 0)
    return ChainEnd(number, hashlib.sha256(line).digest())


def verify(lines: Iterable[bytes], noted: ChainEnd | None = None) -> ChainEnd:
    """Follow the whole chain from its first line. With `noted` the line of that number must be there with that hash. Raises ChainBroken."""
    end = ChainEnd()
    for count, line in enumerate(lines, start=1):
        number, previous = _parts(line, count)
        if number != end.lines + 1:
            raise ChainBroken(count, f"its number is {number}, and {end.lines + 1} was to follow")
        if previous != end.head.hex():
            raise ChainBroken(
                count, "it does not carry the hash of the line before it: one of the two was altered"
            )
        end = ChainEnd(number, hashlib.sha256(line).digest())
        if noted is not None and noted.lines == number and noted.head != end.head:
            raise ChainBroken(count, "its hash is not the one that was noted")
    if noted is not None and noted.lines > end.lines:
        raise ChainBroken(end.lines + 1, f"it is missing, and {noted.lines} lines were noted")
    return end


def _parts(line: bytes, count: int) -> tuple[int, str]:
    try:
        value = json.loads(line)
    except ValueError:
        raise ChainBroken(count, "it is not JSON in UTF-8") from None
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    number, previous = fields.get("n"), fields.get("previous")
    if type(number) is not int or not isinstance(previous, str):
        raise ChainBroken(count, "it carries no number and no hash")
    return number, previous
