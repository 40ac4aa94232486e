"""Vectors of what must be accepted, from the submission up: submissions, officers' acts, blocks, checkpoints, the frame of KEK seals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from golden_vectors.accepted_records import PLAIN, sealed_record
from golden_vectors.ground import (
    AUTHOR,
    LEDGER_ID,
    OFFICERS,
    OTHER_AUTHOR,
    SITES,
    ZERO16,
    Group,
    Vector,
    digest,
    hexed,
    raw_record,
    raw_signature,
    raw_submission,
    record_id,
    unhexed,
)
from sento_proto import limits
from sento_proto.block import Lane, decode_block, sign_block
from sento_proto.checkpoint import (
    TYPE_COSIGNATURE,
    TYPE_ED25519,
    TYPE_ML_DSA_44,
    Checkpoint,
    NoteSignature,
    cosign,
    encode_checkpoint,
    note_key_hash,
    sign_note,
    subtree_bytes,
)
from sento_proto.header import Header
from sento_proto.kek_seal import KekName, recipient_key_id, xwing_public
from sento_proto.keys import Signer
from sento_proto.record import Record, make_record
from sento_proto.software_signers import MlDsa44Signer
from sento_proto.submission import (
    act_signed_bytes,
    decode_submission,
    group_value,
    sign_act,
    sign_submission,
    signed_bytes,
)

ML_DSA_44_FILE = Path(__file__).parents[2] / "golden" / "ml_dsa_44.hex"
KEK_SEAL_FILE = Path(__file__).parents[2] / "golden" / "kek_seal.hex"


def bare(n: int, **changes: object) -> Record:
    """The n-th record without payload."""
    return make_record(PLAIN._replace(record_id=record_id(n))._replace(**changes), b"")  # type: ignore[arg-type]


def submission_vector(name: str, data: bytes, signer: Signer = AUTHOR) -> Vector:
    """A signed submission beside what it says."""
    submission = decode_submission(data)
    key = signer.public_key
    count = len(submission.records)
    return {
        "name": name,
        "ledger_id": LEDGER_ID.hex(),
        "author_public_key": key.data.hex(),
        "author_key_id": key.key_id.hex(),
        "registry": submission.records[0].header.registry,
        "record_hashes": [record.record_hash.hex() for record in submission.records],
        "root": submission.root.hex(),
        "signed": signed_bytes(LEDGER_ID, submission.root, count, key.key_id).hex(),
        "bytes": hexed(data),
    }


def grouped(first: int, count: int) -> list[Record]:
    """Records that stand or fall together."""
    ids = [record_id(n) for n in range(first, first + count)]
    return [
        bare(n, group=group_value(ids), fact=digest(f"fact {n}", 16)) for n in range(first, first + count)
    ]


def full_submission_records(extra_bytes: int = 0) -> list[Record]:
    """Two records that fill a submission's 56 KiB to the byte, and `extra_bytes` more."""
    commit = digest("commit")
    payload_bytes = [limits.PAYLOAD_MAX_BYTES, 0]
    frames = 2 * (8 + len(bare(40).header_bytes))
    payload_bytes[1] = limits.SUBMISSION_RECORDS_MAX_BYTES - frames - payload_bytes[0] + extra_bytes
    return [
        make_record(
            PLAIN._replace(record_id=record_id(40 + n), payload_bytes=size, dek_commit=commit), bytes(size)
        )
        for n, size in enumerate(payload_bytes)
    ]


def submissions() -> Group:
    """Good submissions."""
    act = PLAIN._replace(registry="governance", kind="proposal", content=b'{"open":true}')
    two_groups = [record for pair in zip(grouped(50, 2), grouped(60, 2), strict=True) for record in pair]
    cases: list[tuple[str, list[Record], Signer]] = [
        ("one record", [sealed_record(30, b"one")], AUTHOR),
        ("one record without payload", [bare(31)], AUTHOR),
        (
            "three records, one without payload",
            [sealed_record(32, b"a"), bare(33), sealed_record(34, b"c")],
            AUTHOR,
        ),
        ("seven records", [bare(n, fact=digest(f"fact {n}", 16)) for n in range(7)], AUTHOR),
        ("a group of three", grouped(10, 3), AUTHOR),
        ("two groups, their members mixed", two_groups, AUTHOR),
        ("a group beside a record of none", [*grouped(70, 2), bare(72)], AUTHOR),
        ("content in clear in governance", [make_record(act, b"")], AUTHOR),
        ("another author", [bare(35, author_key_id=OTHER_AUTHOR.public_key.key_id)], OTHER_AUTHOR),
        ("records fill 56 KiB to the byte", full_submission_records(), AUTHOR),
    ]
    return [
        submission_vector(name, sign_submission(LEDGER_ID, records, signer), signer)
        for name, records, signer in cases
    ]


