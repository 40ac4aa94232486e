"""`sento verify --from ... --to ...`: every record of a range of positions that this institution may read, each proven under a quorum's checkpoint.

Headers and hashes are enough for that, so no payload is asked for. What fails is evidence and is listed; what the institution may not read is counted.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from rich.console import Console

from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.terminal import printable
from sento_client.cli.waiting import bar_of
from sento_client.client import SentoClient
from sento_proto.errors import Code, SentoError

AT_A_TIME = 16
FAILURES_LISTED = 100
_NOT_OURS = frozenset({Code.NOT_PERMITTED, Code.IDENTITY_REFUSED, Code.NOT_FOUND})


@dataclass(slots=True)
class RangeResult:
    """What became of positions `first` to below `end`, of which `done` were looked at."""

    first: int
    end: int
    done: int = 0
    verified: int = 0
    not_readable: int = 0
    failed: int = 0
    failures: list[tuple[int, str]] = field(default_factory=list)

    def take(self, position: int, result: str | None) -> None:
        """One position more: "" verified, a reason why it is not, or None when it is not this institution's to read."""
        self.done += 1
        if result is None:
            self.not_readable += 1
        elif not result:
            self.verified += 1
        else:
            self.failed += 1
            if len(self.failures) < FAILURES_LISTED:
                self.failures.append((position, result))


async def verify_positions(
    sento: SentoClient,
    result: RangeResult,
    purpose: str,
    case_number: str,
    deadline_ms: int | None,
    tell: Callable[[], None],
) -> None:
    """Verify the range, some at a time. Raises SentoError when no site answers: that says nothing about records."""

    async def one(position: int) -> str | None:
        try:
            verification = await sento.verify_record(
                position, purpose=purpose, case_number=case_number, header_only=True, deadline_ms=deadline_ms
            )
        except SentoError as error:
            if error.code in _NOT_OURS:
                return None
            if error.code is Code.DAMAGED:
                return error.detail or error.code.name
            raise
        return "" if verification.findings.ok else verification.findings.why

    for start in range(result.first, result.end, AT_A_TIME):
        positions = range(start, min(start + AT_A_TIME, result.end))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(position)) for position in positions]
        for position, task in zip(positions, tasks, strict=True):
            result.take(position, task.result())
        tell()


def verify_range(
    app: App, first: int, end: int | None, purpose: str, case_number: str, deadline_ms: int | None
) -> None:
    """The command: progress, the result, the exit code. `end` None: what a quorum has cosigned now."""
    result = RangeResult(first, first)

    async def work(sento: SentoClient) -> None:
        with app.waiting(sento, None, deadline_ms):
            covered = (await sento.checkpoint(end or 0, deadline_ms=deadline_ms)).size
        result.end = max(first, covered if end is None else end)
        total = result.end - first
        with bar_of(app.progress_console(), "verifying", shown=not app.as_json, total=total) as (
            progress,
            task,
        ):
            try:
                await verify_positions(
                    sento,
                    result,
                    purpose,
                    case_number,
                    deadline_ms,
                    lambda: progress.update(task, completed=result.done),
                )
            except* SentoError as group:
                raise _first_of(group) from None

    app.run(work, waits=False, if_interrupted=lambda: f"Interrupted. {_words(result)}")
    value = {
        "from": result.first,
        "to": result.end,
        "verified": result.verified,
        "not_readable": result.not_readable,
        "failed": result.failed,
        "failures": [{"position": position, "why": why} for position, why in result.failures],
    }

    def people(console: Console) -> None:
        console.print(_words(result))
        for position, why in result.failures:
            console.print(f"  NOT VERIFIED position {position}: {printable(why)}", markup=False)
        if result.failed:
            console.print("Keep this output and tell the operators.")

    app.show(value, people)
    if result.failed:
        sys.exit(Exit.NOT_VERIFIED)


def _first_of(group: BaseExceptionGroup[SentoError]) -> SentoError:
    found = group.exceptions[0]
    return _first_of(found) if isinstance(found, BaseExceptionGroup) else found


def _words(result: RangeResult) -> str:
    words = f"Verified {result.verified:,} records of {result.done:,} positions from {result.first}"
    if result.not_readable:
        words += f"; {result.not_readable:,} are not this institution's to read"
    if result.failed:
        words += f"; {result.failed:,} did NOT verify"
    return words + "."
