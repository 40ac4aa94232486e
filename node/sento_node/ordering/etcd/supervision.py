"""After a member's process ended: start it again, or stand down with a sentence for the operator. Pure; everything about this choice is here.

1. What the node asked for is an end, not a fault.
2. Exit code 0 unasked means that the cluster removed this member: it never comes back under this identity.
3. A disk that failed a write (EIO) may have lost acknowledged blocks: never restart on it; remove the member and add a new one as learner.
4. Damage and a lost identity cannot heal by retrying: stand down at once. A log that is gone from the disk is a lost identity, whatever the process
   died of: started again while the others are out of reach, it would begin anew under its old id.
5. A full disk can heal: restart with growing pauses for as long as it takes.
6. Any other failure (codes 1 and 2) is retried blindly at most three times in a row; a member that stayed ready for a minute starts a new row.
7. A signal from outside (out of memory, an operator) is no verdict on the data: restart, but not for ever.
"""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass
from typing import Final

from sento_node.ordering.etcd.exec_member import EXIT_NOT_EXECUTED, EXIT_PARENT_GONE

REPLACE_MEMBER: Final = "Remove this member from the ordering log, empty its data directory, and add it again as a learner; the ledger is not affected."


class EndKind(enum.Enum):
    """Why a member stays down."""

    STOPPED = "stopped"
    REMOVED = "removed"
    DISK_FAILED = "disk failed"
    DAMAGED = "damaged"
    IDENTITY_LOST = "identity lost"
    CANNOT_START = "cannot start"
    GAVE_UP = "gave up"


@dataclass(frozen=True, slots=True)
class MemberEnd:
    """One process of the member ended: everything the decision may look at.

    `return_code` is negative for a signal; `tail` holds its last log lines; `restarts` counts the restarts since the member was last ready for
    `healthy_ms`; `ready_ms` is how long this process had been ready, 0 if never; `log_lost` is true when the member held a log on its disk
    and holds none now.
    """

    return_code: int
    tail: tuple[str, ...]
    restarts: int
    ready_ms: int
    stop_asked: bool
    log_lost: bool = False


@dataclass(frozen=True, slots=True)
class SupervisionPolicy:
    """How patient the supervisor is."""

    back_off_first_ms: int = 1_000
    back_off_max_ms: int = 30_000
    blind_retries_max: int = 3
    signal_restarts_max: int = 10
    healthy_ms: int = 60_000


@dataclass(frozen=True, slots=True)
class Restart:
    """Start the process again after `after_ms`; `restarts` is the new count."""

    after_ms: int
    restarts: int
    sentence: str


@dataclass(frozen=True, slots=True)
class StandDown:
    """The member stays down until an operator acts."""

    kind: EndKind
    sentence: str


@dataclass(frozen=True, slots=True)
class _Sign:
    pieces: tuple[str, ...]  # all of them in one line of the log, in lower case
    kind: EndKind
    sentence: str


_SIGNS: Final = (
    _Sign(
        ("input/output error",),
        EndKind.DISK_FAILED,
        f"The disk under the ordering member failed a write, and blocks that it acknowledged may be lost on it. Check the disk. {REPLACE_MEMBER}",
    ),
    _Sign(
        ("permanently removed",),
        EndKind.REMOVED,
        f"The ordering log's members removed this member, and its identity cannot return. {REPLACE_MEMBER}",
    ),
    _Sign(
        ("has already been bootstrapped",),
        EndKind.IDENTITY_LOST,
        f"The other members know this member, but its data directory is empty: its disk was lost or exchanged. {REPLACE_MEMBER}",
    ),
    _Sign(
        ("tocommit(", "out of range"),
        EndKind.IDENTITY_LOST,
        f"The ordering log has blocks that this member once acknowledged and no longer holds: its disk was lost or rolled back. {REPLACE_MEMBER}",
    ),
    _Sign(
        ("error validating peerurls",),
        EndKind.IDENTITY_LOST,
        f"This member starts with an empty data directory and is not in the ordering log's list of members. {REPLACE_MEMBER}",
    ),
    *(
        _Sign(
            (piece,), EndKind.DAMAGED, f"The ordering member's files are damaged ({piece}). {REPLACE_MEMBER}"
        )
        for piece in (
            "crc mismatch",
            "invalid database",
            "failed to get all reachable pages",
            "unexpected fault address",
        )
    ),
    *(
        _Sign(
            (piece,),
            EndKind.CANNOT_START,
            "etcd does not understand its command line. Check that the etcd found is the release that was asked.",
        )
        for piece in ("flag provided but not defined", "error verifying flags")
    ),
)
_DISK_FULL: Final = "no space left on device"
_PORT_TAKEN: Final = "address already in use"


