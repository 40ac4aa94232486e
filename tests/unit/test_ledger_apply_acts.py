"""Apply, officers' acts: who signed, what they follow, and that one which does not fit changes nothing at all."""

from __future__ import annotations

import pytest

from acts import enrol_author, governed, permit, retire_officer, set_threshold, withdraw
from genesis_builder import OFFICERS, act_content, ed25519, make_act, make_submission, p256
from ledger_driver import LedgerDriver, code_of
from sento_node.ledger.results import NOWHERE
from sento_proto.errors import Code
from sento_proto.governance.acts import FACT, OFFICERS_AUTHOR, REGISTRY
from sento_proto.header import ZERO32
from sento_proto.keys import Ed25519Signer, PublicKey, Signature, Suite
from sento_proto.record import Record
from sento_proto.submission import (
    OfficerSignature,
    act_signed_bytes,
    decode_submission,
    encode_act,
    encode_submission,
    sign_act,
)
from sento_proto.suites import ecdsa_p256
from sento_proto.wire import Malformed

ACCEPTED, CITY = Code.ACCEPTED, "iizuka-city"
ONE, TWO, THREE = OFFICERS
GIVE = permit(CITY, "write", ("health", "ward"))
TAKE = withdraw(CITY, "write", ("health", "ward"))
NOTHING = set_threshold(2)


def record_of(data: bytes) -> Record:
    return decode_submission(data).records[0]


def signed_by(driver: LedgerDriver, *signers: Ed25519Signer) -> bytes:
    """An act under these signatures, whoever they are."""
    record = record_of(driver.act_bytes(GIVE))
    return sign_act(driver.world.ledger_id, driver.state.epoch, record, list(signers))


def refused(driver: LedgerDriver, data: bytes, code: Code) -> None:
    """The act is refused with this code and nothing is changed by it."""
    before, size = driver.governance, driver.state.size
    assert code_of(driver.order([data])) is code
    assert (driver.governance, driver.state.size) == (before, size)


# -- who signed ---------------------------------------------------------------------------------------------------------


def test_too_few_officers_change_nothing() -> None:
    driver = governed()
    refused(driver, driver.act_bytes(GIVE, officers=[ONE]), Code.TOO_FEW_OFFICERS)
    assert driver.act(GIVE, officers=[ONE, TWO, THREE]) is ACCEPTED


def test_more_signatures_than_needed_must_all_be_good() -> None:
    driver = governed()
    act = decode_submission(driver.act_bytes(GIVE, officers=OFFICERS))
    good = list(act.officers)
    spoilt = [*good[:2], good[2]._replace(signature=Signature(1, bytes(64)))]
    refused(driver, encode_act(driver.world.ledger_id, 0, act.records[0], spoilt), Code.BAD_SIGNATURE)


def test_the_same_officer_twice_is_malformed() -> None:
    driver = governed()
    act = decode_submission(driver.act_bytes(GIVE))
    with pytest.raises(Malformed, match="stands twice"):
        encode_act(driver.world.ledger_id, 0, act.records[0], [act.officers[0]] * 2)
    data = driver.act_bytes(GIVE)
    frame = 16 + 1 + 2 + 64
    refused(driver, data[:-frame] + data[-2 * frame : -frame], Code.MALFORMED)


@pytest.mark.parametrize("role", ["an author's key", "a site's key", "nobody's key"])
def test_a_signature_of_another_role_counts_for_nothing(role: str) -> None:
    driver = governed()
    world = driver.world
    stranger = {
        "an author's key": world.author_signers[CITY],
        "a site's key": world.site_signers["jp-fukuoka"],
        "nobody's key": ed25519("nobody"),
    }[role]
    officers = [world.officer_signers[name] for name in OFFICERS]
    refused(driver, signed_by(driver, officers[0], stranger), Code.NOT_AN_OFFICER)
    refused(driver, signed_by(driver, *officers, stranger), Code.NOT_AN_OFFICER)


