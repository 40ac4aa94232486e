"""Officers' acts on authors: who writes, with which keys, what and how much; each change, what it says, and each reason why it does not fit."""

from __future__ import annotations

import pytest

from acts import (
    Change,
    assert_unfit,
    case_id,
    enrol_author,
    enrol_key,
    governed,
    grant_budget,
    one_key,
    permit,
    set_budget,
    set_policy,
    withdraw,
    words,
)
from genesis_builder import build_genesis, ed25519, hybrid, make_submission, p256
from ledger_driver import LedgerDriver, code_of
from sento_proto.errors import Code
from sento_proto.keys import Ed25519Signer, Signer
from sento_proto.software_signers import HybridSigner

ACCEPTED, CITY = Code.ACCEPTED, "iizuka-city"


def city_key(driver: LedgerDriver) -> Signer:
    return driver.world.signer(CITY)


def sign_with(driver: LedgerDriver, author: str, signer: Signer) -> None:
    """From now on the tests' author signs with this key."""
    driver.world.other_signers[author] = signer


def test_a_new_author_writes_within_its_scopes_from_the_next_position_on() -> None:
    driver, key = governed(), ed25519("ogi-town")
    sign_with(driver, "ogi-town", key)
    early = driver.record("a", author="ogi-town")
    assert (
        driver.order([make_submission(driver.world, "ogi-town", [early])]).submissions[0].refusal
        is Code.UNKNOWN_AUTHOR
    )
    act = driver.act_bytes(enrol_author("ogi-town"))
    result = driver.order([act, make_submission(driver.world, "ogi-town", [early])])
    assert [code_of(result, at) for at in range(2)] == [ACCEPTED, ACCEPTED]
    assert driver.governance.author_keys[key.public_key.key_id].enrolled_at == 0
    assert driver.codes([driver.record("t", author="ogi-town", registry="tax")], "ogi-town") == [
        Code.NOT_PERMITTED
    ]


def test_a_further_key_signs_beside_the_first_from_the_next_position_on() -> None:
    driver = governed()
    first = city_key(driver)
    second = p256("city")
    behind = driver.record("before")
    sign_with(driver, CITY, second)
    under_second = driver.record("a")
    act = driver.act_bytes(enrol_key(CITY, second))
    result = driver.order(
        [
            make_submission(driver.world, CITY, [under_second]),
            act,
            make_submission(driver.world, CITY, [under_second]),
        ]
    )
    assert [code_of(result, at) for at in range(3)] == [Code.UNKNOWN_AUTHOR, ACCEPTED, ACCEPTED]
    sign_with(driver, CITY, first)
    assert driver.codes([behind]) == [ACCEPTED]


def test_permission_and_its_withdrawal_hold_from_the_next_position_on_in_the_same_block() -> None:
    driver = governed()
    records = [driver.record(name, registry="health", compartment="ward") for name in "abcd"]
    give = driver.act_bytes(permit(CITY, "write", ("health", "ward")))
    submissions = [make_submission(driver.world, CITY, [record]) for record in records]
    result = driver.order([submissions[0], give, submissions[1]])
    assert [code_of(result, at) for at in range(3)] == [Code.NOT_PERMITTED, ACCEPTED, ACCEPTED]
    take = driver.act_bytes(withdraw(CITY, "write", ("health", "ward")))
    result = driver.order([submissions[2], take, submissions[3]])
    assert [code_of(result, at) for at in range(3)] == [ACCEPTED, ACCEPTED, Code.NOT_PERMITTED]
    assert driver.codes([driver.record("home")]) == [ACCEPTED]


def test_a_budget_is_another_one_from_the_next_position_on() -> None:
    driver = governed()
    result = driver.order(
        [
            driver.act_bytes(set_budget(CITY, 2, 9)),
            make_submission(driver.world, CITY, [driver.record(name) for name in "abc"]),
        ]
    )
    assert [outcome.code for outcome in result.submissions[1].outcomes] == [ACCEPTED, ACCEPTED, Code.HELD]


