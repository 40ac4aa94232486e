"""Proofs of fraud: a file that shows, from its own bytes and the keys of sites, that a site signed what cannot be true.

    {"format": "sento-fraud-1", "kind": ..., "ledger_id": hex, "site": name, ...}

    two-checkpoints      {"a": note, "b": note}                  signed by the site: equal epoch and size, other root
    two-histories        {"a": note, "b": note, "position", "leaf_a": hex, "path_a": [hex], "leaf_b": hex, "path_b": [hex]}
                                                                 signed by the site: equal epoch, other sizes, another leaf at one position
    two-heads            {"a": statement, "b": statement}        one tree and subject, another last record or link
    head-root            {"statement", "checkpoint": note}       both signed by the site: equal epoch and size, other root
    head-omits           {"statement", "record", "path": [hex]}  a record about the subject in the statement's tree, after the last one that it names
    head-invents         {"statement", "record", "path": [hex]}  the record at the last position that it names is not about the subject
    head-against-quorum  {"statement", "others": [statement]}    a receipt quorum of other sites states one other head in the same tree
    two-blocks           {"a": block, "b": block}                one lane and number, signed by the site, other content

Statements and blocks are base64; `record` is {"position", "record_hash": hex, "header": base64, "payload_hash": hex}; unknown members are refused.

**An honest site can never be shown guilty**, whatever is left out of a file or added to it. All kinds but one rest on the accused site's signatures and on
hashes alone. `head-against-quorum` rests on a quorum's word as well: that a link is false cannot be shown by a list of records, because nothing shows that the
list is whole; with one left out it would make another link, and convict whoever told the truth. So the quorum says it, which an honest site is never against.
That a site kept a payload that the law wanted gone cannot be shown by a signature, so it is no kind.

What is shown is what was signed, not why: a stolen key, a disk that was rolled back unseen, or an index entry that a disk spoiled before the scrub came to
it, signs like a liar does; officers ask for the site's disk before they judge its people. A signature counts with all that the
site's keys demand: one that has an ML-DSA-44 key signs with both, and a checkpoint's bare note signature (type 0x01) is not enough of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from sento_proto import header as header_layout
from sento_proto import limits
from sento_proto.block import Block, decode_block, site_signature_holds
from sento_proto.checkpoint import (
    Checkpoint,
    SiteKeys,
    cosignature_of,
    decode_checkpoint,
    note_signature_holds,
)
from sento_proto.governance.site_keys import ReceiptQuorum
from sento_proto.governance.state import Governance
from sento_proto.head_statement import HeadStatement, decode_statement, statement_holds
from sento_proto.header import Header
from sento_proto.merkle import HASH_BYTES, verify_inclusion
from sento_proto.record import record_hash_of
from sento_proto.strict_json import Fields, load
from sento_proto.wire import Malformed

FORMAT = "sento-fraud-1"
FRAUD_MAX_BYTES = 1024 * limits.KIB
_POSITION_MAX = 2**63 - 1


class NotProven(ValueError):
    """The file is in form and does not show what it says; the text says why. Nothing follows from it."""


class Fraud(NamedTuple):
    """What a file proves. `words`: a sentence for people. `by_quorum`: it rests on a receipt quorum's word too, and not on the site's signatures alone."""

    kind: str
    site: str
    words: str
    by_quorum: bool = False


class ProvenRecord(NamedTuple):
    """A record as a file shows it: its place, and what its hash is made of."""

    position: int
    header_bytes: bytes
    payload_hash: bytes

    @property
    def record_hash(self) -> bytes:
        """The leaf that the path begins with."""
        return record_hash_of(self.header_bytes, self.payload_hash)


@dataclass(frozen=True, slots=True)
class KnownSites:
    """Who is judged and by what: each site's keys ever in force, and the receipt sets by size."""

    ledger_id: bytes
    keys: Mapping[str, tuple[SiteKeys, ...]]
    receipt_quorums: tuple[ReceiptQuorum, ...]

    @classmethod
    def of(cls, governance: Governance) -> Self:
        """All that governance knows, replaced keys too, each with the second key that stood beside it."""
        names = {name for name, _ in governance.site_keys_ever.values()}
        known = {name: governance.site_keys_since_genesis(name) for name in names}
        return cls(governance.ledger_id, known, governance.receipt_quorums)

    def receipt_quorum_at(self, size: int) -> ReceiptQuorum:
        """The receipt set by which trees of this size are judged."""
        return next(entry for entry in reversed(self.receipt_quorums) if entry.from_size <= size)

    def signed_checkpoint(self, site: str, checkpoint: Checkpoint) -> bool:
        """Whether the site vouched for it: cosigned it with all its keys, or, where it has one key, signed the note."""
        return any(
            cosignature_of(checkpoint, checkpoint.signatures, site, keys) is not None
            or (keys.ml_dsa_44 is None and note_signature_holds(checkpoint, site, keys.ed25519))
            for keys in self.keys.get(site, ())
        )

    def signed_statement(self, site: str, statement: HeadStatement) -> bool:
        """Whether the statement is the site's."""
        return statement.site == site and any(
            statement_holds(statement, keys) for keys in self.keys.get(site, ())
        )

    def signed_block(self, site: str, block: Block) -> bool:
        """Whether the block is the site's: in a lane of its own, under a key of its own."""
        return block.lane.site == site and any(
            site_signature_holds(block, keys.ed25519) for keys in self.keys.get(site, ())
        )


