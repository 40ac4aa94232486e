"""What a confirmed read tells its caller: as of which checkpoint, up to which record, by whose word, and who said something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sento_proto.head_statement import Head


class Liar(NamedTuple):
    """A site that signed another word. `words`: what it did, in a sentence; `proven`: there is a proof of fraud, which lies with the receipts."""

    site: str
    words: str
    proven: bool


class Confirmed(NamedTuple):
    """A receipt quorum of sites signed the same word on a subject's last record in the tree of `size` records.

    `time_s`: when a quorum had cosigned that tree, by the sites' clocks, in seconds since 1970. `superseded_by`: of a single record, the position of the newest
    confirmed version of the same fact that stands behind it."""

    epoch: int
    size: int
    time_s: int
    head: Head
    sites: tuple[str, ...]
    liars: tuple[Liar, ...] = ()
    superseded_by: int | None = None

    @property
    def words(self) -> str:
        """For people."""
        last = self.head.last_position
        what = "nothing stood" if last is None else f"complete up to position {last}"
        return f"{what} as of checkpoint size {self.size}, by the word of {', '.join(self.sites)}"


@dataclass(slots=True)
class Confirming:
    """Pass one as `confirmed` to get what was confirmed also of a list in which nothing stands; filled before the list's first entry comes."""

    word: Confirmed | None = None
