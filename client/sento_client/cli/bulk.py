"""Loading many lines: read a part, seal and send it, tell what became of each line, read on. Memory holds one part, however long the input.

A line that is refused stops nothing. When a whole part comes to nothing because no site takes records now, the load ends there, and says at which
line to go on: after that part if the outbox keeps it, else at its first line. A line that stands already cannot stand twice: it is refused as STALE.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from sento_client.cli.abroad_words import abroad_value
from sento_client.cli.error_words import error_value
from sento_client.cli.exits import Exit, exit_of
from sento_client.cli.lines import Defaults, LineSplitter, draft_of
from sento_client.cli.source import Source
from sento_client.client import SentoClient
from sento_client.composing import Draft
from sento_client.draft_writing import COMPOSED_AT_ONCE
from sento_client.naming import Named
from sento_client.results import Acknowledgement, Durability, WriteError, WriteResult
from sento_client.setup_errors import Setup, SetupError
from sento_proto.errors import TABLE, Code, SentoError, Standing
from sento_proto.record import Record

_Refusal = SentoError | SetupError
_NOT_NOW = (Standing.TRY_AGAIN, Standing.UNKNOWN)


class LineResult(NamedTuple):
    """What became of one line."""

    line: int
    result: WriteResult | _Refusal


@dataclass(slots=True)
class Tally:
    """Where the load stands. `next_line`: the first whose outcome is not known, where another run goes on; `sent_to`: the last that was read."""

    next_line: int = 1
    sent_to: int = 0
    stand: int = 0
    repeated: int = 0
    refused: int = 0
    unknown: int = 0
    kept: int = 0
    stand_abroad: int | None = None
    """Of those that stand, how many a site abroad holds too; None where nobody asked for it."""
    stopped_by: SentoError | None = None
    """A WriteError when no site takes records now; another when the pseudonym service gives no names."""

    @property
    def exit(self) -> Exit:
        """The command's exit code."""
        if self.stopped_by is not None:
            return exit_of(self.stopped_by)
        if self.unknown or self.kept:
            return Exit.OUTCOME_UNKNOWN
        return Exit.REFUSED if self.refused else Exit.OK

    @property
    def without_success(self) -> int:
        """Lines that are not known to stand."""
        return self.refused + self.unknown + self.kept

    def count(self, result: WriteResult | _Refusal) -> None:
        """One line more has an outcome."""
        if isinstance(result, Acknowledgement):
            self.stand += 1
            self.repeated += result.repeated
            if result.abroad is not None:
                self.stand_abroad = (self.stand_abroad or 0) + result.abroad.stands
        elif isinstance(result, WriteError) and result.kept:
            self.kept += 1
        elif isinstance(result, WriteError) and result.may_stand:
            self.unknown += 1
        else:
            self.refused += 1

    @property
    def pending_abroad(self) -> int:
        """Lines that stand, and not abroad yet."""
        return 0 if self.stand_abroad is None else self.stand - self.stand_abroad

    def words(self) -> str:
        """One sentence on all lines so far."""
        parts = [f"{self.stand:,} stand", f"{self.refused:,} refused"]
        if self.kept:
            parts.append(f"{self.kept:,} kept in the outbox, which goes on sending them")
        if self.unknown:
            parts.append(f"{self.unknown:,} with unknown outcome: they may stand")
        if self.stand_abroad is not None:
            parts.append(f"{self.stand_abroad:,} stand abroad")
        if self.pending_abroad:
            parts.append(f"{self.pending_abroad:,} pending there (see sento outbox)")
        return ", ".join(parts) + "."

    def interrupted_words(self) -> str:
        """What a person must know after Ctrl-C."""
        lines = [f"Interrupted. {self.words()}"]
        if self.sent_to >= self.next_line:
            lines.append(
                f"Lines {self.next_line} to {self.sent_to} were on their way: each may or may not stand."
            )
        lines.append(self.resume_words())
        return "\n".join(lines)

    def resume_words(self) -> str:
        """How to go on."""
        return (
            f"Go on with --from-line {self.next_line}; a line that stands already cannot stand twice, "
            "it is then refused as STALE."
        )

    def value(self) -> dict[str, object]:
        """The last line for programs."""
        return {
            "stand": self.stand,
            "repeated": self.repeated,
            "refused": self.refused,
            "kept": self.kept,
            "unknown": self.unknown,
            "complete": self.stopped_by is None,
            "next_line": self.next_line,
            **({} if self.stand_abroad is None else {"stand_abroad": self.stand_abroad}),
        }


