"""The key agent unwraps one record's key for one access record that stands and names this reader and record; once, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from access_records import SITE, access_record, said
from acts import enrol_reader, governed, require_key_agent, revoke_reader, start_key_epoch
from genesis_builder import SITES, make_submission
from ledger_driver import LedgerDriver, code_of, subject
from sento_client.key_agent.judging import Allowed, Asked, judge
from sento_client.key_agent.unwrapping import open_sealed_dek, sealed_dek
from sento_client.key_agent.used_pairs import LogDamaged, used_pairs
from sento_client.messages import stored_of
from sento_client.trust import Trust
from sento_client.verifying import Inclusion
from sento_node.ledger.reading import inclusion
from sento_node.service.records import stored_record
from sento_proto.access_record import KIND_REFUSED, encode_access
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.header import Header
from sento_proto.identity import Identity
from sento_proto.record import Record
from sento_proto.seal import XWingOpener, xwing_public
from sento_proto.sealing import CannotOpen, seal_record, unwrap_dek
from sento_proto.submission import sign_submission

AGENT, READER = "agent-1", Identity("reader", "psychiatry-desk")
HOSPITAL, PLACE = "iizuka-hospital", ("health", "psychiatry")
DEK = bytes(range(32))


@dataclass
class Case:
    """A ledger with one record in a compartment of the agent's; `asked` builds what a reader would hand over."""

    driver: LedgerDriver
    record: Record

    def access(self, about: bytes | None = None, kind: str = "access", **fields: object) -> Record:
        """A site's access record for it, standing."""
        told = {"reader": READER.name, "records": (self.record.record_hash,), **fields}
        content = encode_access(said(SITE, **told))
        access = access_record(
            self.driver, about=about or self.record.header.subject, kind=kind, content=content
        )
        signer = self.driver.world.site_signers[SITE]
        result = self.driver.order([sign_submission(self.driver.world.ledger_id, [access], signer)])
        assert code_of(result) is Code.ACCEPTED
        return access

    def asked(self, access: Record, cosigners: tuple[str, ...] = SITES[:2]) -> Asked:
        """Everything as a reader has it."""
        self.driver.flush()
        store = self.driver.store
        checkpoint = decode_checkpoint(self.driver.checkpoint(cosigners).note)
        given = []
        for record in (self.record, access):
            position = store.position_of_hash(record.record_hash)
            assert position is not None
            given.append(stored_of(stored_record(store, store.record(position), header_only=False)))
        path = inclusion(store, given[1].position, checkpoint.size)
        dek = unwrap_dek(access.header, access.payload, kek=self.driver.world.kek)
        return Asked(
            given[0], given[1], dek, Inclusion(given[1].position, access.record_hash, tuple(path)), checkpoint
        )

    def judge(self, asked: Asked, caller: Identity = READER, used: frozenset[bytes] = frozenset()) -> Allowed:
        return judge(asked, caller, AGENT, Trust(self.driver.governance), used)


@pytest.fixture
def case() -> Case:
    driver = governed(rules=4)
    acts = (enrol_reader(AGENT, PLACE), enrol_reader(READER.name, PLACE), enrol_reader("other-desk", PLACE))
    assert driver.act(*acts) is Code.ACCEPTED
    assert driver.act(require_key_agent(*PLACE, AGENT)) is Code.ACCEPTED
    draft = driver.record(
        "prescription", about="patient", author=HOSPITAL, registry=PLACE[0], compartment=PLACE[1]
    )
    record = seal_record(draft.header, b"what was prescribed", dek=DEK, kek=driver.world.kek)
    outcome = driver.order([make_submission(driver.world, HOSPITAL, [record])])
    assert code_of(outcome) is Code.ACCEPTED
    return Case(driver, record)


def refused(case: Case, asked: Asked, code: Code, why: str, caller: Identity = READER) -> None:
    """The call ends with that code and those words."""
    with pytest.raises(SentoError, match=why) as refusal:
        case.judge(asked, caller)
    assert refusal.value.code is code


def test_a_release_that_stands_opens_the_record_it_names_for_the_reader_it_names(case: Case) -> None:
    access = case.access()
    allowed = case.judge(case.asked(access))
    assert allowed.pair == access.record_hash + case.record.record_hash
    assert (allowed.author, allowed.header) == (HOSPITAL, case.record.header)
    assert allowed.seal_key == case.driver.governance.readers[READER.name].seal_key


def test_a_used_pair_opens_nothing_again(case: Case) -> None:
    asked = case.asked(case.access())
    pair = case.judge(asked).pair
    with pytest.raises(SentoError, match="used for this record already") as refusal:
        case.judge(asked, used=frozenset({pair}))
    assert refusal.value.code is Code.ACCESS_NOT_PROVEN
    case.judge(case.asked(case.access()), used=frozenset({pair}))  # another release is another opening


