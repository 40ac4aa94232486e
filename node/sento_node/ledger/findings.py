"""What verification says: findings that tell wrong, missing and erased apart, and a summary.

A finding names a position, a block or a table and never what stands there: its words may be logged and sent to others.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What is the matter. ERASED is no damage: the law had the payload removed, and header and proofs still stand."""

    WRONG = "wrong"
    MISSING = "missing"
    ERASED = "erased"


PAYLOAD, SEGMENT, ACCOUNT, CHECKPOINT, TILE, META, REMEMBERED, PAGES = (
    "payload", "segment", "account", "checkpoint", "tile", "meta", "remembered", "pages",
)  # fmt: skip
INDEX = {"ids": "index-ids", "hashes": "index-hashes", "facts": "index-facts", "subjects": "index-subjects"}
"""An entry of an index that is no record's."""
PARTS = frozenset((PAYLOAD, SEGMENT, ACCOUNT, CHECKPOINT, TILE, META, REMEMBERED, PAGES, *INDEX.values(), ""))


class Finding(NamedTuple):
    """One thing that is not as it must be. `position` and `block` are None where it is not about one.

    `part`, `key` and `number` are for whoever mends it, and never told: what is damaged (PARTS), under which key, and a number that goes with it (a segment,
    a checkpoint's size, the position that an index entry should name or -1)."""

    position: int | None
    block: int | None
    kind: Kind
    words: str
    part: str = ""
    key: bytes = b""
    number: int = 0

    def __str__(self) -> str:
        place = [f"position {self.position}"] if self.position is not None else []
        place += [f"block {self.block}"] if self.block is not None else []
        return f"{self.kind.value}: {', '.join(place) or 'ledger'}: {self.words}"


@dataclass(slots=True)
class Summary:
    """What was verified and how often each kind was found. `root` is the tree's over what was verified; `unnamed_bytes` lie behind
    what the database names of the segments, left by a commit that did not come to be, and go at the next start."""

    blocks: int = 0
    records: int = 0
    payload_bytes: int = 0
    checkpoints: int = 0
    wrong: int = 0
    missing: int = 0
    erased: int = 0
    unnamed_bytes: int = 0
    size: int = 0
    root: bytes = b""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong or missing."""
        return self.wrong == self.missing == 0

    def count(self, finding: Finding) -> Finding:
        """Count a finding and hand it on."""
        if finding.kind is Kind.WRONG:
            self.wrong += 1
        elif finding.kind is Kind.MISSING:
            self.missing += 1
        else:
            self.erased += 1
        return finding
