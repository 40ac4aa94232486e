"""The change by which officers open and close the gap that a recovery left. It exists from rules 5 on.

    {"do": "set-gap", "epoch": n, "as_of_ms": t, "known_missing": N, "open": true | false}

What an open gap means for whoever reads is `gaps.py`. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from sento_proto.governance.changing import Unfit
from sento_proto.governance.epoch_changes import EPOCH_MAX
from sento_proto.governance.epoch_parts import Epoch, Gap
from sento_proto.governance.gaps import TIME_MAX_MS, as_of_words, gap_of, missing_words, time_words
from sento_proto.governance.state import Governance
from sento_proto.strict_json import Fields

RECOVER = "recover"
_COUNT_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class SetGap:
    """Officers open the gap of a recovered epoch, or close it. To say something else of an open one, an act closes and opens it."""

    DO: ClassVar[str] = "set-gap"
    RULES: ClassVar[int] = 5
    epoch: int
    as_of_ms: int
    known_missing: int
    open: bool

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(
            fields.number("epoch", 1, EPOCH_MAX),
            fields.number("as_of_ms", 0, TIME_MAX_MS),
            fields.number("known_missing", 0, _COUNT_MAX),
            fields.flag("open"),
        )

    def effect(self, governance: Governance, at: int) -> Governance:
        begun = self._epoch(governance)
        known = gap_of(governance, self.epoch)
        is_open = known is not None and known.open
        if self.open and is_open:
            raise Unfit(f"The gap of epoch {self.epoch} is open already; close it first, in the same act.")
        if not self.open and not is_open:
            raise Unfit(f"The gap of epoch {self.epoch} is not open.")
        if known is not None and not self.open and known.as_of_ms != self.as_of_ms:
            raise Unfit(
                f"The open gap of epoch {self.epoch} is as of {time_words(known.as_of_ms)}, not this."
            )
        gap = Gap(self.epoch, self.as_of_ms, self.known_missing, self.open, begun.fork_size)
        others = [one for one in governance.gaps if one.epoch != self.epoch]
        return governance.changed(gaps=tuple(sorted((*others, gap))))

    def _epoch(self, governance: Governance) -> Epoch:
        begun = next((one for one in governance.epochs if one.number == self.epoch), None)
        if begun is None:
            raise Unfit(f"No act began epoch {self.epoch}.")
        if begun.reason != RECOVER:
            raise Unfit(f"Epoch {self.epoch} was begun to {begun.reason}, and only a recovery leaves a gap.")
        return begun

    def words(self, governance: Governance) -> str:
        begun = next((one for one in governance.epochs if one.number == self.epoch), None)
        where = "its fork" if begun is None else f"position {begun.fork_size}"
        missing = missing_words(self.known_missing)
        if self.open:
            return (
                f"The recovery that began epoch {self.epoch} left a gap: what stands below {where} is shown {as_of_words(self.as_of_ms)}; "
                f"{missing} known to be missing."
            )
        return (
            f"The gap that the recovery of epoch {self.epoch} left, as of {time_words(self.as_of_ms)}, is closed: what stands below {where} is shown "
            f"without that from now on; {missing} known to stay missing."
        )
