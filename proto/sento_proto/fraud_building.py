"""Making a fraud file out of evidence: one builder a kind, each of which proves its own file before it hands it out.

A builder raises NotProven where the evidence shows nothing against the site, by the same rules by which everybody judges the file later (`fraud.py`): so a
program may call one on a mere suspicion, and no file lies about that says less than it seems.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from sento_proto.checkpoint import Checkpoint, encode_checkpoint
from sento_proto.fraud import FORMAT, KnownSites, ProvenRecord, verify_fraud
from sento_proto.head_statement import HeadStatement, encode_statement


def two_checkpoints(known: KnownSites, site: str, a: Checkpoint, b: Checkpoint) -> bytes:
    """The site signed two trees of one size. Raises NotProven."""
    return _proven(known, "two-checkpoints", site, a=_note(a), b=_note(b))


def two_histories(
    known: KnownSites,
    site: str,
    a: Checkpoint,
    b: Checkpoint,
    position: int,
    in_a: tuple[bytes, Sequence[bytes]],
    in_b: tuple[bytes, Sequence[bytes]],
) -> bytes:
    """The site signed trees of two sizes that have another record at one position; `in_a` and `in_b` are leaf and path. Raises NotProven."""
    return _proven(
        known,
        "two-histories",
        site,
        a=_note(a),
        b=_note(b),
        position=position,
        leaf_a=in_a[0].hex(),
        path_a=_hexes(in_a[1]),
        leaf_b=in_b[0].hex(),
        path_b=_hexes(in_b[1]),
    )


def two_heads(known: KnownSites, site: str, a: HeadStatement, b: HeadStatement) -> bytes:
    """The site said two things of one subject in one tree. Raises NotProven."""
    return _proven(known, "two-heads", site, a=_statement(a), b=_statement(b))


def head_root(known: KnownSites, statement: HeadStatement, checkpoint: Checkpoint) -> bytes:
    """The statement's site also signed a checkpoint of another tree of that size. Raises NotProven."""
    return _proven(
        known, "head-root", statement.site, statement=_statement(statement), checkpoint=_note(checkpoint)
    )


def head_omits(
    known: KnownSites, statement: HeadStatement, record: ProvenRecord, path: Sequence[bytes]
) -> bytes:
    """A record about the subject stands after the last one that the statement names. Raises NotProven."""
    return _with_record(known, "head-omits", statement, record, path)


def head_invents(
    known: KnownSites, statement: HeadStatement, record: ProvenRecord, path: Sequence[bytes]
) -> bytes:
    """The record that the statement names as the last is about another subject. Raises NotProven."""
    return _with_record(known, "head-invents", statement, record, path)


def head_against_quorum(
    known: KnownSites, statement: HeadStatement, others: Sequence[HeadStatement]
) -> bytes:
    """A receipt quorum of other sites says one other thing: the way to show a false link. Raises NotProven."""
    return _proven(
        known,
        "head-against-quorum",
        statement.site,
        statement=_statement(statement),
        others=[_statement(other) for other in others],
    )


def two_blocks(known: KnownSites, site: str, a: bytes, b: bytes) -> bytes:
    """The site signed two blocks under one number of one lane. Raises NotProven, Malformed."""
    return _proven(known, "two-blocks", site, a=_base64(a), b=_base64(b))


def _with_record(
    known: KnownSites, kind: str, statement: HeadStatement, record: ProvenRecord, path: Sequence[bytes]
) -> bytes:
    value = {
        "position": record.position,
        "record_hash": record.record_hash.hex(),
        "header": _base64(record.header_bytes),
        "payload_hash": record.payload_hash.hex(),
    }
    return _proven(
        known, kind, statement.site, statement=_statement(statement), record=value, path=_hexes(path)
    )


def _proven(known: KnownSites, kind: str, site: str, **members: object) -> bytes:
    value = {"format": FORMAT, "kind": kind, "ledger_id": known.ledger_id.hex(), "site": site, **members}
    data = json.dumps(value, indent=1).encode() + b"\n"
    verify_fraud(data, known)
    return data


def _note(checkpoint: Checkpoint) -> str:
    return encode_checkpoint(checkpoint).decode()


def _statement(statement: HeadStatement) -> str:
    return _base64(encode_statement(statement))


def _hexes(hashes: Sequence[bytes]) -> list[str]:
    return [one.hex() for one in hashes]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
