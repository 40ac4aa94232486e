"""The file beside a plan that keeps what was measured while it was carried out. Nothing is decided by it: without it only the report is poorer.

    {"format": "sento-relocation-journal-1", "plan": hex, "before": {...} | null, "after": {...} | null,
     "watched": [{"records", "growths", "longest_ms", "longest_at_ms"}, ...] (one for each time that somebody ran it, newest last),
     "steps": [{"at_ms", "words"}, ...]}
    before, after   {"at_ms", "checkpoint": base64, "sizes": {site: n}, "round_trips_us": {"a - b": us}, "lead"}

Times are ms since 1970 by the computer that wrote them. Pure, but for reading and writing the file.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sento_client.relocating.measuring import Growth
from sento_client.secret_files import write_secret
from sento_proto.checkpoint import Checkpoint, decode_checkpoint, encode_checkpoint
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT = "sento-relocation-journal-1"
FILE_MAX_BYTES = 4 * 1024 * 1024
STEPS_MAX = 1_000
_NUMBER_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Stand:
    """How the ledger stood at one moment. `round_trips_us`: by pair of sites, in microseconds."""

    at_ms: int
    checkpoint: bytes
    sizes: Mapping[str, int]
    round_trips_us: Mapping[str, int]
    lead: str

    @property
    def tree(self) -> Checkpoint:
        """The newest checkpoint of a quorum then. Raises Malformed."""
        return decode_checkpoint(self.checkpoint)


@dataclass(frozen=True, slots=True)
class Journal:
    """What is kept. `watched`: how the ledger grew each time that somebody watched."""

    plan: bytes
    before: Stand | None = None
    after: Stand | None = None
    watched: tuple[Growth, ...] = ()
    steps: tuple[tuple[int, str], ...] = ()

    def noted(self, at_ms: int, words: str) -> Journal:
        """With one step more; what was said last is not said again."""
        if self.steps and self.steps[-1][1] == words:
            return self
        return replace(self, steps=(*self.steps, (at_ms, words))[-STEPS_MAX:])


@dataclass(slots=True)
class JournalFile:
    """The journal of the plan at a path. A file that does not belong to the plan, or is none, is begun anew beside it: measurements are never worth a stop."""

    path: Path
    journal: Journal
    renewed: bool = field(default=False)

    @classmethod
    def of(cls, plan_path: Path, plan: bytes) -> JournalFile:
        """What is there, or an empty one. Raises OSError."""
        path = plan_path.with_name(plan_path.name + ".journal")
        if not path.exists():
            return cls(path, Journal(plan))
        with path.open("rb") as file:
            data = file.read(FILE_MAX_BYTES + 1)
        try:
            known = decode_journal(data)
        except Malformed:
            return cls(path, Journal(plan), renewed=True)
        return cls(path, known) if known.plan == plan else cls(path, Journal(plan), renewed=True)

    def write(self, journal: Journal) -> None:
        """Keep it, whole or as it was. Raises OSError."""
        self.journal = journal
        write_secret(self.path, encode_journal(journal))


def encode_journal(journal: Journal) -> bytes:
    """The file's bytes."""
    value = {
        "format": FORMAT,
        "plan": journal.plan.hex(),
        "before": None if journal.before is None else _stand_value(journal.before),
        "after": None if journal.after is None else _stand_value(journal.after),
        "watched": [
            {
                "records": one.records,
                "growths": one.growths,
                "longest_ms": one.longest_ms,
                "longest_at_ms": one.longest_at_ms,
            }
            for one in journal.watched
        ],
        "steps": [{"at_ms": at_ms, "words": words} for at_ms, words in journal.steps],
    }
    return json.dumps(value, indent=1, ensure_ascii=False).encode("utf-8") + b"\n"


def _stand_value(stand: Stand) -> dict[str, object]:
    return {
        "at_ms": stand.at_ms,
        "checkpoint": base64.b64encode(stand.checkpoint).decode(),
        "sizes": dict(stand.sizes),
        "round_trips_us": dict(stand.round_trips_us),
        "lead": stand.lead,
    }


def decode_journal(data: bytes) -> Journal:
    """The journal in `data`. Raises Malformed."""
    if len(data) > FILE_MAX_BYTES:
        raise Malformed(f"journal: over {FILE_MAX_BYTES} bytes")
    fields = load(data, "journal")
    fields.choice("format", (FORMAT,))
    journal = Journal(
        fields.hex("plan", 32),
        _optional_stand(fields, "before"),
        _optional_stand(fields, "after"),
        fields.objects("watched", _read_growth),
        fields.objects("steps", lambda step: (step.number("at_ms", 0, _NUMBER_MAX), step.text("words"))),
    )
    fields.end()
    return journal


def _optional_stand(fields: Fields, name: str) -> Stand | None:
    value = fields.raw(name)
    if value is None:
        return None
    return Fields({name: value}, "", "journal").inner(name, _read_stand)


def _read_stand(fields: Fields) -> Stand:
    stand = Stand(
        fields.number("at_ms", 0, _NUMBER_MAX),
        fields.blob("checkpoint"),
        fields.inner("sizes", _read_numbers),
        fields.inner("round_trips_us", _read_numbers),
        fields.text("lead"),
    )
    decode_checkpoint(stand.checkpoint)
    return stand


def _read_numbers(fields: Fields) -> dict[str, int]:
    found = fields.rest()
    for name, value in found.items():
        if type(value) is not int or value < 0:
            raise fields.wrong(name, "must be a whole number")
    return {name: value for name, value in found.items() if isinstance(value, int)}


def _read_growth(fields: Fields) -> Growth:
    return Growth(
        records=fields.number("records", 0, _NUMBER_MAX),
        growths=fields.number("growths", 0, _NUMBER_MAX),
        longest_ms=fields.number("longest_ms", 0, _NUMBER_MAX),
        longest_at_ms=fields.number("longest_at_ms", 0, _NUMBER_MAX),
    )


def stand_of(
    at_ms: int, tree: Checkpoint, sizes: Mapping[str, int], round_trips_us: Mapping[str, int], lead: str
) -> Stand:
    """How the ledger stands, to be kept."""
    return Stand(at_ms, encode_checkpoint(tree), sizes, round_trips_us, lead)
