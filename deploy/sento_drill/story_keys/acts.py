"""Officers at work: an act proposed into a file, carried from officer to officer, signed by each at the own computer, submitted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from sento_drill.plan import OFFICERS
from sento_drill.story_keys.stage import Stage

PROPOSER = OFFICERS[0]


class Office:
    """The officers of the story; acts are numbered files."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._count = 0

    def propose(
        self,
        reason: str,
        *words: str,
        changes: Sequence[Mapping[str, object]] = (),
        file: Path | None = None,
        says: Sequence[str] = (),
    ) -> Path:
        """The proposal's file in the proposer's directory, after the dry run. `words`: changes in words; `changes`: as JSON; `file`: what a ceremony made."""
        self._count += 1
        directory = self._stage.directory(PROPOSER)
        act = directory / f"act-{self._count}.json"
        arguments = ["govern", "propose", "--reason", reason, "--out", act.name]
        if changes:
            given = directory / f"changes-{self._count}.json"
            given.write_text(json.dumps({"changes": list(changes)}, indent=1))
            arguments += ["--file", given.name]
        if file is not None:
            arguments += ["--file", str(file)]
        for one in words[1:]:
            arguments += ["--change", one]
        if words:
            arguments += words[0].split()
        self._stage.does(PROPOSER, *arguments, says=says)
        return act

    def sign(self, act: Path, *officers: str, shown: int = 2) -> None:
        """Each signs at the own computer; the file travels back."""
        for officer in officers:
            directory = self._stage.directory(officer)
            carried = directory / act.name
            if carried != act:
                shutil.copy(act, carried)
            self._stage.does(
                officer, "govern", "sign", carried.name, "--yes", says=("Signed for",), shown=shown
            )
            if carried != act:
                shutil.copy(carried, act)

    def submit(self, act: Path, *, says: Sequence[str] = ("The act stands",)) -> int:
        """Its position; -1 when it does not stand, which is a problem of the story."""
        self._stage.does(PROPOSER, "govern", "submit", act.name, says=says)
        return int(self._stage.asks(PROPOSER, "govern", "submit", act.name).get("position", -1))

    def decide(
        self,
        reason: str,
        *words: str,
        changes: Sequence[Mapping[str, object]] = (),
        file: Path | None = None,
        says: Sequence[str] = (),
    ) -> int:
        """Proposed, signed by three, submitted: the act's position."""
        act = self.propose(reason, *words, changes=changes, file=file, says=says)
        self.sign(act, *OFFICERS[:3])
        return self.submit(act)
