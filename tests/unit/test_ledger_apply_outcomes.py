"""Apply, record by record: every outcome, each with the ledger unchanged where it refuses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genesis_builder import TestWorld, build_genesis, make_act, make_submission
from ledger_driver import LedgerDriver, fact, subject
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.results import NOWHERE, RecordOutcome, SubmissionResult
from sento_proto.chain import next_link
from sento_proto.errors import Code
from sento_proto.header import ZERO32
from sento_proto.keys import Signature
from sento_proto.submission import decode_submission, encode_submission


def new_driver(world: TestWorld | None = None) -> LedgerDriver:
    world = world or build_genesis()
    return LedgerDriver(world, MemoryStore(MemoryDisk(world.ledger_id)))


@pytest.fixture(params=["pending", "flushed"])
def settle(request: pytest.FixtureRequest) -> Callable[[LedgerDriver], object]:
    """What was applied before stands in the pending layer, or in the store: apply must not see a difference."""
    return (lambda driver: None) if request.param == "pending" else LedgerDriver.flush


Settle = Callable[[LedgerDriver], object]


def test_a_new_record_is_accepted_at_the_next_position_and_linked_to_its_subject(settle: Settle) -> None:
    driver = new_driver()
    first, other = driver.record("a", about="x"), driver.record("b", about="x")
    assert driver.write([first]) == (RecordOutcome(first.record_hash, Code.ACCEPTED, 0),)
    settle(driver)
    assert driver.write([other]) == (RecordOutcome(other.record_hash, Code.ACCEPTED, 1),)
    head = driver.state.subject_head("residency", subject("x"))
    assert head == (1, next_link(next_link(ZERO32, first.record_hash), other.record_hash))
    assert driver.state.fact_head("residency", fact("b")) == (1, other.record_hash)


def test_the_same_record_again_is_known_at_its_position(settle: Settle) -> None:
    driver = new_driver()
    record = driver.record("a")
    driver.write([driver.record("before"), record])
    settle(driver)
    assert driver.write([record]) == (RecordOutcome(record.record_hash, Code.KNOWN, 1),)
    assert driver.state.size == 2


def test_the_same_record_twice_in_one_block_is_accepted_and_then_known() -> None:
    driver = new_driver()
    submission = make_submission(driver.world, "iizuka-city", [driver.record("a")])
    result = driver.order([submission, submission])
    assert [part.outcomes[0][1:] for part in result.submissions] == [(Code.ACCEPTED, 0), (Code.KNOWN, 0)]
    assert len(result.standing) == 1


def test_a_known_record_stays_known_when_its_fact_has_gone_on(settle: Settle) -> None:
    driver = new_driver()
    first = driver.record("a")
    driver.write([first])
    driver.write([driver.record("a", previous=first.record_hash)])
    settle(driver)
    assert driver.codes([first]) == [Code.KNOWN]


def test_a_record_id_with_other_content_is_refused_for_good(settle: Settle) -> None:
    driver = new_driver()
    record = driver.record("a")
    driver.write([record])
    settle(driver)
    reused = driver.record("b", record_id=record.header.record_id)
    assert driver.write([reused]) == (RecordOutcome(reused.record_hash, Code.RECORD_ID_REUSED, NOWHERE),)


def test_another_author_may_use_the_same_record_id() -> None:
    driver = new_driver()
    record = driver.record("a")
    driver.write([record])
    other = driver.record("b", author="kaga-city", record_id=record.header.record_id)
    assert driver.codes([other], author="kaga-city") == [Code.ACCEPTED]


def test_no_predecessor_where_a_head_stands_is_stale(settle: Settle) -> None:
    driver = new_driver()
    driver.write([driver.record("a")])
    settle(driver)
    assert driver.codes([driver.record("a")]) == [Code.STALE]
    assert driver.state.size == 1


def test_an_older_version_as_predecessor_is_stale(settle: Settle) -> None:
    driver = new_driver()
    first = driver.record("a")
    driver.write([first])
    second = driver.record("a", previous=first.record_hash)
    driver.write([second])
    settle(driver)
    assert driver.codes([driver.record("a", previous=first.record_hash)]) == [Code.STALE]
    assert driver.codes([driver.record("a", previous=second.record_hash)]) == [Code.ACCEPTED]


def test_an_older_version_of_the_same_block_is_stale_and_its_head_is_followed() -> None:
    driver = new_driver()
    first = driver.record("a")
    second = driver.record("a", previous=first.record_hash)
    late = driver.record("a", previous=first.record_hash)
    third = driver.record("a", previous=second.record_hash)
    assert driver.codes([first, second, late, third]) == [
        Code.ACCEPTED,
        Code.ACCEPTED,
        Code.STALE,
        Code.ACCEPTED,
    ]


def test_an_unknown_predecessor_is_missing_and_may_come_later() -> None:
    driver = new_driver()
    first = driver.record("a")
    second = driver.record("a", previous=first.record_hash)
    assert driver.codes([second]) == [Code.PREDECESSOR_MISSING]
    assert driver.codes([first, second]) == [Code.ACCEPTED, Code.ACCEPTED]


def test_a_version_of_another_fact_or_registry_is_no_predecessor(settle: Settle) -> None:
    driver = new_driver()
    other = driver.record("b")
    driver.write([other])
    settle(driver)
    assert driver.codes([driver.record("a", previous=other.record_hash)]) == [Code.PREDECESSOR_MISSING]
    elsewhere = driver.record("b", registry="tax", previous=other.record_hash)
    assert driver.codes([elsewhere]) == [Code.PREDECESSOR_MISSING]
    assert driver.codes([driver.record("b", registry="tax")]) == [Code.ACCEPTED]


def test_two_authors_meet_on_one_fact() -> None:
    driver = new_driver()
    first = driver.record("a")
    driver.write([first])
    later = driver.record("a", author="kaga-city", previous=first.record_hash)
    assert driver.codes([later], author="kaga-city") == [Code.ACCEPTED]


@pytest.mark.parametrize(
    ("author", "registry", "compartment", "code"),
    [
        ("kaga-city", "residency", "", Code.ACCEPTED),
        ("kaga-city", "tax", "", Code.NOT_PERMITTED),
        ("kaga-city", "residency", "protected", Code.NOT_PERMITTED),
        ("kaga-city", "unheard-of", "", Code.NOT_PERMITTED),
        ("iizuka-hospital", "health", "", Code.ACCEPTED),
        ("iizuka-hospital", "health", "psychiatry", Code.ACCEPTED),
        ("iizuka-hospital", "residency", "", Code.NOT_PERMITTED),
        ("kaga-city", "governance", "", Code.NOT_PERMITTED),
    ],
)
def test_permission_is_by_registry_and_compartment(
    author: str, registry: str, compartment: str, code: Code
) -> None:
    driver = new_driver()
    record = driver.record("a", author=author, registry=registry, compartment=compartment)
    assert driver.codes([record], author=author) == [code]


def test_an_authors_permission_is_asked_before_the_predecessor_and_after_the_id() -> None:
    driver = new_driver()
    unpermitted = driver.record("a", author="kaga-city", registry="tax", previous=b"\1" * 32)
    assert driver.codes([unpermitted], author="kaga-city") == [Code.NOT_PERMITTED]


@pytest.mark.parametrize("damage", ["signature", "record", "other author's key"])
def test_a_signature_that_does_not_verify_refuses_the_submission_whole(damage: str) -> None:
    driver = new_driver()
    world = driver.world
    good = decode_submission(make_submission(world, "iizuka-city", [driver.record("a", content=b"x")]))
    records, signatures = list(good.records), list(good.signatures)
    if damage == "signature":
        signatures = [Signature(1, bytes(64))]
    elif damage == "record":
        records = [driver.record("b")]
    else:
        message = world.author_signers["kaga-city"].sign(b"anything")
        signatures = [message]
    data = encode_submission(world.ledger_id, good.author_key_id, records, signatures)
    assert driver.order([data]).submissions[0] == SubmissionResult(Code.BAD_SIGNATURE, b"", (), ())
    assert driver.state.size == 0


def test_a_submission_with_two_signatures_has_a_bad_one() -> None:
    driver = new_driver()
    world = driver.world
    good = decode_submission(make_submission(world, "iizuka-city", [driver.record("a")]))
    twice = [*good.signatures, Signature(3, b"a second one")]
    data = encode_submission(world.ledger_id, good.author_key_id, good.records, twice)
    assert driver.order([data]).submissions[0].refusal is Code.BAD_SIGNATURE


def test_a_key_that_was_never_enrolled_is_an_unknown_author() -> None:
    driver, stranger = (
        new_driver(),
        build_genesis(name="another", authors={"ghost-town": [("residency", "")]}),
    )
    foreign = LedgerDriver(stranger, MemoryStore(MemoryDisk(stranger.ledger_id)))
    record = foreign.record("a", author="ghost-town")
    good = decode_submission(make_submission(stranger, "ghost-town", [record]))
    data = encode_submission(driver.world.ledger_id, good.author_key_id, good.records, good.signatures)
    assert driver.order([data]).submissions[0].refusal is Code.UNKNOWN_AUTHOR


def test_another_ledgers_submission_is_refused_whole() -> None:
    driver, other = new_driver(), new_driver(build_genesis(name="training"))
    data = make_submission(other.world, "iizuka-city", [other.record("a")])
    assert driver.order([data]).submissions[0] == SubmissionResult(Code.WRONG_LEDGER, b"", (), ())


@pytest.mark.parametrize("data", [b"", b"\1", b"\3" + bytes(200)])
def test_a_malformed_submission_is_refused_and_its_neighbours_are_not(data: bytes) -> None:
    driver = new_driver()
    good = make_submission(driver.world, "iizuka-city", [driver.record("a")])
    result = driver.order([data, good + b"\0", good])
    assert [part.refusal for part in result.submissions] == [Code.MALFORMED, Code.MALFORMED, None]
    assert result.submissions[2].outcomes[0].position == 0


def test_an_officers_act_has_no_power_under_rules_1() -> None:
    driver = new_driver()
    act = make_act(driver.world, b"retire a key", epoch=driver.state.epoch)
    assert driver.order([act]).submissions[0] == SubmissionResult(Code.NOT_PERMITTED, b"", (), ())


def test_a_record_without_payload_stands_like_any_other() -> None:
    driver = new_driver()
    with_payload, without = driver.record("a", content=b"content"), driver.record("b", content=None)
    assert driver.codes([with_payload, without]) == [Code.ACCEPTED, Code.ACCEPTED]
    assert without.header.payload_bytes == 0
