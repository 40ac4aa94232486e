"""Submissions, officers' acts and blocks that every decoder must refuse, each under the name of its fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from golden_vectors.accepted_frames import full_submission_records
from golden_vectors.ground import (
    LEDGER_ID,
    OFFICERS,
    OTHER_AUTHOR,
    SITES,
    Group,
    RawHeader,
    digest,
    hexed,
    number,
    raw_act,
    raw_block,
    raw_record,
    raw_signature,
    raw_submission,
    record_id,
    sized,
    truncations,
)
from sento_proto.submission import group_value

Cases = Iterator[tuple[str, bytes]]
_COMMIT = digest("commit")
_OFFICER_IDS = tuple(officer.public_key.key_id for officer in OFFICERS)


def header(n: int, **changes: object) -> bytes:
    """The n-th good header with some fields changed."""
    return replace(RawHeader(record_id=record_id(n)), **changes).encoded()  # type: ignore[arg-type]


def record(n: int, **changes: object) -> bytes:
    """The frame of a record without payload."""
    return raw_record(header(n, **changes))


def _submission_fields() -> list[tuple[str, bytes]]:
    head = header(0, payload_bytes=5, dek_commit=_COMMIT)
    return [
        ("format", number(1, 1)),
        ("ledger id", LEDGER_ID),
        ("author key id", RawHeader().author_key_id),
        ("record count", number(1, 4)),
        ("header length", number(len(head), 4)),
        ("header", head),
        ("payload length", number(5, 4)),
        ("payload", b"12345"),
        ("signature count", number(1, 1)),
        ("suite", number(1, 1)),
        ("signature length", number(64, 2)),
        ("signature", digest("signature", 64)),
    ]


def _submission_shape() -> Cases:
    good = raw_submission([record(0)])
    yield "format 0", b"\x00" + good[1:]
    yield "format 3", b"\x03" + good[1:]
    yield "format 255", b"\xff" + good[1:]
    yield "an act's format over a submission's bytes", b"\x02" + good[1:]
    yield "a block's bytes", raw_block([good])
    yield "one byte after the end", good + b"\x00"
    yield "twice over", good * 2
    yield (
        "author key id of zeros",
        raw_submission([record(0, author_key_id=bytes(16))], author_key_id=bytes(16)),
    )
    yield "no record", raw_submission([])
    yield "count 0 over a record", raw_submission([record(0)], count=0)
    yield "count larger than the records", raw_submission([record(0)], count=2)
    yield "count smaller than the records", raw_submission([record(0), record(1)], count=1)
    yield "count of 4 billion", raw_submission([record(0)], count=2**32 - 1)
    yield "over 256 bytes of nothing after the largest submission", good + bytes(61 * 1024)


def _submission_records() -> Cases:
    head = header(0)
    five = header(0, payload_bytes=5, dek_commit=_COMMIT)
    largest = header(0, payload_bytes=32 * 1024, dek_commit=_COMMIT)
    yield "header malformed", raw_submission([raw_record(head + b"\x00")])
    yield "second header malformed", raw_submission([record(0), raw_record(header(1, version=2))])
    yield "header empty", raw_submission([raw_record(b"")])
    yield "header length one short", raw_submission([number(len(head) - 1, 4) + head + sized(b"")])
    yield "header length one long", raw_submission([number(len(head) + 1, 4) + head + sized(b"")])
    yield "header of 17 KiB", raw_submission([raw_record(bytes(17 * 1024))])
    yield "header length of 4 GiB", raw_submission([number(2**32 - 1, 4) + head + sized(b"")])
    yield "payload where the header names none", raw_submission([raw_record(head, b"x")])
    yield "no payload where the header names five bytes", raw_submission([raw_record(five)])
    yield "payload one byte short", raw_submission([raw_record(five, b"1234")])
    yield "payload one byte long", raw_submission([raw_record(five, b"123456")])
    yield "payload one byte over 32 KiB", raw_submission([raw_record(largest, bytes(32 * 1024 + 1))])
    yield "payload length of 4 GiB", raw_submission([sized(five) + number(2**32 - 1, 4) + b"12345"])
    yield (
        "header names another author key",
        raw_submission([record(0, author_key_id=OTHER_AUTHOR.public_key.key_id)]),
    )
    yield (
        "second header names another author key",
        raw_submission([record(0), record(1, author_key_id=OTHER_AUTHOR.public_key.key_id)]),
    )
    yield "header names sixteen zeros as its author key", raw_submission([record(0, author_key_id=bytes(16))])
    yield "records of two registries", raw_submission([record(0), record(1, registry=b"tax")])
    yield (
        "first record of another registry than the rest",
        raw_submission([record(0, registry=b"tax"), record(1), record(2)]),
    )
    yield "the same record twice", raw_submission([record(0), record(0)])
    yield "one record id under two records", raw_submission([record(0), record(1), record(0, kind=b"name")])
    over = [raw_record(item.header_bytes, item.payload) for item in full_submission_records(1)]
    yield "records one byte over 56 KiB", raw_submission(over)
    yield "1025 records", raw_submission([record(n) for n in range(3)], count=1025)


def _submission_groups() -> Cases:
    ids = [record_id(n) for n in range(3)]
    whole = group_value(ids)
    pair = group_value(ids[:2])
    yield "a group's last member missing", raw_submission([record(n, group=whole) for n in (0, 1)])
    yield "a group's first member missing", raw_submission([record(n, group=whole) for n in (1, 2)])
    yield "one member of a group alone", raw_submission([record(0, group=whole)])
    yield "a group in another order", raw_submission([record(n, group=whole) for n in (1, 0, 2)])
    yield "a group with a member too many", raw_submission([record(n, group=pair) for n in range(3)])
    yield (
        "a member that names no group",
        raw_submission([record(0, group=whole), record(1, group=whole), record(2)]),
    )
    yield (
        "a group value that nobody computed",
        raw_submission([record(n, group=digest("group", 16)) for n in (0, 1)]),
    )
    yield (
        "a group value over sorted ids of another order",
        raw_submission([record(n, group=group_value([ids[2], ids[1], ids[0]])) for n in range(3)]),
    )
    yield (
        "one whole group and one split",
        raw_submission([record(0, group=pair), record(1, group=pair), record(2, group=group_value(ids[1:]))]),
    )


def _signatures() -> Cases:
    one = [record(0)]
    first, third = raw_signature(), raw_signature(suite=3)
    yield "no signature", raw_submission(one, [])
    yield "signature count 0 over a signature", raw_submission(one, signature_count=0)
    yield "signature count larger than the signatures", raw_submission(one, signature_count=2)
    yield (
        "signature count smaller than the signatures",
        raw_submission(one, [first, third], signature_count=1),
    )
    yield "17 signatures", raw_submission(one, [raw_signature(suite=n) for n in range(1, 18)])
    yield "the same signature twice", raw_submission(one, [first, first])
    yield "two signatures of one suite", raw_submission(one, [first, raw_signature(digest("another", 64))])
    yield "signatures in falling order of suite", raw_submission(one, [third, first])
    yield "third signature out of order", raw_submission(one, [first, raw_signature(suite=4), third])
    yield "signature of suite 0", raw_submission(one, [raw_signature(suite=0)])
    yield "signature empty", raw_submission(one, [raw_signature(b"")])
    yield "signature one byte over 3,400", raw_submission(one, [raw_signature(bytes(3401))])
    yield "signature length one short", raw_submission(one, [b"\x01" + number(63, 2) + bytes(64)])
    yield "signature length one long", raw_submission(one, [b"\x01" + number(65, 2) + bytes(64)])
    yield "signatures over 4 KiB", raw_submission(one, [raw_signature(bytes(2100), n) for n in (1, 2)])


def submissions() -> Group:
    """Submissions to refuse."""
    cases = [
        *truncations(_submission_fields()),
        *_submission_shape(),
        *_submission_records(),
        *_submission_groups(),
        *_signatures(),
    ]
    return [{"name": fault, "bytes": hexed(data)} for fault, data in cases]


def _act(signatures: Sequence[tuple[bytes, bytes]], n: int = 0, **changes: object) -> bytes:
    fields: dict[str, object] = {"registry": b"governance", "kind": b"act", "author_key_id": bytes(16)}
    return raw_act([record(n, **(fields | changes))], signatures)


def acts() -> Group:
    """Officers' acts to refuse; the same decoder reads them."""
    a, b, c = _OFFICER_IDS
    one = raw_signature()
    act_record = record(0, registry=b"governance", kind=b"act", author_key_id=bytes(16))
    second = record(1, registry=b"governance", kind=b"act", author_key_id=bytes(16))
    fields = [
        ("format", number(2, 1)),
        ("ledger id", LEDGER_ID),
        ("epoch", number(1, 4)),
        ("record count", number(1, 4)),
        ("record", act_record),
        ("signature count", number(1, 1)),
        ("officer key id", a),
        ("signature", one),
    ]
    cases = [
        *truncations(fields),
        ("one byte after the end", _act([(a, one)]) + b"\x00"),
        ("no record", raw_act([], [(a, one)])),
        ("two records", raw_act([act_record, second], [(a, one)])),
        ("count larger than the records", raw_act([act_record], [(a, one)], count=2)),
        ("header names an author key", _act([(a, one)], author_key_id=OTHER_AUTHOR.public_key.key_id)),
        ("a group that is not whole", _act([(a, one)], group=digest("group", 16))),
        ("no signature", _act([])),
        ("signature count larger than the signatures", raw_act([act_record], [(a, one)], signature_count=2)),
        ("17 signatures", _act([(number(n, 16), one) for n in range(17)])),
        ("officers in falling order", _act([(b, one), (a, one)])),
        ("third officer out of order", _act([(a, one), (c, one), (b, one)])),
        ("one officer twice", _act([(a, one), (a, one)])),
        ("one officer twice with two signatures", _act([(a, one), (a, raw_signature(digest("x", 64)))])),
        ("one officer twice under two suites", _act([(a, one), (a, raw_signature(suite=3))])),
        ("signature of suite 0", _act([(a, raw_signature(suite=0))])),
        ("signature empty", _act([(a, raw_signature(b""))])),
        ("signatures over 4 KiB", _act([(key_id, raw_signature(bytes(1400))) for key_id in (a, b, c)])),
    ]
    return [{"name": fault, "bytes": hexed(data)} for fault, data in cases]


