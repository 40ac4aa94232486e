"""Lists held against a confirmed head: the list's chain must pass through it, so that nothing is left out below it.

A list comes newest first. What stands behind the checkpoint's size is newer than what was confirmed. The first entry below that size must be the confirmed last
record, with the confirmed link; since each link covers the one before it and the record's hash, everything below is then fixed, whoever gave the list, and
hidden entries with it. Pure: each check answers with a Finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sento_client.results import AsOf
from sento_client.verifying import Check, Finding, Stored, Verdict
from sento_proto.errors import Code, SentoError
from sento_proto.head_statement import Head


class ListPart(NamedTuple):
    """A piece of a list as a site gave it. `entries`: with the last one of the piece before, if there was one; `begins`: there was none; `ends`: the list ends
    here."""

    entries: Sequence[Stored]
    begins: bool
    ends: bool
    as_of: AsOf


class SubjectAnchor(NamedTuple):
    """The confirmed head that a subject's list must pass through, in the tree of `size` records."""

    size: int
    head: Head

    def check(self, part: ListPart) -> Finding:
        """Raises SentoError NOT_FRESH where the site's ledger does not reach as far as what was confirmed."""
        require_reach(part, self.size)
        newer: Stored | None = None
        for stored in part.entries:
            first_below = stored.position < self.size and (
                part.begins if newer is None else newer.position >= self.size
            )
            if first_below and (stored.position, stored.link) != (self.head.last_position, self.head.link):
                return self._fails(
                    f"the list goes on with position {stored.position}, which is not the confirmed last record"
                )
            newer = stored
        if part.ends and self.head.last_position is not None and not self._reached(part.entries):
            return self._fails("the list ends before the confirmed last record")
        return Finding(Check.SUBJECT_CHAIN, Verdict.HOLDS, f"the list goes with {self._words}")

    def _reached(self, entries: Sequence[Stored]) -> bool:
        return any(stored.position < self.size for stored in entries)

    @property
    def _words(self) -> str:
        return f"the head that was confirmed at size {self.size}"

    def _fails(self, why: str) -> Finding:
        return Finding(Check.SUBJECT_CHAIN, Verdict.FAILS, f"{why} ({self._words})")


class FactAnchor(NamedTuple):
    """The versions of a fact in the confirmed chain of its subject, newest first, by record hash; in the tree of `size` records."""

    size: int
    versions: tuple[bytes, ...]

    def check(self, part: ListPart) -> Finding:
        """As `SubjectAnchor.check`. Hidden entries are passed over: of which fact they are cannot be told."""
        require_reach(part, self.size)
        below = [
            stored.record_hash for stored in part.entries if stored.position < self.size and not stored.hidden
        ]
        from_newest = part.begins or (bool(part.entries) and part.entries[0].position >= self.size)
        if from_newest:
            start = 0
        elif below and below[0] in self.versions:
            start = self.versions.index(below[0])
        else:
            start = len(self.versions) - len(below)
        expected = list(self.versions[start : start + len(below)])
        if expected != below or (part.ends and from_newest and len(below) < len(self.versions)):
            return Finding(
                Check.FACT_CHAIN,
                Verdict.FAILS,
                f"the versions given are not those in the subject's chain that was confirmed at size {self.size}",
            )
        return Finding(Check.FACT_CHAIN, Verdict.HOLDS, "the versions are those of the confirmed chain")


Anchor = SubjectAnchor | FactAnchor


def require_reach(part: ListPart, size: int) -> None:
    """Raises SentoError NOT_FRESH: a site that lags is not one that lies."""
    if part.as_of.size < size:
        raise SentoError(
            Code.NOT_FRESH, f"{part.as_of.site} has {part.as_of.size} records, and size {size} is confirmed"
        )
