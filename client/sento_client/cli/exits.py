"""Exit codes of `sento`: what a script may branch on. They are as stable as the error codes, and `sento --help` lists them."""

from __future__ import annotations

from enum import IntEnum

from sento_client.results import WriteError
from sento_client.setup_errors import SetupError
from sento_proto.errors import Code, SentoError


class Exit(IntEnum):
    """Why the command ended. The last two are what shells say of a program that SIGINT or SIGPIPE ended."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3
    NOT_VERIFIED = 4
    DEGRADED = 5
    OUTCOME_UNKNOWN = 6
    INTERRUPTED = 130
    PIPE_CLOSED = 141


WORDS = {
    Exit.OK: "done; for status and keys: everything is in order",
    Exit.REFUSED: "refused or failed; the message has a code, a cause and a remedy",
    Exit.USAGE: "the command line, the configuration or a key file is wrong",
    Exit.UNREACHABLE: "no site could be reached, or none answered in time; nothing is written",
    Exit.NOT_VERIFIED: "an answer did not verify: keep it, and tell the operators",
    Exit.DEGRADED: "something is not as it should be or ends soon; for status, writing may be stopped",
    Exit.OUTCOME_UNKNOWN: "a record may or may not stand, or waits in the outbox; look before writing it anew",
    Exit.INTERRUPTED: "interrupted (Ctrl-C); the message says what may stand",
    Exit.PIPE_CLOSED: "the program that read the output ended first",
}


def exit_of(error: SentoError | SetupError) -> Exit:
    """The exit code of an error."""
    if isinstance(error, SetupError):
        return Exit.USAGE
    if isinstance(error, WriteError) and (error.may_stand or error.kept):
        return Exit.OUTCOME_UNKNOWN
    if error.code in (Code.UNREACHABLE, Code.DEADLINE):
        return Exit.UNREACHABLE
    if error.code is Code.DAMAGED:
        return Exit.NOT_VERIFIED
    return Exit.REFUSED