def test_a_retired_officers_signature_spoils_an_act_that_enough_others_signed() -> None:
    driver = governed()
    assert driver.act(retire_officer(THREE)) is ACCEPTED
    refused(driver, driver.act_bytes(GIVE, officers=OFFICERS), Code.NOT_AN_OFFICER)
    assert driver.act(GIVE, officers=[ONE, TWO]) is ACCEPTED


def test_an_act_signed_before_an_officer_retired_counts_no_more_behind_it_in_the_block() -> None:
    driver = governed()
    first = driver.act_bytes(retire_officer(THREE))
    second = driver.act_bytes(GIVE, officers=[TWO, THREE], previous=record_of(first).record_hash)
    result = driver.order([first, second])
    assert [code_of(result, at) for at in range(2)] == [ACCEPTED, Code.NOT_AN_OFFICER]


def test_an_officers_signature_over_another_message_does_not_verify() -> None:
    """What an officer signed for a drill's ledger, another epoch or another record, put under this one."""
    driver = governed()
    world = driver.world
    act = decode_submission(driver.act_bytes(GIVE))
    record = act.records[0]
    signer = world.officer_signers[ONE]
    for message in (
        act_signed_bytes(bytes(32), 0, record.record_hash),
        act_signed_bytes(world.ledger_id, 1, record.record_hash),
        act_signed_bytes(world.ledger_id, 0, bytes(32)),
        record.record_hash,
    ):
        lifted = OfficerSignature(signer.public_key.key_id, signer.sign(message))
        other = next(one for one in act.officers if one.officer_key_id != signer.public_key.key_id)
        refused(driver, encode_act(world.ledger_id, 0, record, [lifted, other]), Code.BAD_SIGNATURE)


# -- odd keys and signatures --------------------------------------------------------------------------------------------

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493


def test_an_ed25519_signature_with_the_order_added_is_refused() -> None:
    driver = governed()
    act = decode_submission(driver.act_bytes(GIVE))
    key_id, signature = act.officers[0]
    s = int.from_bytes(signature.data[32:], "little") + ED25519_ORDER
    odd = Signature(Suite.ED25519, signature.data[:32] + s.to_bytes(32, "little"))
    data = encode_act(
        driver.world.ledger_id, 0, act.records[0], [OfficerSignature(key_id, odd), act.officers[1]]
    )
    refused(driver, data, Code.BAD_SIGNATURE)


def test_a_p256_signature_with_the_higher_s_is_refused_under_acts_and_submissions() -> None:
    driver = governed(signers={CITY: p256("city")})
    good = make_submission(driver.world, CITY, [driver.record("a")])
    submission = decode_submission(good)
    odd = [higher_s(signature) for signature in submission.signatures]
    data = encode_submission(driver.world.ledger_id, submission.author_key_id, submission.records, odd)
    assert code_of(driver.order([data])) is Code.BAD_SIGNATURE
    assert code_of(driver.order([good])) is ACCEPTED


def higher_s(signature: Signature) -> Signature:
    s = ecdsa_p256.ORDER - int.from_bytes(signature.data[32:], "big")
    return Signature(signature.suite, signature.data[:32] + s.to_bytes(32, "big"))


SMALL_ORDER = [bytes(32), b"\1" + bytes(31), (2**255 - 20).to_bytes(32, "little")]


@pytest.mark.parametrize("data", SMALL_ORDER, ids=["zero", "one", "minus one"])
def test_a_key_of_small_order_is_never_enrolled(data: bytes) -> None:
    driver = governed()
    signer = ed25519("x")
    signer._public = PublicKey(Suite.ED25519, data)
    judged = driver.judged(enrol_author("ogi-town", signer))
    assert (judged.code, "public_key" in judged.why) == (Code.ACT_REFUSED, True), judged.why
    refused(driver, driver.act_bytes(enrol_author("ogi-town", signer)), Code.ACT_REFUSED)


# -- what it follows ----------------------------------------------------------------------------------------------------


