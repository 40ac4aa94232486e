"""The audit of a site: an honest ledger passes whole, and each single lie is found at its position."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain

import pytest

from sento_client import AsOf, Version
from sento_client.trust import Trust
from sento_client.verifying import Stored, check_record
from sento_drill.audit import LedgerAudit
from sento_drill.genesis_file import genesis_bytes
from sento_drill.keys import DevelopmentKeys, make_keys
from sento_drill.plan import WorldPlan
from sento_proto import merkle
from sento_proto.chain import FIRST_LINK, next_link
from sento_proto.checkpoint import Checkpoint, cosign_all
from sento_proto.genesis import decode_genesis
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.ids import uuid7
from sento_proto.keys import Ed25519Signer
from sento_proto.record import Record
from sento_proto.record_object import SubmissionPath
from sento_proto.sealing import seal_record
from sento_proto.submission import decode_submission, sign_submission

NOW_MS = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)
AUTHOR = "iizuka-city"


class Bytes:
    """Bytes that are different at each call and the same in each run."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, size: int) -> bytes:
        self._count += 1
        return (self._count.to_bytes(4, "big") * size)[:size]


@pytest.fixture(scope="module")
def keys() -> DevelopmentKeys:
    return make_keys(WorldPlan(), Bytes())


@pytest.fixture(scope="module")
def trust(keys: DevelopmentKeys) -> Trust:
    return Trust.of(decode_genesis(genesis_bytes(WorldPlan(), keys, "2026-09-01T00:00:00Z")))


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
def ledger(keys: DevelopmentKeys, trust: Trust) -> list[Stored]:
    """Seven records in submissions of 3, 1 and 3; subject 1 has three versions of its fact, subject 2 one, subject 3 three."""
    signer = Ed25519Signer(keys.author_seeds[AUTHOR])
    heads: dict[int, bytes] = {}
    records: list[Record] = []
    for number, subject in enumerate((1, 2, 3, 1, 1, 3, 3)):
        records.append(compose(number, subject, heads.get(subject, ZERO32), signer))
        heads[subject] = records[-1].record_hash
    ledger: list[Stored] = []
    last: dict[bytes, Stored] = {}
    for part in (records[:3], records[3:4], records[4:]):
        submission = decode_submission(sign_submission(trust.ledger_id, part, signer))
        read = merkle.subtree_reader([record.record_hash for record in part])
        for place, record in enumerate(part):
            path = tuple(merkle.inclusion_proof(read, place, len(part)))
            proof = SubmissionPath(submission.author_key_id, len(part), place, path, submission.signatures)
            before = last.get(record.header.subject)
            link = next_link(before.link if before else FIRST_LINK, record.record_hash)
            last[record.header.subject] = Stored(
                len(ledger),
                record.header_bytes,
                record.payload,
                record.payload_hash,
                record.record_hash,
                link,
                before.position if before else None,
                False,
                proof,
            )
            ledger.append(last[record.header.subject])
    return ledger


def version_of(trust: Trust, stored: Stored) -> Version:
    header, findings = check_record(stored, trust)
    assert header is not None
    return Version(stored.position, AUTHOR, header, stored, AsOf(1, 7, 0, "jp-fukuoka"), findings, None, "")


def audit(trust: Trust, ledger: list[Stored]) -> LedgerAudit:
    done = LedgerAudit()
    for stored in ledger:
        done.take(version_of(trust, stored))
    return done


def test_honest_ledger_has_no_findings(trust: Trust, ledger: list[Stored]) -> None:
    done = audit(trust, ledger)
    assert done.findings == []
    assert (done.size, done.submissions) == (7, 3)
    assert done.record_hashes == [stored.record_hash for stored in ledger]


