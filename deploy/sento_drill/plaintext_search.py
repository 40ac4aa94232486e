"""Searching every file of every site for what must not be there: names, numbers and addresses in clear.

grep does the search, because anybody can repeat it and nobody needs to trust us. A search that finds nothing proves nothing by itself, so it first has
to find the same needles in a file where they do stand, byte for byte as the author sealed them.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SEARCH_DEADLINE_S = 300.0
_FOUND, _NOT_FOUND = 0, 1
_C_LOCALE = {"LC_ALL": "C", "PATH": os.environ.get("PATH", os.defpath)}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`files` and `size_bytes` that were searched (sparse parts count as their length), and the files with a hit."""

    files: int
    size_bytes: int
    hits: tuple[Path, ...]


class SearchIsBlind(Exception):
    """The control file holds a needle and the search did not find it: nothing it says about other files counts."""


def search(directory: Path, needles: Sequence[bytes]) -> SearchResult:
    """Look for any of `needles` in all files under `directory`. Raises SearchIsBlind, or OSError when grep fails.

    A needle has no newline and is not empty."""
    if not needles or any(not needle or b"\n" in needle for needle in needles):
        raise ValueError("a search needs needles, each of at least one byte and without a newline")
    with tempfile.TemporaryDirectory(prefix="sento-needles-") as scratch:
        pattern_file = Path(scratch) / "needles"
        pattern_file.write_bytes(b"\n".join(needles) + b"\n")
        control = Path(scratch) / "control"
        control.mkdir()
        (control / "leak").write_bytes(b'\x00\xff{"' + needles[-1] + b'":\x00')
        if not _grep(pattern_file, control):
            raise SearchIsBlind("the search did not find a needle in its own control file")
        hits = _grep(pattern_file, directory)
    sizes = [path.lstat().st_size for path in directory.rglob("*") if path.is_file()]
    return SearchResult(len(sizes), sum(sizes), tuple(hits))


def _grep(pattern_file: Path, directory: Path) -> list[Path]:
    command = [
        "grep",
        "-r",
        "-l",
        "-a",
        "-F",
        "-Z",
        "--devices=skip",
        "-f",
        str(pattern_file),
        str(directory),
    ]
    done = subprocess.run(command, capture_output=True, env=_C_LOCALE, timeout=SEARCH_DEADLINE_S, check=False)
    if done.returncode not in (_FOUND, _NOT_FOUND):
        raise OSError(f"grep ended with {done.returncode}: {done.stderr.decode(errors='replace')[:300]}")
    return [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]