def decide(end: MemberEnd, policy: SupervisionPolicy) -> Restart | StandDown:
    """What to do after `end`."""
    if end.stop_asked:
        return StandDown(EndKind.STOPPED, _how_it_stopped(end.return_code))
    if end.return_code == 0:
        return StandDown(
            EndKind.REMOVED,
            f"The ordering log's members removed this member, and its identity cannot return. {REPLACE_MEMBER}",
        )
    if end.log_lost:
        return StandDown(
            EndKind.IDENTITY_LOST,
            "The ordering member's data directory was emptied while it ran, and a member that starts empty under its old id makes a majority "
            f"forget what it acknowledged. Check the disk. {REPLACE_MEMBER}",
        )
    restarts = 0 if end.ready_ms >= policy.healthy_ms else end.restarts
    if end.return_code < 0:
        return _after_signal(-end.return_code, restarts, policy)
    if end.return_code == EXIT_NOT_EXECUTED:
        return StandDown(
            EndKind.CANNOT_START,
            f"The etcd program could not be executed: {_last_line(end)}. Install it again.",
        )
    if end.return_code == EXIT_PARENT_GONE:
        return StandDown(
            EndKind.STOPPED, "The node ended while its member was starting. Start the node again."
        )
    lines = [line.lower() for line in end.tail]
    sign = _find_sign(lines)
    if sign is not None:
        return StandDown(sign.kind, sign.sentence)
    if any(_DISK_FULL in line for line in lines):
        return _restart(
            restarts,
            policy,
            "The disk under the ordering member is full: free space; the member tries again by itself.",
        )
    return _blind_retry(end, lines, restarts, policy)


def back_off_ms(restarts: int, policy: SupervisionPolicy) -> int:
    """The pause before restart number `restarts` + 1: doubling from the first to the maximum."""
    return min(policy.back_off_max_ms, policy.back_off_first_ms << min(restarts, 30))


def _blind_retry(
    end: MemberEnd, lines: list[str], restarts: int, policy: SupervisionPolicy
) -> Restart | StandDown:
    cause = f"The ordering member failed with code {end.return_code}: {_last_line(end)}."
    if any(_PORT_TAKEN in line for line in lines):
        cause = "The ordering member cannot listen on its peer address, because another program does. Find and stop it, or change the port."
        remedy = ""
    else:
        remedy = f" If the cause cannot be found in its log: {REPLACE_MEMBER}"
    if restarts >= policy.blind_retries_max:
        return StandDown(
            EndKind.GAVE_UP, f"{cause} It was started {restarts + 1} times and is left down.{remedy}"
        )
    return _restart(restarts, policy, cause)


def _after_signal(number: int, restarts: int, policy: SupervisionPolicy) -> Restart | StandDown:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    cause = f"The ordering member was ended by {name}."
    if restarts >= policy.signal_restarts_max:
        return StandDown(
            EndKind.GAVE_UP,
            f"{cause} That happened {restarts + 1} times in a row and it is left down. Look for who sends it; SIGKILL is often lack of memory.",
        )
    return _restart(restarts, policy, cause)


def _restart(restarts: int, policy: SupervisionPolicy, sentence: str) -> Restart:
    return Restart(back_off_ms(restarts, policy), restarts + 1, sentence)


def _find_sign(lines: list[str]) -> _Sign | None:
    return next(
        (sign for sign in _SIGNS if any(all(piece in line for piece in sign.pieces) for line in lines)), None
    )


def _how_it_stopped(return_code: int) -> str:
    if return_code in (0, -signal.SIGTERM):
        return "The member stopped cleanly, as asked."
    if return_code == -signal.SIGKILL:
        return "The member did not stop in time and was killed; its next start replays its write-ahead log."
    return f"The member ended with code {return_code} while it was asked to stop; look at its log before the next start."


def _last_line(end: MemberEnd) -> str:
    return end.tail[-1] if end.tail else "it said nothing"