_BAD_LANES = (
    ("empty", b""),
    ("without slashes", b"jp-fukuoka"),
    ("of two parts", b"jp-fukuoka/1"),
    ("of four parts", b"jp-fukuoka/1/0/0"),
    ("with a slash in front", b"/jp-fukuoka/1/0"),
    ("with a slash behind", b"jp-fukuoka/1/0/"),
    ("without site", b"/1/0"),
    ("without boot number", b"jp-fukuoka//0"),
    ("without number", b"jp-fukuoka/1/"),
    ("of boot number 0", b"jp-fukuoka/0/0"),
    ("with a zero before the boot number", b"jp-fukuoka/01/0"),
    ("with a zero before the number", b"jp-fukuoka/1/00"),
    ("with a zero before a digit of the number", b"jp-fukuoka/1/01"),
    ("of number 100", b"jp-fukuoka/1/100"),
    ("with a boot number of 13 digits", b"jp-fukuoka/1000000000000/0"),
    ("with a plus sign", b"jp-fukuoka/+1/0"),
    ("with a minus sign", b"jp-fukuoka/-1/0"),
    ("with a hexadecimal number", b"jp-fukuoka/1/a"),
    ("with an underscore in the number", b"jp-fukuoka/1_0/0"),
    ("with an upper-case site", b"JP-fukuoka/1/0"),
    ("with a slash in the site", b"jp/fukuoka/1/0"),
    ("with a site of 33 characters", b"a" * 33 + b"/1/0"),
    ("with a space in front", b" jp-fukuoka/1/0"),
    ("with a space behind", b"jp-fukuoka/1/0 "),
    ("with a line feed behind", b"jp-fukuoka/1/0\n"),
    ("with a zero byte behind", b"jp-fukuoka/1/0\x00"),
    ("with full-width digits", "jp-fukuoka/１/0".encode()),
    ("with Arabic digits", "jp-fukuoka/١/0".encode()),
    ("with bytes over 127", b"jp-fukuok\xe1/1/0"),
)


