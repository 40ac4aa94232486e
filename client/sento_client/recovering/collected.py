"""The file that recovery works from: everything that one computer could learn of a ledger whose majority is gone, before anybody decides anything.

    {"format": "sento-collected-1", "ledger_id": hex, "made_at_ms": t,
     "surveys": [{"answered": true | false, "file": base64}],      a running site's answer, or a file made at a stopped site or on a copy
     "silent": [{"site", "at_ms", "words"}],                       sites that were asked and did not answer
     "trusts": [base64, ...],                                      trust files: governance as this computer and others followed it
     "checkpoints": ["<C2SP note>", ...],                          the newest trees of each receipt store
     "known": [{"author", "registry", "epoch", "position", "at_home", "waits", "told", "hashes": base64, "ids": base64}, ...],
     "notes": ["...", ...]}                                        what could not be read, in words

`known` has runs of records: those with receipts side by side in one row (`position` of the first), those from outboxes without one (`position` -1). Nothing
in the file is believed because it stands there: surveys carry their sites' signatures, trust files and checkpoints their own proofs. Pure.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from sento_proto.governance.epoch_changes import EPOCH_MAX
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT = "sento-collected-1"
COLLECTED_MAX_BYTES = 2 * 1024**3
_NUMBER_MAX = 2**63 - 1
_HASH_BYTES, _ID_BYTES = 32, 16


class SurveyFile(NamedTuple):
    """A survey as it came. `answered`: a running site said it when it was asked; otherwise it is a file from a stopped site or a copy."""

    answered: bool
    data: bytes


class Silent(NamedTuple):
    """A site that did not answer this computer at a moment (ms since 1970), and what happened in place of an answer."""

    site: str
    at_ms: int
    words: str


class Known(NamedTuple):
    """A record that somebody outside the sites knows of. `registry`: empty where only a receipt without header is there; `position`: None without a receipt.

    `at_home`: a quorum had it, so it was acknowledged; `waits`: an outbox still keeps it and will send it again; `told`: what the outbox was last told of it,
    the name of a code, or empty."""

    record_hash: bytes
    record_id: bytes
    author: str
    registry: str = ""
    epoch: int = 0
    position: int | None = None
    at_home: bool = True
    waits: bool = False
    told: str = ""

    @property
    def receipt_number(self) -> str:
        """What stands on the paper in a person's hand: "<epoch>-<position>"; empty without a receipt."""
        return "" if self.position is None else f"{self.epoch}-{self.position}"


@dataclass(frozen=True, slots=True)
class Collected:
    """Everything in the file, in form."""

    ledger_id: bytes
    made_at_ms: int
    surveys: tuple[SurveyFile, ...] = ()
    silent: tuple[Silent, ...] = ()
    trusts: tuple[bytes, ...] = ()
    checkpoints: tuple[str, ...] = ()
    known: tuple[Known, ...] = ()
    notes: tuple[str, ...] = ()


def merged(known: Iterable[Known]) -> tuple[Known, ...]:
    """One entry for each record: a receipt's place and an outbox's header together; by epoch and position, those without a receipt last."""
    found: dict[bytes, Known] = {}
    for one in known:
        before = found.get(one.record_hash)
        found[one.record_hash] = one if before is None else _both(before, one)
    return tuple(sorted(found.values(), key=_order))


def _both(first: Known, second: Known) -> Known:
    placed = max(first, second, key=lambda one: (one.position is not None, one.epoch))
    return Known(
        first.record_hash,
        first.record_id if any(first.record_id) else second.record_id,
        first.author or second.author,
        first.registry or second.registry,
        placed.epoch,
        placed.position,
        first.at_home or second.at_home,
        first.waits or second.waits,
        first.told or second.told,
    )


def _order(one: Known) -> tuple[bool, int, int, bytes]:
    return one.position is None, one.epoch, one.position or 0, one.record_hash


