"""What erasure needs of an ordering log beside `port.py`: that blocks which left it leave its member's files too.

A log that trims keeps the trimmed bytes for a while: in old write-ahead files, and in pages that its database holds in reserve. Each call here takes a piece of
that away at this site's own member, without ever stopping it; all may be repeated. Only a log that writes files has this part.
"""

from __future__ import annotations

from typing import Final, Protocol

FILLER_ROUND: Final = 350
"""Entries that one call writes as filler: about 4 MiB."""
FILLER_ROUNDS_MIN: Final = 16
"""So many rounds also push the erased blocks out of what members keep in memory (etcd 3.4: the last 5,000 entries) for others that are behind."""


class OrderingEraser(Protocol):
    """The files of one site's own member. Every call raises OutcomeUnknown or another OrderingError where the member or a majority does not answer."""

    async def holds_blocks(self, through_revision: int, *, timeout_ms: int) -> bool:
        """Whether a block of this or an earlier revision still stands in the log; linearizable, so the member has applied everything before."""
        ...

    async def forget_history(self, mark: str, *, timeout_ms: int) -> None:
        """Compact everything that was deleted up to now, and return when this member has done it on its own disk. `mark` is this site's name."""
        ...

    def write_ahead_files(self) -> frozenset[str]:
        """Names of the member's write-ahead files."""
        ...

    async def write_filler(self, *, timeout_ms: int) -> None:
        """Order `FILLER_ROUND` entries that change nothing, so that write-ahead files fill up and older ones are given free."""
        ...

    def remove_released(self) -> None:
        """Remove the write-ahead files that the member has given free, oldest first."""
        ...

    async def rewrite_database(self, *, timeout_ms: int) -> None:
        """Write the member's database anew without its free pages. The member answers nobody meanwhile: milliseconds for a trimmed log."""
        ...