LIES: dict[str, tuple[Callable[[Stored], Stored], str]] = {
    "spoiled payload": (lambda s: s._replace(payload=s.payload[:-1] + bytes([s.payload[-1] ^ 1])), "payload"),
    "other hash": (lambda s: s._replace(record_hash=bytes(32)), "record hash"),
    "cut path": (lambda s: s._replace(submission=s.submission._replace(path=())), "signature"),
    "hidden record of the subject": (lambda s: s._replace(previous_of_subject=None), "same subject"),
    "broken link": (lambda s: s._replace(link=bytes(32)), "chain"),
    "other position": (lambda s: s._replace(position=5), "position 5"),
}


@pytest.mark.parametrize("lie", LIES)
def test_each_lie_about_the_fifth_record_is_found_there(trust: Trust, ledger: list[Stored], lie: str) -> None:
    tell, words = LIES[lie]
    ledger[4] = tell(ledger[4])
    findings = audit(trust, ledger).findings
    assert findings[0].startswith("position 4: ")
    assert any(words in finding for finding in findings)


def test_headers_alone_are_no_finding_and_a_payload_that_was_asked_for_must_come(
    trust: Trust, ledger: list[Stored]
) -> None:
    done = audit(trust, [stored._replace(payload=b"") for stored in ledger])
    assert done.findings == []
    done.take_payload(version_of(trust, ledger[4]))
    assert done.findings == []
    done.take_payload(version_of(trust, ledger[4]._replace(payload=b"", payload_withheld=True)))
    done.take_payload(version_of(trust, ledger[5]._replace(position=4)))
    assert done.finding_count == 2
    assert done.findings[0].startswith("position 4: payload")
    assert "another record" in done.findings[1]


def test_a_record_left_out_is_found(trust: Trust, ledger: list[Stored]) -> None:
    findings = audit(trust, ledger[:3] + ledger[4:]).findings
    assert "position 3: the site gave out position 4 here" in findings


def test_a_ledger_renumbered_after_leaving_one_out_is_found(trust: Trust, ledger: list[Stored]) -> None:
    rest = [stored._replace(position=at) for at, stored in enumerate(ledger[:3] + ledger[4:])]
    findings = audit(trust, rest).findings
    assert any("follow the standing version" in finding for finding in findings)


def checkpoint_over(keys: DevelopmentKeys, trust: Trust, root: bytes, size: int, *sites: str) -> Checkpoint:
    checkpoint = Checkpoint(trust.ledger_id, 1, size, root)
    each = [cosign_all(checkpoint, site, keys.site_signers(site), NOW_MS // 1000) for site in sites]
    return checkpoint._replace(signatures=tuple(chain.from_iterable(each)))


def test_checkpoint_holds_when_a_quorum_cosigned_the_root_of_a_prefix(
    keys: DevelopmentKeys, trust: Trust, ledger: list[Stored]
) -> None:
    done = audit(trust, ledger)
    root = merkle.root_of(done.record_hashes[:4])
    done.check_checkpoint(checkpoint_over(keys, trust, root, 4, "jp-fukuoka", "jp-ibaraki"), trust)
    assert done.findings == []


@pytest.mark.parametrize("fault", ["one cosigner", "same cosigner twice", "other root", "ahead"])
def test_checkpoint_is_refused(keys: DevelopmentKeys, trust: Trust, ledger: list[Stored], fault: str) -> None:
    done = audit(trust, ledger)
    root = merkle.root_of(done.record_hashes[:4])
    quorum = ("jp-fukuoka", "jp-ibaraki")
    checkpoints = {
        "one cosigner": checkpoint_over(keys, trust, root, 4, "jp-fukuoka"),
        "same cosigner twice": checkpoint_over(keys, trust, root, 4, "jp-fukuoka", "jp-fukuoka"),
        "other root": checkpoint_over(keys, trust, bytes(32), 4, *quorum),
        "ahead": checkpoint_over(keys, trust, root, 8, *quorum),
    }
    done.check_checkpoint(checkpoints[fault], trust)
    assert len(done.findings) == 1


def test_findings_are_counted_beyond_what_is_kept() -> None:
    done = LedgerAudit()
    for position in range(80):
        done.find(position, "wrong")
    assert (done.finding_count, len(done.findings)) == (80, 50)