def test_another_reader_cannot_use_it(case: Case) -> None:
    asked = case.asked(case.access())
    refused(case, asked, Code.ACCESS_NOT_PROVEN, "names another reader", Identity("reader", "other-desk"))
    refused(case, asked, Code.NOT_PERMITTED, "may not read", Identity("author", READER.name + "-x"))


def test_a_role_is_part_of_the_name(case: Case) -> None:
    asked = case.asked(case.access(role="author"))
    refused(case, asked, Code.ACCESS_NOT_PROVEN, "names another reader")


def test_a_reader_whose_rights_ended_gets_nothing_for_an_old_release(case: Case) -> None:
    asked = case.asked(case.access())
    assert case.driver.act(revoke_reader(READER.name), start_key_epoch("health", 2)) is Code.ACCEPTED
    refused(case, asked, Code.NOT_PERMITTED, "may not read that record now")


def with_a_shorter_path(case: Case) -> Asked:
    asked = case.asked(case.access())
    return asked._replace(inclusion=asked.inclusion._replace(path=asked.inclusion.path[:-1]))


def with_the_record_as_its_own_release(case: Case) -> Asked:
    asked = case.asked(case.access())
    return asked._replace(access=asked.record)


CHANGED: dict[str, tuple[Callable[[Case], Asked], str]] = {
    "other-record": (
        lambda case: case.asked(case.access(records=(bytes(32),))),
        "does not name this record",
    ),
    "refusal": (
        lambda case: case.asked(case.access(kind=KIND_REFUSED, outcome="NOT_PERMITTED")),
        "none of a site's releases",
    ),
    "claims-release": (
        lambda case: case.asked(case.access(outcome="NOT_PERMITTED")),
        "does not name this record",
    ),
    "other-person": (
        lambda case: case.asked(case.access(about=subject("somebody"))),
        "about somebody else",
    ),
    "one-cosigner": (lambda case: case.asked(case.access(), SITES[:1]), "no quorum"),
    "other-key": (
        lambda case: case.asked(case.access())._replace(access_dek=bytes(32)),
        "does not open",
    ),
    "other-path": (with_a_shorter_path, "not shown to stand"),
    "the-record-itself": (with_the_record_as_its_own_release, "none of a site's"),
}


@pytest.mark.parametrize(("changed", "why"), list(CHANGED.values()), ids=list(CHANGED))
def test_what_is_not_proven_opens_nothing(case: Case, changed: Callable[[Case], Asked], why: str) -> None:
    refused(case, changed(case), Code.ACCESS_NOT_PROVEN, why)


def test_a_record_of_another_compartment_is_not_the_agents(case: Case) -> None:
    asked = case.asked(case.access())
    with pytest.raises(SentoError, match="leaves that compartment to key agent agent-1") as refusal:
        judge(asked, READER, "agent-2", Trust(case.driver.governance), frozenset())
    assert refusal.value.code is Code.NOT_PERMITTED


def test_an_altered_record_is_refused(case: Case) -> None:
    asked = case.asked(case.access())
    payload = asked.record.payload[:-1] + bytes([asked.record.payload[-1] ^ 1])
    refused(case, asked._replace(record=asked.record._replace(payload=payload)), Code.DAMAGED, "record: ")
    empty = asked._replace(record=asked.record._replace(payload=b"", payload_withheld=True))
    refused(case, empty, Code.BAD_REQUEST, "not handed over")


def test_the_key_reaches_the_reader_alone_and_for_this_release_alone(case: Case) -> None:
    secret, other = bytes(96), bytes([1]) * 96
    pair = bytes([2]) * 32 + case.record.record_hash
    header: Header = case.record.header
    sealed = sealed_dek(
        case.driver.world.ledger_id, pair, header, case.record.payload, kek=case.driver.world.kek,
        reader_public=xwing_public(secret),
    )  # fmt: skip
    assert open_sealed_dek(case.driver.world.ledger_id, pair, sealed, XWingOpener(secret)) == DEK
    with pytest.raises(CannotOpen):
        open_sealed_dek(case.driver.world.ledger_id, pair, sealed, XWingOpener(other))
    with pytest.raises(CannotOpen):
        open_sealed_dek(case.driver.world.ledger_id, bytes(64), sealed, XWingOpener(secret))


def test_the_log_is_the_memory_of_what_was_used() -> None:
    lines = [
        b'{"event":"start","outcome":"OK","n":1}',
        b'{"event":"unwrapped","outcome":"OK","access":"' + b"01" * 32 + b'","record":"' + b"02" * 32 + b'"}',
        b'{"event":"unwrapped","outcome":"ACCESS_NOT_PROVEN","access":"' + b"03" * 32 + b'","record":""}',
    ]
    assert used_pairs(lines) == {b"\1" * 32 + b"\2" * 32}
    with pytest.raises(LogDamaged, match="line 2"):
        used_pairs([lines[0], lines[1][:-70] + b'"}'])
