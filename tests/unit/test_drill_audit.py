"""The audit of a site: an honest ledger passes whole, and each single lie is found at its position."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from sento_drill.audit import LedgerAudit, root_from_path
from sento_drill.genesis_file import genesis_bytes
from sento_drill.keys import DevelopmentKeys, make_keys
from sento_drill.plan import WorldPlan
from sento_proto import merkle
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import Checkpoint, cosign, encode_checkpoint
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.ids import uuid7
from sento_proto.keys import Ed25519Signer
from sento_proto.record import Record, record_hash_of
from sento_proto.sealing import seal_record
from sento_proto.submission import decode_submission, sign_submission
from sento_proto.v1.common_pb2 import SignatureFrame, StoredRecord, SubmissionProof

NOW_MS = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)
AUTHOR = "iizuka-city"


class Bytes:
    """Bytes that look random and are the same each time."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return (self._count.to_bytes(4, "big") * size)[:size]


@pytest.fixture(scope="module")
def keys() -> DevelopmentKeys:
    return make_keys(WorldPlan(), Bytes())


@pytest.fixture(scope="module")
def genesis(keys: DevelopmentKeys) -> Genesis:
    return decode_genesis(genesis_bytes(WorldPlan(), keys, "2026-09-01T00:00:00Z"))


def compose(number: int, subject: int, previous: bytes, signer: Ed25519Signer) -> Record:
    header = Header(
        uuid7(NOW_MS + number, number.to_bytes(10, "big")),
        signer.public_key.key_id,
        NOW_MS + number,
        1,
        0,
        bytes([subject]) * 32,
        bytes([subject]) * 16,
        previous,
        ZERO16,
        ZERO32,
        "residency",
        "basic",
        "residence/entry",
    )
    return seal_record(header, b"{}", dek=bytes([number]) * 32, kek=bytes(32))


@pytest.fixture
def ledger(keys: DevelopmentKeys, genesis: Genesis) -> list[StoredRecord]:
    """Seven records in submissions of 3, 1 and 3; subject 1 has three versions of its fact, subject 2 one, subject 3 three."""
    signer = Ed25519Signer(keys.author_seeds[AUTHOR])
    heads: dict[int, bytes] = {}
    records: list[Record] = []
    for number, subject in enumerate((1, 2, 3, 1, 1, 3, 3)):
        record = compose(number, subject, heads.get(subject, ZERO32), signer)
        heads[subject] = record.record_hash
        records.append(record)
    stored: list[StoredRecord] = []
    for part in (records[:3], records[3:4], records[4:]):
        submission = decode_submission(sign_submission(genesis.ledger_id, part, signer))
        hashes = merkle.subtree_reader([record.record_hash for record in part])
        for index, record in enumerate(part):
            proof = SubmissionProof(
                author_key_id=submission.author_key_id,
                count=len(part),
                index=index,
                path=merkle.inclusion_proof(hashes, index, len(part)),
                signatures=[SignatureFrame(suite=s.suite, data=s.data) for s in submission.signatures],
            )
            stored.append(as_stored(record, stored, proof))
    return stored


def as_stored(record: Record, before: list[StoredRecord], proof: SubmissionProof) -> StoredRecord:
    subject = record.header.subject
    same = [earlier for earlier in before if earlier.header[64:96] == subject]
    return StoredRecord(
        position=len(before),
        header=record.header_bytes,
        payload=record.payload,
        payload_hash=record.payload_hash,
        record_hash=record.record_hash,
        link=next_link(same[-1].link if same else FIRST_LINK, record.record_hash),
        previous_of_subject=same[-1].position if same else None,
        submission=proof,
    )


def audit(genesis: Genesis, ledger: list[StoredRecord]) -> LedgerAudit:
    done = LedgerAudit(genesis)
    for stored in ledger:
        done.take(stored)
    return done


def test_honest_ledger_has_no_findings_and_one_signature_for_each_submission(
    genesis: Genesis, ledger: list[StoredRecord]
) -> None:
    done = audit(genesis, ledger)
    assert done.findings == []
    assert (done.size, done.signatures_verified) == (7, 3)
    assert done.root == merkle.root_of(stored.record_hash for stored in ledger)


def spoil_payload(stored: StoredRecord) -> None:
    stored.payload = stored.payload[:-1] + bytes([stored.payload[-1] ^ 1])