def test_post_quantum_policy_refuses_a_key_without_a_companion_and_can_be_lifted() -> None:
    driver = governed(rules=3)
    plain = city_key(driver)
    both = hybrid("city")
    assert driver.act(enrol_key(CITY, both), set_policy(CITY, on=True)) is ACCEPTED
    assert driver.codes([driver.record("plain")]) == [Code.NOT_PERMITTED]
    sign_with(driver, CITY, both)
    assert driver.codes([driver.record("both")]) == [ACCEPTED]
    assert driver.act(set_policy(CITY, on=False)) is ACCEPTED
    sign_with(driver, CITY, plain)
    assert driver.codes([driver.record("plain")]) == [ACCEPTED]


def test_under_the_policy_no_key_without_a_companion_is_enrolled_any_more() -> None:
    driver = governed(rules=3)
    assert driver.act(enrol_key(CITY, hybrid("city")), set_policy(CITY, on=True)) is ACCEPTED
    assert "this key has no companion" in driver.judged(enrol_key(CITY, ed25519("more"))).why


def known_key(name: str) -> Ed25519Signer:
    """A key that stands in the genesis file of every test world."""
    world = build_genesis(rules=3)
    return {**world.author_signers, **world.site_signers, **world.officer_signers}[name]


TWICE = "enrolled before; keys are never enrolled twice"
SHARED = hybrid("shared")
OTHER_PRIMARY = HybridSigner(ed25519("other"), SHARED._companion)
REFUSED: list[tuple[Change, str]] = [
    (enrol_author("iizuka-city"), "iizuka-city is an author already"),
    (enrol_author("ogi-town", may=[("nowhere", "")]), "no registry nowhere"),
    (enrol_author("ogi-town", may=[("tax", ""), ("tax", "")]), "A scope stands twice"),
    (enrol_author("ogi-town", ed25519("x"), ed25519("x")), TWICE),
    (enrol_author("ogi-town", SHARED, OTHER_PRIMARY), TWICE),
    (enrol_author("ogi-town", known_key("iizuka-city")), TWICE),
    (enrol_key("iizuka-city", known_key("iizuka-city")), TWICE),
    (enrol_key("iizuka-city", known_key("kaga-city")), TWICE),
    (enrol_key("iizuka-city", known_key("jp-fukuoka")), TWICE),
    (enrol_key("iizuka-city", known_key("officer-one")), TWICE),
    (enrol_key("nobody", ed25519("x")), "nobody is not an author"),
    (one_key("retire-key", "iizuka-city", ed25519("x")), "iizuka-city has no key"),
    (one_key("retire-key", "kaga-city", known_key("iizuka-city")), "kaga-city has no key"),
    (one_key("close-key", "iizuka-city", known_key("iizuka-city")), "is not retired; retire it first"),
    (one_key("revoke-key", "kaga-city", known_key("iizuka-city")), "kaga-city has no key"),
    (permit("nobody", "write", ("tax", "")), "nobody is not an author"),
    (permit("iizuka-city", "write"), "No scope is named"),
    (permit("iizuka-city", "write", ("tax", "")), "may write open part of tax already"),
    (permit("iizuka-city", "write", ("nowhere", "")), "no registry nowhere"),
    (withdraw("iizuka-city", "write", ("health", "*")), "no permission to write all of health"),
    (withdraw("iizuka-city", "write"), "no permission to write nothing"),
    (set_budget("nobody", 1, 1), "nobody is not an author"),
    (grant_budget("nobody", 1, 1), "nobody is not an author"),
    (set_policy("nobody", on=True), "nobody is not an author"),
    (set_policy("iizuka-city", on=True), "no key with an ML-DSA-65 companion"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=case_id)
def test_a_change_that_does_not_fit_is_refused_with_its_reason_and_changes_nothing(
    change: Change, why: str
) -> None:
    assert_unfit(governed(rules=3), change, why)


@pytest.mark.parametrize("again", ["retire-key", "close-key", "revoke-key"])
@pytest.mark.parametrize("end", ["revoke", "retire and close"])
def test_a_key_that_ended_is_not_ended_again(end: str, again: str) -> None:
    driver = governed()
    key = city_key(driver)
    ends = ["revoke-key"] if end == "revoke" else ["retire-key", "close-key"]
    assert driver.act(*[one_key(do, CITY, key) for do in ends]) is ACCEPTED
    why = driver.judged(one_key(again, CITY, key)).why
    assert f"is {'revoked' if end == 'revoke' else 'closed'} already" in why


def test_a_key_is_retired_once_and_a_retired_one_may_still_be_revoked() -> None:
    driver = governed()
    key = city_key(driver)
    assert driver.act(one_key("retire-key", CITY, key)) is ACCEPTED
    assert "is retired already" in driver.judged(one_key("retire-key", CITY, key)).why
    assert driver.act(one_key("revoke-key", CITY, key)) is ACCEPTED
    assert driver.governance.author_keys[key.public_key.key_id].revoked


def test_a_companion_needs_rules_that_have_them_and_so_does_the_policy() -> None:
    driver = governed(rules=2)
    assert (
        "Under rules 2 a key has no ML-DSA-65 companion" in driver.judged(enrol_key(CITY, hybrid("city"))).why
    )
    assert "exists from rules 3 on" in driver.judged(set_policy(CITY, on=True)).why
    assert "Under rules 2" in driver.judged(enrol_author("ogi-town", hybrid("ogi"))).why


def test_a_suspect_position_is_kept_and_said() -> None:
    driver = governed()
    driver.fill(3)
    change = one_key("revoke-key", CITY, city_key(driver), suspect_from_position=1)
    assert "from position 1 on is suspect" in words(driver, change)
    assert driver.act(change) is ACCEPTED
    known = driver.governance.author_keys[city_key(driver).public_key.key_id]
    assert (known.ended_at, known.revoked, known.suspect_from) == (3, True, 1)


KEY = known_key("iizuka-city")
KEY_ID = KEY.public_key.key_id.hex()
SAID: list[tuple[Change, str]] = [
    (enrol_author("ogi-town"), "ogi-town is enrolled as an author and may write open part of residency."),
    (enrol_author("ogi-town", may=()), "may write nothing yet."),
    (enrol_key("iizuka-city", hybrid("x")), "with an ML-DSA-65 companion."),
    (enrol_key("iizuka-city", p256("x")), f"may also sign with key {p256('x').public_key.key_id.hex()}."),
    (one_key("retire-key", "iizuka-city", KEY), f"Key {KEY_ID} of iizuka-city is retired; late records"),
    (one_key("close-key", "iizuka-city", KEY), f"No record under the retired key {KEY_ID}"),
    (one_key("revoke-key", "iizuka-city", KEY), "iizuka-city has no other key and cannot write until one is enrolled."),
    (permit("iizuka-city", "write", ("health", "*")), "iizuka-city may write all of health."),
    (withdraw("iizuka-city", "write", ("tax", "")), "iizuka-city may no longer write open part of tax."),
    (set_budget("iizuka-city", 7, 5), "may write 7 records about 5 subjects in each 10,000 positions"),
    (grant_budget("iizuka-city", 7, 5), "may write 7 records and 5 subjects more, within this window"),
    (set_policy("iizuka-city", on=True), "must sign with ML-DSA-65 too; what lacks that signature is refused."),
    (set_policy("iizuka-city", on=False), "need not sign with ML-DSA-65"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"), SAID, ids=lambda value: value["do"] if isinstance(value, dict) else None
)
def test_a_change_says_what_holds_from_then_on(change: Change, said: str) -> None:
    assert said in words(governed(rules=3), change)
