"""Signed things of good form whose signature must not count: altered, in a second form, by another key, or lifted from elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from golden_vectors.accepted_frames import (
    CHECKPOINT,
    NOTE_TIME_S,
    act_header,
    bare,
    checkpoint_vector,
    signed_checkpoint,
)
from golden_vectors.accepted_records import sealed_record
from golden_vectors.ground import (
    AUTHOR,
    LEDGER_ID,
    OFFICERS,
    OTHER_AUTHOR,
    OTHER_LEDGER_ID,
    SITES,
    Group,
    digest,
    hexed,
    number,
    raw_signature,
)
from golden_vectors.odd_signatures import with_order_added
from sento_proto.block import Lane, sign_block
from sento_proto.checkpoint import TYPE_COSIGNATURE, NoteSignature, cosign, note_key_hash, sign_note
from sento_proto.keys import PublicKey, Signer
from sento_proto.pae import TYPE_BLOCK, TYPE_SUBMISSION, pae
from sento_proto.record import make_record
from sento_proto.submission import (
    FORMAT_SUBMISSION,
    decode_submission,
    encode_submission,
    sign_act,
    sign_submission,
    signed_bytes,
)

_SIGNATURE_BYTES = 64
Case = tuple[str, bytes, PublicKey]


def _flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def _resigned(data: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """`data` with its last 64 bytes, the signature, made from them anew."""
    return data[:-_SIGNATURE_BYTES] + sign(data[-_SIGNATURE_BYTES:])


def _submission_cases() -> Iterator[Case]:
    records = [sealed_record(30, b"one"), bare(31)]
    good = sign_submission(LEDGER_ID, records, AUTHOR)
    root = decode_submission(good).root
    key, other_key = AUTHOR.public_key, OTHER_AUTHOR.public_key
    body = signed_bytes(LEDGER_ID, root, 2, key.key_id)
    other_ledger = sign_submission(OTHER_LEDGER_ID, records, AUTHOR)

    def signed_over(message: bytes, signer: Signer = AUTHOR) -> bytes:
        return _resigned(good, lambda _: signer.sign(message).data)

    def with_signature(data: bytes, suite: int = 1) -> bytes:
        return good[: -_SIGNATURE_BYTES - 3] + raw_signature(data, suite)

    yield "first bit of R altered", _flipped(good, -64), key
    yield "last byte of S altered", _flipped(good, -1), key
    yield "S + L for S", _resigned(good, with_order_added), key
    yield "signature of zeros", with_signature(bytes(64)), key
    yield "signature one byte short", with_signature(good[-64:-1]), key
    yield "signature one byte long", with_signature(good[-64:] + b"\x00"), key
    yield "signature under another suite's number", with_signature(good[-64:], 3), key
    second = (
        good[: -_SIGNATURE_BYTES - 4] + b"\x02" + raw_signature(good[-64:]) + raw_signature(good[-64:], 3)
    )
    yield "a second signature of an unknown suite beside a good one", second, key
    yield "made by another author in this one's name", signed_over(body, OTHER_AUTHOR), key
    yield "held against another author's key", good, other_key
    yield "held against the key of a forger who named the author", signed_over(body, OTHER_AUTHOR), other_key
    yield "lifted from another ledger", number(FORMAT_SUBMISSION, 1) + LEDGER_ID + other_ledger[33:], key
    yield "made over the root alone", signed_over(root), key
    yield "made without type", signed_over(LEDGER_ID + root + number(2, 4) + key.key_id), key
    wrong_type = pae(TYPE_BLOCK, LEDGER_ID + root + number(2, 4) + key.key_id)
    yield "made under the type of a block", signed_over(wrong_type), key
    yield "made over another count", signed_over(signed_bytes(LEDGER_ID, root, 3, key.key_id)), key
    yield "made over another key id", signed_over(signed_bytes(LEDGER_ID, root, 2, other_key.key_id)), key
    signatures = decode_submission(good).signatures
    yield "records in another order", encode_submission(LEDGER_ID, key.key_id, records[::-1], signatures), key
    yield "a record left out", encode_submission(LEDGER_ID, key.key_id, records[:1], signatures), key
    yield "a record added", encode_submission(LEDGER_ID, key.key_id, [*records, bare(32)], signatures), key
    altered = records[0]._replace(payload=_flipped(records[0].payload, -1))
    yield (
        "a payload altered",
        encode_submission(LEDGER_ID, key.key_id, [altered, records[1]], signatures),
        key,
    )
    later = make_record(records[1].header._replace(time_ms=records[1].header.time_ms + 1), b"")
    yield "a header altered", encode_submission(LEDGER_ID, key.key_id, [records[0], later], signatures), key


def _act_cases() -> Iterator[Case]:
    """Acts of one officer: under each the one signature must not count."""
    record = make_record(act_header(b'{"rules":2}'), b"")
    officer, key = OFFICERS[0], OFFICERS[0].public_key
    good = sign_act(LEDGER_ID, 1, record, [officer])
    other_ledger = sign_act(OTHER_LEDGER_ID, 1, record, [officer])
    yield "altered", _flipped(good, -1), key
    yield "S + L for S", _resigned(good, with_order_added), key
    yield "lifted from another ledger", b"\x02" + LEDGER_ID + other_ledger[33:], key
    yield "lifted from another epoch", good[:33] + number(2, 4) + good[37:], key
    yield (
        "made under the type of a submission",
        _resigned(
            good,
            lambda _: officer.sign(pae(TYPE_SUBMISSION, LEDGER_ID + number(1, 4) + record.record_hash)).data,
        ),
        key,
    )
    yield (
        "made by another officer in this one's name",
        _resigned(good, lambda _: sign_act(LEDGER_ID, 1, record, [OFFICERS[1]])[-64:]),
        key,
    )
    other = make_record(act_header(b'{"rules":3}'), b"")
    yield "put under another act", sign_act(LEDGER_ID, 1, other, [officer])[:-64] + good[-64:], key


def _block_cases() -> Iterator[Case]:
    site, other = SITES["jp-fukuoka"], SITES["jp-ishikawa"]
    key = site.public_key
    inner = sign_submission(LEDGER_ID, [bare(31)], AUTHOR)
    lane = Lane("jp-fukuoka", 3, 0)
    good = sign_block(LEDGER_ID, 1, lane, 5, [inner], site)
    body = good[: -_SIGNATURE_BYTES - 3]
    body_hash = hashlib.sha256(body).digest()

    def carrying(data: bytes) -> bytes:
        """`data` with the signature of the good block."""
        return _resigned(data, lambda _: good[-64:])

    def signed_over(message: bytes, signer: Signer = site) -> bytes:
        return _resigned(good, lambda _: signer.sign(message).data)

    yield "altered", _flipped(good, -64), key
    yield "S + L for S", _resigned(good, with_order_added), key
    yield "lifted from another ledger", carrying(good[:1] + OTHER_LEDGER_ID + good[33:]), key
    yield "lifted from another epoch", carrying(sign_block(LEDGER_ID, 2, lane, 5, [inner], site)), key
    yield (
        "lifted from another lane",
        carrying(sign_block(LEDGER_ID, 1, Lane("jp-fukuoka", 3, 1), 5, [inner], site)),
        key,
    )
    yield (
        "lifted from another life of the site",
        carrying(sign_block(LEDGER_ID, 1, Lane("jp-fukuoka", 4, 0), 5, [inner], site)),
        key,
    )
    yield "lifted from another seq", carrying(sign_block(LEDGER_ID, 1, lane, 6, [inner], site)), key
    yield (
        "a submission altered",
        carrying(sign_block(LEDGER_ID, 1, lane, 5, [_flipped(inner, -1)], site)),
        key,
    )
    yield "a submission left out", carrying(sign_block(LEDGER_ID, 1, lane, 5, [], site)), key
    yield "made by another site in this one's name", signed_over(pae(TYPE_BLOCK, body_hash), other), key
    yield "held against another site's key", good, other.public_key
    yield "held against the forger's key", signed_over(pae(TYPE_BLOCK, body_hash), other), other.public_key
    yield "made over the bytes and not their hash", signed_over(pae(TYPE_BLOCK, body)), key
    yield "made over the hash without type", signed_over(body_hash), key
    yield "made under the type of a submission", signed_over(pae(TYPE_SUBMISSION, body_hash)), key


def signed_things() -> Group:
    """Submissions, acts and blocks of good form whose signature must not count for the key beside them."""
    group: Group = []
    for what, cases in (
        ("submission", _submission_cases()),
        ("act", _act_cases()),
        ("block", _block_cases()),
    ):
        group += [
            {"what": what, "name": fault, "public_key": key.data.hex(), "bytes": hexed(data)}
            for fault, data, key in cases
        ]
    return group


def checkpoints() -> Group:
    """Checkpoints of good form under which nobody stands."""
    name, site = "jp-fukuoka", SITES["jp-fukuoka"]
    good = cosign(CHECKPOINT, name, site, NOTE_TIME_S)
    bare_note = sign_note(CHECKPOINT, name, site)
    later = number(NOTE_TIME_S + 1, 8) + good.data[8:]
    elsewhere = CHECKPOINT._replace(ledger_id=OTHER_LEDGER_ID)
    lines = [
        ("altered", good._replace(data=_flipped(good.data, -1))),
        ("S + L for S", good._replace(data=good.data[:8] + with_order_added(good.data[8:]))),
        ("time altered", good._replace(data=later)),
        ("made for another size", cosign(CHECKPOINT._replace(size=1001), name, site, NOTE_TIME_S)),
        ("made for another root", cosign(CHECKPOINT._replace(root=digest("r")), name, site, NOTE_TIME_S)),
        ("made for another epoch", cosign(CHECKPOINT._replace(epoch=2), name, site, NOTE_TIME_S)),
        ("made for another ledger", cosign(elsewhere, name, site, NOTE_TIME_S)),
        (
            "made by another site in this one's name",
            good._replace(data=cosign(CHECKPOINT, name, SITES["jp-ibaraki"], NOTE_TIME_S).data),
        ),
        ("under another site's name", good._replace(name="jp-ibaraki")),
        ("under another key id", good._replace(key_hash=_flipped(good.key_hash, 0))),
        (
            "a note signature as a cosignature",
            NoteSignature(name, good.key_hash, number(NOTE_TIME_S, 8) + bare_note.data),
        ),
        ("a cosignature as a note signature", NoteSignature(name, bare_note.key_hash, good.data[8:])),
        (
            "a cosignature with its time as a note signature",
            NoteSignature(name, bare_note.key_hash, good.data),
        ),
        ("one byte short", good._replace(data=good.data[:-1])),
        ("one byte long", good._replace(data=good.data + b"\x00")),
        ("without time", good._replace(data=good.data[8:])),
        ("a note signature for another size", sign_note(CHECKPOINT._replace(size=1), name, site)),
    ]
    return [
        checkpoint_vector(fault, CHECKPOINT._replace(signatures=(line,)), None, []) for fault, line in lines
    ]


def two_lines_of_one_site() -> Group:
    """A site that stands twice counts once, and a false line does not hide the true one behind it."""
    names = list(SITES)
    whole = signed_checkpoint(CHECKPOINT, None, names[:2])
    first, second = whole.signatures
    again = cosign(CHECKPOINT, names[0], SITES[names[0]], NOTE_TIME_S + 9)
    false = first._replace(data=_flipped(first.data, -1))
    assert first.key_hash == note_key_hash(names[0], TYPE_COSIGNATURE, SITES[names[0]].public_key)
    cases = [
        ("the same site twice", (first, second, again)),
        ("a false line before the true one", (false, first, second)),
    ]
    return [
        checkpoint_vector(name, CHECKPOINT._replace(signatures=lines), None, names[:2])
        for name, lines in cases
    ]