def verify_fraud(data: bytes, known: KnownSites) -> Fraud:
    """What the file proves. Raises Malformed when it is not in form, NotProven when it shows nothing against the site."""
    if len(data) > FRAUD_MAX_BYTES:
        raise Malformed(f"fraud: over {FRAUD_MAX_BYTES} bytes")
    fields = load(data, "fraud")
    fields.choice("format", (FORMAT,))
    kind = fields.choice("kind", tuple(_KINDS))
    ledger_id, site = fields.hex("ledger_id", HASH_BYTES), fields.institution("site")
    judge = _Judge(known, site)
    if ledger_id != known.ledger_id:
        raise NotProven("the file is about another ledger")
    words = _KINDS[kind](judge, fields)
    return Fraud(kind, site, f"{site} {words}", by_quorum=kind == "head-against-quorum")


class _Judge:
    """One file being judged. Each kind reads its own members, all of them, and then returns what the site did, or raises NotProven."""

    def __init__(self, known: KnownSites, site: str) -> None:
        self._known = known
        self._site = site

    # -- what the site signed ---------------------------------------------------------------------------------------

    def _require(self, holds: bool, why_not: str) -> None:
        if not holds:
            raise NotProven(why_not)

    def _require_ours(self, *ledger_ids: bytes) -> None:
        self._require(
            all(ledger_id == self._known.ledger_id for ledger_id in ledger_ids),
            "what was signed is about another ledger than the file",
        )

    def _require_checkpoints(self, *checkpoints: Checkpoint) -> None:
        self._require_ours(*(checkpoint.ledger_id for checkpoint in checkpoints))
        self._require(
            all(self._known.signed_checkpoint(self._site, checkpoint) for checkpoint in checkpoints),
            f"a checkpoint is not signed by {self._site} with all that its keys demand",
        )

    def _require_statements(self, *statements: HeadStatement) -> None:
        self._require_ours(*(statement.ledger_id for statement in statements))
        self._require(
            all(self._known.signed_statement(self._site, statement) for statement in statements),
            f"a head statement is not signed by {self._site} with all that its keys demand",
        )

    # -- kinds ------------------------------------------------------------------------------------------------------

    def two_checkpoints(self, fields: Fields) -> str:
        a, b = _read_note(fields, "a"), _read_note(fields, "b")
        fields.end()
        self._require_checkpoints(a, b)
        self._require((a.epoch, a.size) == (b.epoch, b.size), "the checkpoints are of two epochs or sizes")
        self._require(a.root != b.root, "both checkpoints say the same root")
        return f"signed two different trees of {a.size} records in epoch {a.epoch}."

    def two_histories(self, fields: Fields) -> str:
        a, b = _read_note(fields, "a"), _read_note(fields, "b")
        position = fields.number("position", 0, _POSITION_MAX)
        leaf_a, path_a = fields.hex("leaf_a", HASH_BYTES), _read_path(fields, "path_a")
        leaf_b, path_b = fields.hex("leaf_b", HASH_BYTES), _read_path(fields, "path_b")
        fields.end()
        self._require_checkpoints(a, b)
        self._require(a.epoch == b.epoch, "the checkpoints are of two epochs: a recovery may lie between")
        self._require(a.size != b.size, "the checkpoints have one size: that is another kind")
        self._require(leaf_a != leaf_b, "both trees have the same record at that position")
        self._require(
            verify_inclusion(leaf_a, position, a.size, path_a, a.root)
            and verify_inclusion(leaf_b, position, b.size, path_b, b.root),
            "a path does not lead from its leaf to its checkpoint's root",
        )
        return f"signed trees of {a.size} and {b.size} records in epoch {a.epoch} with two different records at position {position}."

    def two_heads(self, fields: Fields) -> str:
        a, b = _read_statement(fields, "a"), _read_statement(fields, "b")
        fields.end()
        self._require_statements(a, b)
        self._require(a.about == b.about, "the statements speak of two trees or two subjects")
        self._require(a.head != b.head, "both statements say the same")
        return f"signed two different words on one subject's last record in one tree of {a.size} records."

    def head_root(self, fields: Fields) -> str:
        statement, checkpoint = _read_statement(fields, "statement"), _read_note(fields, "checkpoint")
        fields.end()
        self._require_statements(statement)
        self._require_checkpoints(checkpoint)
        self._require(
            (statement.epoch, statement.size) == (checkpoint.epoch, checkpoint.size),
            "statement and checkpoint are of two epochs or sizes",
        )
        self._require(statement.root != checkpoint.root, "statement and checkpoint say the same root")
        return (
            f"signed a head statement and a checkpoint of two different trees of {checkpoint.size} records."
        )

    def head_omits(self, fields: Fields) -> str:
        statement, record, header = self._statement_and_record(fields)
        last = statement.head.last_position
        self._require(
            (header.registry, header.subject) == (statement.registry, statement.subject),
            "the record is not about the statement's subject",
        )
        self._require(
            last is None or record.position > last, "the record does not come after the statement's last one"
        )
        said = "no record" if last is None else f"position {last}"
        return f"signed that {said} is a subject's last in the tree of {statement.size} records, where position {record.position} is about the same subject."

    def head_invents(self, fields: Fields) -> str:
        statement, record, header = self._statement_and_record(fields)
        self._require(
            record.position == statement.head.last_position,
            "the record is not at the statement's last position",
        )
        self._require(
            (header.registry, header.subject) != (statement.registry, statement.subject),
            "the record is about the statement's subject, as it says",
        )
        return f"signed that position {record.position} is a subject's last record, and that record is about another."

    def _statement_and_record(self, fields: Fields) -> tuple[HeadStatement, ProvenRecord, Header]:
        statement = _read_statement(fields, "statement")
        record = fields.inner("record", _read_record)
        path = _read_path(fields, "path")
        fields.end()
        self._require_statements(statement)
        self._require(
            verify_inclusion(record.record_hash, record.position, statement.size, path, statement.root),
            "the record is not shown to stand in the statement's tree",
        )
        return statement, record, header_layout.decode(record.header_bytes)

    def head_against_quorum(self, fields: Fields) -> str:
        statement = _read_statement(fields, "statement")
        others = tuple(
            _statement(blob, f"others[{index}]", fields)
            for index, blob in enumerate(_read_blobs(fields, "others"))
        )
        fields.end()
        self._require_statements(statement)
        receipt = self._known.receipt_quorum_at(statement.size)
        names = {other.site for other in others}
        self._require(len(names) == len(others), "a site's statement stands twice among the others")
        self._require(self._site not in names, "the site stands among the others")
        self._require(names <= receipt.keys.keys(), "a site among the others is not of the receipt set")
        self._require(len(names) >= receipt.quorum, f"{receipt.quorum} other sites are needed for a quorum")
        self._require(
            all(self._known.signed_statement(other.site, other) for other in others),
            "a statement among the others is not signed by its site with all that its keys demand",
        )
        self._require(
            {other.about for other in others} == {statement.about},
            "the statements speak of two trees or two subjects",
        )
        heads = {other.head for other in others}
        self._require(len(heads) == 1, "the others do not say the same")
        self._require(statement.head not in heads, "the site says what the others say")
        return f"signed another word on a subject's last record than {', '.join(sorted(names))} in one tree of {statement.size} records."

    def two_blocks(self, fields: Fields) -> str:
        a, b = _read_block(fields, "a"), _read_block(fields, "b")
        fields.end()
        self._require_ours(a.ledger_id, b.ledger_id)
        self._require(
            self._known.signed_block(self._site, a) and self._known.signed_block(self._site, b),
            f"a block is not signed by {self._site} in a lane of its own",
        )
        self._require((a.epoch, a.lane, a.seq) == (b.epoch, b.lane, b.seq), "the blocks have two numbers")
        self._require(a.signed_hash != b.signed_hash, "it is one block twice")
        return f"signed two different blocks as number {a.seq} of lane {a.lane}."


