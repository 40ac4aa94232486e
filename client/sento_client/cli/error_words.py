"""How an error is said: to people in lines (code and cause, particulars, remedy), to programs as one JSON object."""

from __future__ import annotations

from sento_client.cli.exits import exit_of
from sento_client.cli.terminal import printable
from sento_client.results import WriteError
from sento_client.setup_errors import TABLE as SETUP_TABLE
from sento_client.setup_errors import SetupError
from sento_proto.errors import TABLE, SentoError

KEPT_REMEDY = "Do not write it anew: the outbox keeps it and the next command that writes sends it; sento outbox shows it."


def error_lines(error: SentoError | SetupError) -> list[str]:
    """`CODE: cause`, a line for each particular, the remedy."""
    if isinstance(error, SetupError):
        words = SETUP_TABLE[error.code]
        details = [f"  - {printable(detail)}" for detail in error.details]
        return [f"{error.code}: {words.cause}", *details, words.remedy]
    entry = TABLE[error.code]
    remedy = KEPT_REMEDY if _is_kept(error) else entry.remedy
    details = [f"  - {printable(error.detail)}"] if error.detail else []
    return [f"{error.code.name}: {entry.cause}", *details, remedy]


def error_value(error: SentoError | SetupError) -> dict[str, object]:
    """What a program needs to decide, and what a person who reads its log needs."""
    if isinstance(error, SetupError):
        cause, remedy = SETUP_TABLE[error.code]
        return {
            "code": str(error.code),
            "details": list(error.details),
            "cause": cause,
            "remedy": remedy,
            "exit": int(exit_of(error)),
        }
    entry = TABLE[error.code]
    value: dict[str, object] = {
        "code": error.code.name,
        "standing": entry.standing.value,
        "detail": error.detail,
        "cause": entry.cause,
        "remedy": KEPT_REMEDY if _is_kept(error) else entry.remedy,
        "exit": int(exit_of(error)),
    }
    if isinstance(error, WriteError):
        value |= {
            "record_id": error.record.header.record_id.hex(),
            "may_stand": error.may_stand,
            "kept": error.kept,
            "final": error.final,
        }
    return value


def _is_kept(error: SentoError) -> bool:
    return isinstance(error, WriteError) and error.kept
