"""Where the story is played: commands of people run as programs, shown with what they print, and compared with what the chapter says must come.

A command's exit code and the words that it must (or must not) say are part of the story: what differs is a problem, and the story ends with `holds=no`.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sento_drill.world import World

COMMAND_TIMEOUT_S = 180
SHOWN_LINES = 14


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def both(self) -> str:
        """All that a person saw."""
        return self.out + self.err

    def json(self) -> dict[str, Any]:
        """The one value of a command with --json. Raises ValueError."""
        value = json.loads(self.out)
        if not isinstance(value, dict):
            raise TypeError("the command printed no object")
        return value


@dataclass(slots=True)
class Stage:
    """One telling. `tell` prints a line; `steps` counts comparisons that held."""

    world: World
    tell: Callable[[str], None]
    steps: int = 0
    problems: list[str] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)
    _began_s: float = field(default_factory=time.monotonic)

    def chapter(self, title: str) -> None:
        """A new part begins."""
        self.tell(f"\n== {title}")

    def directory(self, person: str) -> Path:
        """The person's or institution's own files."""
        for place in ("institutions", "officers"):
            found = self.world.directory / place / person
            if found.is_dir():
                return found
        raise KeyError(person)

    def does(
        self,
        person: str,
        *arguments: str,
        ends: int | tuple[int, ...] = 0,
        says: Sequence[str] = (),
        never: Sequence[str] = (),
        given: str | None = None,
        env: Mapping[str, str] | None = None,
        shown: int = SHOWN_LINES,
    ) -> Said:
        """`person` types `sento ...` in the own directory. `given`: standard input; `shown`: how many lines of the answer are printed."""
        said = self._run(person, ("sento", *arguments), given, env)
        self._show(said, shown)
        codes = (ends,) if isinstance(ends, int) else ends
        what = f"{person}: sento {' '.join(arguments[:3])}"
        self.holds(f"{what} ends with {said.code} and not {ends}", said.code in codes)
        flat = " ".join(said.both.split())
        for words in says:
            self.holds(f"{what} does not say {words!r}", words in flat)
        for words in never:
            self.holds(f"{what} says {words!r}", words not in flat)
        return said

    def asks(self, person: str, *arguments: str) -> dict[str, Any]:
        """The same with --json and without a line on the stage: for what the story itself must know."""
        said = self._run(person, ("sento", "--json", *arguments), None, None, quiet=True)
        if said.code:
            self.problems.append(
                f"{person}: sento --json {arguments[0]} ended with {said.code}: {said.both[-300:]}"
            )
            return {}
        return said.json()

    def holds(self, otherwise: str, holds: bool) -> None:
        """A comparison; `otherwise` says what is wrong when it does not hold."""
        if holds:
            self.steps += 1
        else:
            self.problems.append(otherwise)
            self.tell(f"   !! {otherwise}")

    def notes(self, text: str) -> None:
        """A line of the teller."""
        self.tell(f"   {text}")

    def last_line(self) -> str:
        """The line that programs read."""
        figures = "".join(f" {name}={value}" for name, value in self.figures.items())
        took_s = time.monotonic() - self._began_s
        held = "no" if self.problems else "yes"
        return f"story-keys: steps={self.steps} problems={len(self.problems)}{figures} took_s={took_s:.0f} holds={held}"

    def _run(
        self,
        person: str,
        command: tuple[str, ...],
        given: str | None,
        env: Mapping[str, str] | None,
        *,
        quiet: bool = False,
    ) -> Said:
        if not quiet:
            self.tell(f"{person}$ {shlex.join(command)}")
        program = Path(sys.executable).with_name(command[0])
        done = subprocess.run(
            [str(program), *command[1:]],
            cwd=self.directory(person),
            input=given if given is not None else "",
            env={**os.environ, "COLUMNS": "160", **(env or {})},
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def _show(self, said: Said, shown: int) -> None:
        lines = [line.rstrip() for line in said.both.splitlines() if line.strip()]
        for line in lines[:shown]:
            self.tell(f"    {line}")
        if len(lines) > shown:
            self.tell(f"    ... {len(lines) - shown} lines more")