def test_an_act_for_another_ledger_or_another_epoch_is_refused() -> None:
    driver, other = governed(), governed(name="training")
    refused(driver, other.act_bytes(GIVE), Code.WRONG_LEDGER)
    data = make_act(driver.world, act_content(GIVE), epoch=driver.state.epoch + 1)
    refused(driver, data, Code.WRONG_LEDGER)
    relabelled = other.act_bytes(GIVE).replace(other.world.ledger_id, driver.world.ledger_id, 1)
    refused(driver, relabelled, Code.NOT_AN_OFFICER)


def test_a_replayed_act_is_known_at_its_position_and_has_no_second_effect() -> None:
    driver = governed()
    driver.fill(2)
    give = driver.act_bytes(GIVE)
    assert code_of(driver.order([give])) is ACCEPTED
    assert driver.act(TAKE) is ACCEPTED
    before = driver.governance
    outcome = driver.order([give]).submissions[0].outcomes[0]
    assert (outcome.code, outcome.position) == (Code.KNOWN, 2)
    assert driver.governance == before
    assert not before.may_write(CITY, "health", "ward")


def test_of_two_conflicting_acts_in_one_block_the_second_is_stale() -> None:
    driver = governed()
    result = driver.order([driver.act_bytes(GIVE), driver.act_bytes(set_threshold(3))])
    assert [code_of(result, at) for at in range(2)] == [ACCEPTED, Code.STALE]
    assert driver.governance.officers.threshold == 2
    assert driver.act(set_threshold(3), previous=ZERO32) is Code.STALE


def test_an_act_that_follows_one_which_is_not_there_waits() -> None:
    driver = governed()
    refused(driver, driver.act_bytes(GIVE, previous=b"\1" * 32), Code.PREDECESSOR_MISSING)


def test_acts_follow_each_other_within_a_block_and_each_holds_for_what_comes_behind() -> None:
    driver = governed()
    give = driver.act_bytes(GIVE)
    take = driver.act_bytes(TAKE, previous=record_of(give).record_hash)
    writes = [
        make_submission(driver.world, CITY, [driver.record(name, registry="health", compartment="ward")])
        for name in "abc"
    ]
    result = driver.order([writes[0], give, writes[1], take, writes[2]])
    assert [code_of(result, at) for at in range(5)] == [
        Code.NOT_PERMITTED, ACCEPTED, ACCEPTED, ACCEPTED, Code.NOT_PERMITTED,
    ]  # fmt: skip
    assert (driver.governance.acts, driver.governance.last_act_at) == (2, 2)
    assert driver.governance.last_act == record_of(take).record_hash


def test_an_act_of_which_one_change_does_not_fit_changes_nothing_at_all() -> None:
    driver = governed()
    refused(
        driver,
        driver.act_bytes(enrol_author("ogi-town"), GIVE, permit("nobody", "write", ("tax", ""))),
        Code.ACT_REFUSED,
    )
    assert (
        "Change 3 (permit): nobody is not an author."
        in driver.judged(enrol_author("ogi-town"), GIVE, permit("nobody", "write", ("tax", ""))).why
    )
    assert driver.act(enrol_author("ogi-town"), GIVE) is ACCEPTED


def test_an_act_is_a_version_of_one_fact_by_the_officers_and_uses_nobodys_budget() -> None:
    driver = governed(budget=(0, 0))
    assert driver.act(GIVE) is ACCEPTED
    head = driver.state.fact_head(REGISTRY, FACT)
    assert head is not None
    assert head.record_hash == driver.governance.last_act
    result = driver.order([driver.act_bytes(TAKE)])
    assert result.standing[0].author == OFFICERS_AUTHOR
    assert result.standing[0].previous_of_fact == 0


def test_a_refused_act_takes_no_position() -> None:
    driver = governed()
    result = driver.order([driver.act_bytes(permit("nobody", "write", ("tax", "")))])
    assert result.submissions[0].outcomes[0].position == NOWHERE
    assert result.standing == ()


def test_an_author_cannot_write_an_act() -> None:
    driver = governed(authors={CITY: (("governance", "*"), ("residency", ""))})
    record = driver.record("x", registry="governance")
    assert driver.codes([record]) == [Code.NOT_PERMITTED]
