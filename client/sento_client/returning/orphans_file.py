"""The file that people review: every record that a site set aside with a former epoch and that the ledger lacks, and what became of those offered again.

    {"format": "sento-orphans-1", "ledger_id": hex, "site": "jp-fukuoka", "epoch": m, "made_at_ms": t,
     "orphans": [{"record", "record_id", "author", "registry", "kind", "fact", "position", "time_ms", "submission", "why_not", "against"}],
     "answers": [{"record", "code", "position", "words"}]}

`epoch` is the former one; `position` of an orphan is the one that it had there; `submission` numbers those that their author signed together; `why_not` is
empty where the submission can be offered again as it was; `against` is the position of the fact's newest version in the ledger where that is another one
than the orphan was written on, else -1. `answers` has the last word on each record that was offered; `position` is -1 where it does not stand. No content and
no name of a person stands in it: subjects are not listed, and facts are pseudonyms.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from sento_proto.governance.epoch_changes import EPOCH_MAX
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT = "sento-orphans-1"
ORPHANS_MAX_BYTES = 2 * 1024**3
_NUMBER_MAX = 2**63 - 1
_HASH_BYTES, _ID_BYTES = 32, 16
NOWHERE = -1


class Orphan(NamedTuple):
    """One record; see the module."""

    record_hash: bytes
    record_id: bytes
    author: str
    registry: str
    kind: str
    fact: bytes
    position: int
    time_ms: int
    submission: int
    why_not: str = ""
    against: int = NOWHERE


class Answer(NamedTuple):
    """The site's last word on a record that was offered: a code's name, where it stands, and words."""

    record_hash: bytes
    code: str
    position: int = NOWHERE
    words: str = ""

    @property
    def stands(self) -> bool:
        """Whether it stands in the ledger now."""
        return self.position != NOWHERE


@dataclass(frozen=True, slots=True)
class OrphansFile:
    """Everything in the file. `orphans` in the order of their former positions, `answers` by record."""

    ledger_id: bytes
    site: str
    epoch: int
    made_at_ms: int
    orphans: tuple[Orphan, ...]
    answers: tuple[Answer, ...] = ()

    def answered(self, answers: Iterable[Answer]) -> OrphansFile:
        """With these answers; the newest on a record counts."""
        by_record = {one.record_hash: one for one in (*self.answers, *answers)}
        return replace(self, answers=tuple(by_record.values()))


def encode_orphans(file: OrphansFile) -> bytes:
    """The file's bytes."""
    value = {
        "format": FORMAT,
        "ledger_id": file.ledger_id.hex(),
        "site": file.site,
        "epoch": file.epoch,
        "made_at_ms": file.made_at_ms,
        "orphans": [orphan_value(one) for one in file.orphans],
        "answers": [answer_value(one) for one in file.answers],
    }
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def decode_orphans(data: bytes) -> OrphansFile:
    """The file in `data`. Raises Malformed."""
    if len(data) > ORPHANS_MAX_BYTES:
        raise Malformed(f"orphans: over {ORPHANS_MAX_BYTES} bytes")
    fields = load(data, "orphans")
    if (found := fields.text("format")) != FORMAT:
        raise fields.wrong("format", f"must be {FORMAT}, not {found}")
    file = OrphansFile(
        fields.hex("ledger_id", _HASH_BYTES),
        fields.institution("site"),
        fields.number("epoch", 0, EPOCH_MAX),
        fields.number("made_at_ms", 0, _NUMBER_MAX),
        fields.objects("orphans", _orphan),
        fields.objects("answers", _answer),
    )
    fields.end()
    hashes = {one.record_hash for one in file.orphans}
    if len(hashes) != len(file.orphans):
        raise Malformed("orphans: a record is listed twice")
    if not {one.record_hash for one in file.answers} <= hashes:
        raise Malformed("orphans: an answer is on a record that is not listed")
    return file


def orphan_value(one: Orphan) -> dict[str, object]:
    """One record for programs."""
    return {
        "record": one.record_hash.hex(),
        "record_id": one.record_id.hex(),
        "author": one.author,
        "registry": one.registry,
        "kind": one.kind,
        "fact": one.fact.hex(),
        "position": one.position,
        "time_ms": one.time_ms,
        "submission": one.submission,
        "why_not": one.why_not,
        "against": one.against,
    }


def answer_value(one: Answer) -> dict[str, object]:
    """One answer for programs."""
    return {"record": one.record_hash.hex(), "code": one.code, "position": one.position, "words": one.words}


def _orphan(fields: Fields) -> Orphan:
    return Orphan(
        fields.hex("record", _HASH_BYTES),
        fields.hex("record_id", _ID_BYTES),
        fields.text("author"),
        fields.text("registry"),
        fields.text("kind"),
        fields.hex("fact", _ID_BYTES),
        fields.number("position", 0, _NUMBER_MAX),
        fields.number("time_ms", 0, _NUMBER_MAX),
        fields.number("submission", 1, _NUMBER_MAX),
        fields.text("why_not"),
        fields.number("against", NOWHERE, _NUMBER_MAX),
    )


def _answer(fields: Fields) -> Answer:
    return Answer(
        fields.hex("record", _HASH_BYTES),
        fields.text("code"),
        fields.number("position", NOWHERE, _NUMBER_MAX),
        fields.text("words"),
    )