_KINDS: Mapping[str, Callable[[_Judge, Fields], str]] = {
    "two-checkpoints": _Judge.two_checkpoints,
    "two-histories": _Judge.two_histories,
    "two-heads": _Judge.two_heads,
    "head-root": _Judge.head_root,
    "head-omits": _Judge.head_omits,
    "head-invents": _Judge.head_invents,
    "head-against-quorum": _Judge.head_against_quorum,
    "two-blocks": _Judge.two_blocks,
}
KINDS = tuple(_KINDS)


def _read_note(fields: Fields, name: str) -> Checkpoint:
    value = fields.raw(name)
    if not isinstance(value, str):
        raise fields.wrong(name, "must be a checkpoint's text")
    try:
        return decode_checkpoint(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise fields.wrong(name, "is not Unicode text") from None


def _read_statement(fields: Fields, name: str) -> HeadStatement:
    return _statement(fields.blob(name), name, fields)


def _statement(data: bytes, name: str, fields: Fields) -> HeadStatement:
    try:
        return decode_statement(data)
    except Malformed as error:
        raise fields.wrong(f"{name}:", str(error)) from None


def _read_block(fields: Fields, name: str) -> Block:
    try:
        return decode_block(fields.blob(name))
    except Malformed as error:
        raise fields.wrong(f"{name}:", str(error)) from None


def _read_record(fields: Fields) -> ProvenRecord:
    record = ProvenRecord(
        fields.number("position", 0, _POSITION_MAX),
        fields.blob("header"),
        fields.hex("payload_hash", HASH_BYTES),
    )
    if fields.hex("record_hash", HASH_BYTES) != record.record_hash:
        raise fields.wrong("record_hash", "is not that of header and payload hash")
    header_layout.decode(record.header_bytes)
    return record


def _read_path(fields: Fields, name: str) -> tuple[bytes, ...]:
    path = fields.hexes(name, HASH_BYTES)
    if len(path) > limits.PROOF_MAX_HASHES:
        raise fields.wrong(name, f"has more than {limits.PROOF_MAX_HASHES} hashes")
    return path


def _read_blobs(fields: Fields, name: str) -> tuple[bytes, ...]:
    values = fields.raw(name)
    if not isinstance(values, list):
        raise fields.wrong(name, "must be a list")
    inner = Fields({str(index): value for index, value in enumerate(values)}, name, "fraud")
    return tuple(inner.blob(str(index)) for index in range(len(values)))