def form_only() -> Group:
    """Submissions whose form is good though nobody here can verify them: signatures of suites that are yet to come."""
    record = raw_record(bare(36).header_bytes)
    big = [raw_signature(digest(f"s{n}", 1300), n) for n in (1, 2, 3)]
    return [
        {
            "name": "two suites",
            "bytes": hexed(raw_submission([record], [raw_signature(), raw_signature(suite=3)])),
        },
        {"name": "an unknown suite", "bytes": hexed(raw_submission([record], [raw_signature(suite=255)]))},
        {"name": "three long signatures", "bytes": hexed(raw_submission([record], big))},
        {"name": "a signature of one byte", "bytes": hexed(raw_submission([record], [raw_signature(b"s")]))},
    ]


def act_header(content: bytes, previous: bytes = bytes(32)) -> Header:
    """An officers' act's header: no author key, the one fact of all acts."""
    return PLAIN._replace(
        author_key_id=ZERO16,
        key_epoch=0,
        registry="governance",
        kind="act",
        content=content,
        previous=previous,
    )


def act_vector(name: str, data: bytes, epoch: int, officers: Sequence[Signer]) -> Vector:
    """An act beside what it says."""
    record_hash = decode_submission(data).records[0].record_hash
    return {
        "name": name,
        "ledger_id": LEDGER_ID.hex(),
        "epoch": epoch,
        "record_hash": record_hash.hex(),
        "signed": act_signed_bytes(LEDGER_ID, epoch, record_hash).hex(),
        "officers": [
            {"key_id": officer.public_key.key_id.hex(), "public_key": officer.public_key.data.hex()}
            for officer in officers
        ],
        "bytes": hexed(data),
    }


def acts() -> Group:
    """Good officers' acts; signatures stand in order of the officers' key ids."""
    first = make_record(act_header(b'{"rules":2}'), b"")
    second = make_record(act_header(b'{"rules":3}', first.record_hash), b"")
    cases = [
        ("two of three officers", first, 1, OFFICERS[:2]),
        ("all three officers", first, 1, OFFICERS),
        ("one officer, epoch 7, a further act", second, 7, OFFICERS[2:]),
    ]
    return [
        act_vector(name, sign_act(LEDGER_ID, epoch, record, list(reversed(officers))), epoch, officers)
        for name, record, epoch, officers in cases
    ]


def block_vector(name: str, data: bytes) -> Vector:
    """A block beside what it says."""
    block = decode_block(data)
    return {
        "name": name,
        "ledger_id": block.ledger_id.hex(),
        "epoch": block.epoch,
        "site_key_id": block.site_key_id.hex(),
        "site_public_key": SITES[block.lane.site].public_key.data.hex(),
        "lane": {
            "site": block.lane.site,
            "boot_number": str(block.lane.boot_number),
            "number": block.lane.number,
        },
        "seq": str(block.seq),
        "submissions": [hexed(submission) for submission in block.submissions],
        "signed_hash": block.signed_hash.hex(),
        "bytes": hexed(data),
    }


def blocks() -> Group:
    """Good blocks. What is no submission may stand in one: it falls for itself."""
    one = sign_submission(LEDGER_ID, [sealed_record(30, b"one")], AUTHOR)
    three = [sign_submission(LEDGER_ID, [bare(80 + n)], AUTHOR) for n in range(3)]
    full = sign_submission(LEDGER_ID, full_submission_records(), AUTHOR)
    cases: list[tuple[str, str, int, Lane, int, list[bytes]]] = [
        ("no submission", "jp-fukuoka", 1, Lane("jp-fukuoka", 1, 0), 1, []),
        ("one submission", "jp-fukuoka", 1, Lane("jp-fukuoka", 3, 0), 1, [one]),
        ("three submissions", "jp-ishikawa", 2, Lane("jp-ishikawa", 12, 3), 7, three),
        (
            "not a submission, and nothing",
            "jp-ibaraki",
            1,
            Lane("jp-ibaraki", 1, 0),
            2,
            [b"not a submission", b""],
        ),
        (
            "numbers at their largest",
            "jp-ibaraki",
            2**32 - 1,
            Lane("jp-ibaraki", 10**12 - 1, 99),
            2**64 - 1,
            [],
        ),
        ("a full submission fits", "jp-fukuoka", 1, Lane("jp-fukuoka", 3, 1), 2, [full]),
    ]
    return [
        block_vector(name, sign_block(LEDGER_ID, epoch, lane, seq, submissions, SITES[site]))
        for name, site, epoch, lane, seq, submissions in cases
    ]


CHECKPOINT = Checkpoint(LEDGER_ID, 1, 1000, digest("root"))
NOTE_TIME_S = 1_767_225_600