def forge_payload_and_hashes(stored: StoredRecord) -> None:
    spoil_payload(stored)
    stored.payload_hash = hashlib.sha256(stored.payload).digest()
    stored.record_hash = record_hash_of(stored.header, stored.payload_hash)


def spoil_signature(stored: StoredRecord) -> None:
    stored.submission.signatures[0].data = bytes(64)


def cut_path(stored: StoredRecord) -> None:
    del stored.submission.path[:]


def withhold_payload(stored: StoredRecord) -> None:
    stored.payload = b""


def hide_previous_of_subject(stored: StoredRecord) -> None:
    stored.ClearField("previous_of_subject")


def break_link(stored: StoredRecord) -> None:
    stored.link = bytes(32)


def move(stored: StoredRecord) -> None:
    stored.position += 1


def cut_header(stored: StoredRecord) -> None:
    stored.header = stored.header[:-1]


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        (spoil_payload, "payload"),
        (forge_payload_and_hashes, "signature"),
        (spoil_signature, "signature does not verify"),
        (cut_path, "path"),
        (withhold_payload, "payload"),
        (hide_previous_of_subject, "same subject"),
        (break_link, "chain"),
        (move, "position"),
        (cut_header, "header"),
    ],
)
def test_each_lie_about_the_fifth_record_is_found_there(
    genesis: Genesis, ledger: list[StoredRecord], lie: Callable[[StoredRecord], None], words: str
) -> None:
    lie(ledger[4])
    findings = audit(genesis, ledger).findings
    assert findings
    assert findings[0].startswith("position 4: ")
    assert any(words in finding for finding in findings)


def test_a_record_left_out_is_found(genesis: Genesis, ledger: list[StoredRecord]) -> None:
    assert audit(genesis, ledger[:3] + ledger[4:]).findings


def test_records_in_another_order_are_found(genesis: Genesis, ledger: list[StoredRecord]) -> None:
    ledger[3], ledger[4] = ledger[4], ledger[3]
    assert any("follow the standing version" in finding for finding in audit(genesis, ledger).findings)


def note_over(keys: DevelopmentKeys, genesis: Genesis, root: bytes, size: int, *sites: str) -> bytes:
    checkpoint = Checkpoint(genesis.ledger_id, 1, size, root)
    lines = [cosign(checkpoint, site, Ed25519Signer(keys.site_seeds[site]), NOW_MS // 1000) for site in sites]
    return encode_checkpoint(checkpoint._replace(signatures=tuple(lines)))


def test_checkpoint_holds_when_a_quorum_cosigned_the_root_of_a_prefix(
    keys: DevelopmentKeys, genesis: Genesis, ledger: list[StoredRecord]
) -> None:
    done = audit(genesis, ledger)
    root = merkle.root_of(done.record_hashes[:4])
    assert done.check_checkpoint(note_over(keys, genesis, root, 4, "jp-fukuoka", "jp-ibaraki")) == 4
    assert done.findings == []


@pytest.mark.parametrize("fault", ["one cosigner", "same cosigner twice", "other root", "ahead", "no note"])
def test_checkpoint_is_refused(
    keys: DevelopmentKeys, genesis: Genesis, ledger: list[StoredRecord], fault: str
) -> None:
    done = audit(genesis, ledger)
    root = merkle.root_of(done.record_hashes[:4])
    quorum = ("jp-fukuoka", "jp-ibaraki")
    notes = {
        "one cosigner": note_over(keys, genesis, root, 4, "jp-fukuoka"),
        "same cosigner twice": note_over(keys, genesis, root, 4, "jp-fukuoka", "jp-fukuoka"),
        "other root": note_over(keys, genesis, bytes(32), 4, *quorum),
        "ahead": note_over(keys, genesis, root, 8, *quorum),
        "no note": b"nothing",
    }
    done.check_checkpoint(notes[fault])
    assert len(done.findings) == 1


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 13])
def test_path_leads_to_the_root_and_any_other_shape_to_nothing(count: int) -> None:
    leaves = [merkle.leaf_hash(bytes([number])) for number in range(count)]
    read = merkle.subtree_reader(leaves)
    for index in range(count):
        path = merkle.inclusion_proof(read, index, count)
        assert root_from_path(leaves[index], index, count, path) == merkle.root_of(leaves)
        assert root_from_path(leaves[index], index, count, [*path, bytes(32)]) is None
        if path:
            assert root_from_path(leaves[index], index, count, path[:-1]) is None
    assert root_from_path(leaves[0], count, count, []) is None
