"""The uses of extracts on this computer: a line for each, chained to the one before it and flushed, before anything is shown; and what was reported of them.

    <directory>/calls-<number>.jsonl   lines of `serving/log_chain.py`: {"opened": {"use_id", "extract_id", "registry", "subject", "purpose", "case_number",
                                       "opened_at_ms", "records"}, "time"} or {"reported": [use ids], "time"}; mode 0600
    <directory>/lock                   held while a program reads or writes here

The newest time in the log is its high-water mark: this computer's clock counts as at least that, so that a clock that was set back opens nothing that ended.
`raised` lifts it where there is no use, as when an extract is got. Whoever holds the seal key and removes the log gets past it: the chain and the mark keep an
honest reader's machine honest, they are no lock against its owner.

A person is named by pseudonym here, and purpose and case number stand in clear, as in the outbox's neighbour files: the directory is the owner's alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from sento_client.serving.log_chain import ChainBroken, ChainEnd, next_line, verify
from sento_client.serving.log_files import LogFiles, LogUnusable, log_lines
from sento_client.setup_errors import Setup, SetupError

FILE_MAX_BYTES = 16 * 1024 * 1024


class Use(NamedTuple):
    """One opening of an extract: of whom, why, when by this computer's clock, and how many payloads it showed."""

    use_id: bytes
    extract_id: bytes
    registry: str
    subject: bytes
    purpose: str
    case_number: str
    opened_at_ms: int
    records: int


class UseLog:
    """The log, open for this program alone. Make it with `opened_log`."""

    def __init__(self, files: LogFiles, end: ChainEnd, uses: list[Use], reported: set[bytes], mark_ms: int):
        self._files = files
        self._end = end
        self._uses = uses
        self._reported = reported
        self._mark_ms = mark_ms

    @property
    def mark_ms(self) -> int:
        """The newest time that this log has seen."""
        return self._mark_ms

    @property
    def uses(self) -> tuple[Use, ...]:
        """Every use, oldest first."""
        return tuple(self._uses)

    @property
    def waiting(self) -> list[Use]:
        """Uses that showed something and are not reported yet, oldest first."""
        return [use for use in self._uses if use.use_id not in self._reported and use.records]

    def opened(self, use: Use) -> None:
        """Put a use into the log, flushed when this returns: now it may be shown. Raises SetupError EXTRACTS_UNUSABLE, and then nothing may be."""
        value = {
            **use._asdict(),
            "use_id": use.use_id.hex(),
            "extract_id": use.extract_id.hex(),
            "subject": use.subject.hex(),
        }
        self._append({"opened": value}, use.opened_at_ms)
        self._uses.append(use)

    def reported(self, use_ids: Iterable[bytes], now_ms: int) -> None:
        """These are recorded in the ledger, or safe at a site. Raises as `opened`."""
        found = [use_id for use_id in use_ids if use_id not in self._reported]
        if found:
            self._append({"reported": [each.hex() for each in found]}, now_ms)
            self._reported.update(found)

    def raised(self, now_ms: int) -> None:
        """Note the time. Raises as `opened`."""
        if now_ms > self._mark_ms:
            self._append({"seen": now_ms}, now_ms)

    def _append(self, happened: Mapping[str, object], now_ms: int) -> None:
        time_ms = max(now_ms, self._mark_ms)
        line, end = next_line(self._end, {**happened, "time": time_ms})
        try:
            self._files.append(line + b"\n", end.lines)
        except LogUnusable as error:
            raise SetupError(Setup.EXTRACTS_UNUSABLE, str(error)) from None
        self._end, self._mark_ms = end, time_ms


@contextmanager
def opened_log(directory: Path) -> Iterator[UseLog]:
    """The log in a directory, which is made; its whole chain is followed first. Raises SetupError EXTRACTS_UNUSABLE."""
    files = LogFiles(directory, FILE_MAX_BYTES, "program of this institution")
    try:
        try:
            log = _followed(files, directory)
        except (LogUnusable, ChainBroken) as error:
            raise SetupError(Setup.EXTRACTS_UNUSABLE, f"{directory}: {error}") from None
        except OSError as error:
            raise SetupError(Setup.EXTRACTS_UNUSABLE, f"{directory}: {error.strerror}") from None
        yield log
    finally:
        files.close()


def _followed(files: LogFiles, directory: Path) -> UseLog:
    end = files.open().end
    lines = list(log_lines(directory))
    if verify(lines) != end:
        raise LogUnusable("a file of it is missing")
    return UseLog(files, end, *_read(lines, directory))


def _read(lines: Sequence[bytes], directory: Path) -> tuple[list[Use], set[bytes], int]:
    uses: list[Use] = []
    reported: set[bytes] = set()
    mark_ms = 0
    try:
        for line in lines:
            value = cast("dict[str, object]", json.loads(line))
            mark_ms = max(mark_ms, _number(value["time"]))
            if "opened" in value:
                uses.append(_use(cast("dict[str, object]", value["opened"])))
            elif "reported" in value:
                reported |= {bytes.fromhex(each) for each in cast("list[str]", value["reported"])}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise LogUnusable(f"{directory}: a line of it is none of ours") from None
    return uses, reported, mark_ms


def _use(value: dict[str, object]) -> Use:
    return Use(
        bytes.fromhex(str(value["use_id"])),
        bytes.fromhex(str(value["extract_id"])),
        str(value["registry"]),
        bytes.fromhex(str(value["subject"])),
        str(value["purpose"]),
        str(value["case_number"]),
        _number(value["opened_at_ms"]),
        _number(value["records"]),
    )


def _number(value: object) -> int:
    if type(value) is not int:
        raise ValueError("a number was to stand there")
    return value