def checkpoint_vector(
    name: str, checkpoint: Checkpoint, note: str | None, cosigners: Sequence[str]
) -> Vector:
    """A checkpoint beside what it says and who stands behind it."""
    keys = {site: signer.public_key for site, signer in SITES.items()}
    return {
        "name": name,
        "ledger_id": checkpoint.ledger_id.hex(),
        "epoch": checkpoint.epoch,
        "size": str(checkpoint.size),
        "root": checkpoint.root.hex(),
        "text": checkpoint.text.decode(),
        "lines": len(checkpoint.signatures),
        "keys": {site: key.data.hex() for site, key in keys.items()},
        "note_key_hashes": {site: note_key_hash(site, TYPE_ED25519, key).hex() for site, key in keys.items()},
        "cosigner_key_hashes": {
            site: note_key_hash(site, TYPE_COSIGNATURE, key).hex() for site, key in keys.items()
        },
        "note_by": note,
        "cosigned_by": {site: str(NOTE_TIME_S + n) for n, site in enumerate(cosigners)},
        "bytes": hexed(encode_checkpoint(checkpoint)),
    }


def signed_checkpoint(checkpoint: Checkpoint, note: str | None, cosigners: Sequence[str]) -> Checkpoint:
    """`checkpoint` under one note signature and a cosignature of each of `cosigners`, a second apart."""
    lines = [] if note is None else [sign_note(checkpoint, note, SITES[note])]
    lines += [cosign(checkpoint, site, SITES[site], NOTE_TIME_S + n) for n, site in enumerate(cosigners)]
    return checkpoint._replace(signatures=tuple(lines))


def checkpoints() -> Group:
    """Good checkpoints. Lines of unknown kinds, unknown names and wrong signatures are kept and not counted."""
    names = list(SITES)
    foreign = NoteSignature("somewhere-else", digest("key hash", 4), digest("ml-dsa", 2428))
    wrong = cosign(CHECKPOINT._replace(size=999), names[2], SITES[names[2]], NOTE_TIME_S)
    whole = signed_checkpoint(CHECKPOINT, names[0], names)
    largest = Checkpoint(LEDGER_ID, 2**32 - 1, 10**19 - 1, digest("root 2"))
    cases = [
        ("not signed", CHECKPOINT, None, []),
        ("a note alone", signed_checkpoint(CHECKPOINT, names[1], []), names[1], []),
        ("a note and three cosignatures", whole, names[0], names),
        (
            "empty ledger",
            signed_checkpoint(CHECKPOINT._replace(size=0, epoch=0), None, names[:1]),
            None,
            names[:1],
        ),
        ("numbers at their largest", signed_checkpoint(largest, names[0], names[:2]), names[0], names[:2]),
        (
            "lines that do not count",
            whole._replace(signatures=(foreign, *whole.signatures[:3], wrong)),
            names[0],
            names[:2],
        ),
    ]
    return [checkpoint_vector(*case) for case in cases]


def ml_dsa_44_lines() -> Group:
    """A whole cosignature of a site with two keys. ML-DSA signatures draw randomness: the line of type 0x06 was made once and is kept in a file."""
    site = next(iter(SITES))
    signer = MlDsa44Signer(digest("ml-dsa-44 seed"))
    signature = unhexed(ML_DSA_44_FILE.read_text().strip())
    first = cosign(CHECKPOINT, site, SITES[site], NOTE_TIME_S)
    key_hash = note_key_hash(site, TYPE_ML_DSA_44, signer.public_key)
    second = NoteSignature(site, key_hash, first.data[:8] + signature)
    return [
        {
            "name": "both lines of one site",
            "site": site,
            "ed25519": SITES[site].public_key.data.hex(),
            "ml_dsa_44": signer.public_key.data.hex(),
            "key_hash": key_hash.hex(),
            "time_s": str(NOTE_TIME_S),
            "message": subtree_bytes(CHECKPOINT, site, NOTE_TIME_S).hex(),
            "bytes": hexed(encode_checkpoint(CHECKPOINT._replace(signatures=(first, second)))),
        }
    ]


def kek_seals() -> Group:
    """The frame, recipient id and HPKE info of a seal. HPKE draws its own randomness: the seal was made once and is kept in a file."""
    secret = digest("x-wing secret", 96)
    public = xwing_public(secret)
    name = KekName(LEDGER_ID, "iizuka-city", "residency", "protected", 2026)
    return [
        {
            "author": name.author,
            "registry": name.registry,
            "compartment": name.compartment,
            "key_epoch": name.key_epoch,
            "ledger_id": LEDGER_ID.hex(),
            "info": name.info().hex(),
            "suite": 1,
            "recipient_public": public.hex(),
            "recipient_key_id": recipient_key_id(1, public).hex(),
            "recipient_secret": secret.hex(),
            "kek": digest("sealed kek").hex(),
            "seal": hexed(unhexed(KEK_SEAL_FILE.read_text().strip())),
        }
    ]