def _block_fields() -> list[tuple[str, bytes]]:
    inner = raw_submission([record(0)])
    return [
        ("format", number(1, 1)),
        ("ledger id", LEDGER_ID),
        ("epoch", number(1, 4)),
        ("site key id", SITES["jp-fukuoka"].public_key.key_id),
        ("lane length", number(14, 1)),
        ("lane", b"jp-fukuoka/3/0"),
        ("seq", number(1, 8)),
        ("submission count", number(1, 4)),
        ("submission length", number(len(inner), 4)),
        ("submission", inner),
        ("suite", number(1, 1)),
        ("signature length", number(64, 2)),
        ("signature", digest("signature", 64)),
    ]


def _block_faults() -> Cases:
    good = raw_block([b"one"])
    for fault, lane in _BAD_LANES:
        yield f"lane {fault}", raw_block(lane=lane)
    yield "format 0", raw_block(form=0)
    yield "format 2", raw_block(form=2)
    yield "one byte after the end", good + b"\x00"
    yield "twice over", good * 2
    yield "seq 0", raw_block(seq=0)
    yield "count larger than the submissions", raw_block([b"one"], count=2)
    yield "count smaller than the submissions", raw_block([b"one", b"two"], count=1)
    yield "1025 submissions", raw_block([b""] * 1025)
    yield "count of 4 billion", raw_block(count=2**32 - 1)
    yield "submission one byte over the largest", raw_block([bytes(60 * 1024 + 257)])
    yield "submission length of 4 GiB", raw_block(count=1, signature=number(2**32 - 1, 4) + raw_signature())
    yield "over 256 KiB", raw_block([bytes(52 * 1024)] * 5)
    yield "signature missing", raw_block(signature=b"")
    yield "signature empty", raw_block(signature=raw_signature(b""))
    yield "signature of suite 0", raw_block(signature=raw_signature(suite=0))
    yield "signature one byte over 3,400", raw_block(signature=raw_signature(bytes(3401)))
    yield "two signatures", raw_block(signature=raw_signature() * 2)
    yield (
        "signature count in front of the signature, as a submission has it",
        raw_block(signature=b"\x01" + raw_signature()),
    )


def blocks() -> Group:
    """Blocks to refuse."""
    cases = [*truncations(_block_fields()), *_block_faults()]
    return [{"name": fault, "bytes": hexed(data)} for fault, data in cases]