def encode_collected(collected: Collected) -> bytes:
    """The file's bytes."""
    value = {
        "format": FORMAT,
        "ledger_id": collected.ledger_id.hex(),
        "made_at_ms": collected.made_at_ms,
        "surveys": [{"answered": one.answered, "file": _base64(one.data)} for one in collected.surveys],
        "silent": [one._asdict() for one in collected.silent],
        "trusts": [_base64(data) for data in collected.trusts],
        "checkpoints": list(collected.checkpoints),
        "known": [_run_value(run) for run in _runs(merged(collected.known))],
        "notes": list(collected.notes),
    }
    return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"


def decode_collected(data: bytes) -> Collected:
    """The file in `data`, form only. Raises Malformed."""
    if len(data) > COLLECTED_MAX_BYTES:
        raise Malformed(f"collected: over {COLLECTED_MAX_BYTES} bytes")
    fields = load(data, "collected")
    fields.choice("format", (FORMAT,))
    collected = Collected(
        fields.hex("ledger_id", _HASH_BYTES),
        fields.number("made_at_ms", 0, _NUMBER_MAX),
        fields.objects("surveys", lambda one: SurveyFile(one.flag("answered"), one.blob("file"))),
        fields.objects("silent", _read_silent),
        fields.blobs("trusts"),
        _read_notes(fields),
        tuple(one for run in fields.objects("known", _read_run) for one in run),
        fields.texts("notes"),
    )
    fields.end()
    return collected


def _read_silent(fields: Fields) -> Silent:
    return Silent(fields.institution("site"), fields.number("at_ms", 0, _NUMBER_MAX), fields.text("words"))


def _read_notes(fields: Fields) -> tuple[str, ...]:
    notes = fields.raw("checkpoints")
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise fields.wrong("checkpoints", "must be a list of notes")
    return tuple(map(str, notes))


def _runs(known: Sequence[Known]) -> Iterator[list[Known]]:
    """Neighbours that differ in nothing but hash, id and a position one higher."""
    run = list(known[:1])
    for before, one in pairwise(known):
        follows = one.position is None or before.position is None or one.position == before.position + 1
        if _shared(before) != _shared(one) or not follows:
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _shared(one: Known) -> tuple[object, ...]:
    return one.author, one.registry, one.epoch, one.position is None, one.at_home, one.waits, one.told


def _run_value(run: Sequence[Known]) -> dict[str, object]:
    first = run[0]
    return {
        "author": first.author,
        "registry": first.registry,
        "epoch": first.epoch,
        "position": -1 if first.position is None else first.position,
        "at_home": first.at_home,
        "waits": first.waits,
        "told": first.told,
        "hashes": _base64(b"".join(one.record_hash for one in run)),
        "ids": _base64(b"".join(one.record_id for one in run)),
    }


def _read_run(fields: Fields) -> tuple[Known, ...]:
    author, registry = fields.text("author"), fields.text("registry")
    epoch, position = fields.number("epoch", 0, EPOCH_MAX), fields.number("position", -1, _NUMBER_MAX)
    at_home, waits, told = fields.flag("at_home"), fields.flag("waits"), fields.text("told")
    hashes, ids = _cut(fields, "hashes", _HASH_BYTES), _cut(fields, "ids", _ID_BYTES)
    if len(hashes) != len(ids):
        raise fields.wrong("ids", "must be as many as hashes")
    return tuple(
        Known(record_hash, record_id, author, registry, epoch, None if position < 0 else position + place, at_home, waits, told)
        for place, (record_hash, record_id) in enumerate(zip(hashes, ids, strict=True))
    )  # fmt: skip


def _cut(fields: Fields, name: str, width: int) -> list[bytes]:
    data = fields.blob(name)
    if len(data) % width:
        raise fields.wrong(name, f"must be pieces of {width} bytes")
    return [data[at : at + width] for at in range(0, len(data), width)]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
