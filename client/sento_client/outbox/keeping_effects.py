"""What keeping asks its shell to do about kept submissions, and the runs of records that it asks to be proven. Values only; nothing is decided here."""

from __future__ import annotations

from typing import NamedTuple

from sento_proto.errors import Code


class Forget(NamedTuple):
    """The submission needs no keeping any more."""

    kept: int


class Deliver(NamedTuple):
    """Offer the kept submission for delivery again, at `avoid` only if there is no other site."""

    kept: int
    avoid: str | None


class AskCheckpoint(NamedTuple):
    """Fetch a quorum's checkpoint, at `avoid` last; report `checkpoint` or `check_failed`."""

    avoid: str


class Run(NamedTuple):
    """Records of a kept submission that are said to stand one after the other from `position` on."""

    kept: int
    position: int
    record_hashes: tuple[bytes, ...]


class AskProofs(NamedTuple):
    """Have these proven under the checkpoint at hand; report `proven` or `check_failed`."""

    runs: tuple[Run, ...]


class StoreReceipts(NamedTuple):
    """Put the receipts of these runs, just proven, on disk, flushed; report `stored` or `not_stored`. Whole submissions, never a part of one."""

    runs: tuple[Run, ...]


class SetAside(NamedTuple):
    """Keep the record for people to see: it was refused for good and nobody was there to be told."""

    kept: int
    place: int
    code: Code


class LookAbroad(NamedTuple):
    """The submission stands here by a site's word, and is to be found under a checkpoint that a site abroad cosigned."""

    kept: int
    epoch: int
    runs: tuple[Run, ...]


class LookNoMore(NamedTuple):
    """What was said of it is not believed any more."""

    kept: int


class AtHome(NamedTuple):
    """A quorum holds it and its receipts are on disk; it is kept on for the sake of a site abroad."""

    kept: int


class Note(NamedTuple):
    """Write beside the submission why it still waits."""

    kept: int
    code: Code
    rounds: int


Effect = (
    Forget
    | Deliver
    | AskCheckpoint
    | AskProofs
    | StoreReceipts
    | SetAside
    | Note
    | LookAbroad
    | LookNoMore
    | AtHome
)


def runs_of(kept: int, stands: dict[int, bytes]) -> list[Run]:
    """Records by position, cut where positions do not follow each other."""
    runs: list[Run] = []
    first, hashes = 0, list[bytes]()
    for position in sorted(stands):
        if hashes and position != first + len(hashes):
            runs.append(Run(kept, first, tuple(hashes)))
            hashes = []
        if not hashes:
            first = position
        hashes.append(stands[position])
    return [*runs, Run(kept, first, tuple(hashes))]