@dataclass(slots=True)
class Load:
    """One bulk load."""

    sento: SentoClient
    defaults: Defaults
    deadline_ms: int | None
    tally: Tally
    tell: Callable[[list[LineResult]], None]
    durability: Durability = Durability.HOME

    async def run(self, source: Source, from_line: int) -> None:
        """Write every line from `from_line` on; the tally says how far it came. Raises SetupError when this client cannot write at all, OSError."""
        splitter = LineSplitter()
        self.tally.next_line = from_line
        while self.tally.stopped_by is None:
            data = await source.read()
            lines = [
                (number, line)
                for number, line in (splitter.feed(data) if data else splitter.end())
                if number >= from_line
            ]
            self.tally.sent_to = max(self.tally.sent_to, splitter.number)
            await self._write(lines, max(from_line, splitter.number + 1))
            if not data:
                return

    async def _write(self, lines: list[tuple[int, bytes | None]], next_line: int) -> None:
        results: list[LineResult] = []
        drafts: list[tuple[int, Draft]] = []
        for count, (number, line) in enumerate(lines):
            try:
                drafts.append((number, draft_of(line, self.defaults)))
            except SentoError as error:
                results.append(LineResult(number, error))
            if count % COMPOSED_AT_ONCE == 0:
                await asyncio.sleep(0)
        try:
            all_named = await self._names([draft for _, draft in drafts])
        except SentoError as error:
            self.tally.stopped_by = error
            return
        records: list[Record] = []
        numbers: list[int] = []
        for count, ((number, draft), named) in enumerate(zip(drafts, all_named, strict=True)):
            try:
                if isinstance(named, SentoError):
                    raise named
                record = await self.sento.compose_named(draft, named, deadline_ms=self.deadline_ms)
                records.append(record)
                numbers.append(number)
            except SetupError as error:
                if error.code is Setup.CANNOT_SIGN:
                    raise
                results.append(LineResult(number, error))
            except SentoError as error:
                results.append(LineResult(number, error))
            if count % COMPOSED_AT_ONCE == 0:
                await asyncio.sleep(0)
        # Once the site abroad has let the load wait in vain, the rest does not wait for it: what is pending is kept open in the outbox.
        written = await self.sento.send(
            records,
            deadline_ms=self.deadline_ms,
            durability=self.durability,
            wait_abroad=not self.tally.pending_abroad,
        )
        results += [LineResult(number, result) for number, result in zip(numbers, written, strict=True)]
        results.sort(key=lambda result: result.line)
        for each in results:
            self.tally.count(each.result)
        self.tally.stopped_by = _not_now(written)
        if self.tally.stopped_by is None or all(isinstance(r, WriteError) and r.kept for r in written):
            self.tally.next_line = next_line
        self.tell(results)

    async def _names(self, drafts: list[Draft]) -> list[Named | SentoError | None]:
        """Names from the pseudonym service, or why one draft has none; None where keys are here. Raises SentoError when the service gives none now."""
        if not self.sento.names_are_asked:
            return [None] * len(drafts)
        try:
            return list(await self.sento.names(drafts, deadline_ms=self.deadline_ms))
        except SentoError as error:
            if error.code is not Code.BAD_REQUEST:
                raise
        # One of them cannot be named; which one shows when each is asked for by itself.
        return [await self._name(draft) for draft in drafts]

    async def _name(self, draft: Draft) -> Named | SentoError:
        try:
            (named,) = await self.sento.names([draft], deadline_ms=self.deadline_ms)
        except SentoError as error:
            if error.code is not Code.BAD_REQUEST:
                raise
            return error
        return named


def _not_now(results: list[WriteResult]) -> WriteError | None:
    """Why nothing of all this was taken, if that is for a reason which has nothing to do with the records."""
    errors = [result for result in results if isinstance(result, WriteError)]
    if not errors or len(errors) < len(results):
        return None
    if all(TABLE[error.code].standing in _NOT_NOW or error.code is Code.HELD for error in errors):
        return next((error for error in errors if error.may_stand), errors[0])
    return None


def result_value(each: LineResult) -> dict[str, object]:
    """One line's outcome for programs."""
    result = each.result
    if not isinstance(result, Acknowledgement):
        return {"line": each.line, "error": error_value(result)}
    return {
        "line": each.line,
        "position": result.position,
        "record": result.record_hash.hex(),
        "record_id": result.record_id.hex(),
        "epoch": result.epoch,
        "site": result.site,
        "repeated": result.repeated,
        **abroad_value(result.abroad),
    }
