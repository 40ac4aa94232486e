"""Officers' acts on the ledger itself: the rules number, erasure orders, recovery keys and their use."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from acts import (
    Change,
    assert_unfit,
    case_id,
    enrol_key,
    enrol_officer,
    erase,
    governed,
    set_policy,
    set_recovery_key,
    set_rules,
    set_threshold,
    unlock,
    words,
)
from genesis_builder import OFFICERS, SITES, base64_of, ed25519, hybrid, make_submission
from ledger_driver import LedgerDriver, code_of
from sento_node.ledger.apply import UnknownRules, check_submission
from sento_proto.errors import Code
from sento_proto.seal import P256Opener
from sento_proto.submission import decode_submission

ACCEPTED, CITY = Code.ACCEPTED, "iizuka-city"
ONE, TWO, THREE = OFFICERS
P256_SEAL_KEY = P256Opener(ec.derive_private_key(7, ec.SECP256R1())).public_key


def announced(driver: LedgerDriver, *rules: int, sites: tuple[str, ...] = SITES) -> None:
    for site in sites:
        assert driver.announce(site, rules) is ACCEPTED


# -- rules --------------------------------------------------------------------------------------------------------------


def test_the_rules_number_is_not_raised_before_every_site_of_the_receipt_set_announced_it() -> None:
    driver = governed(embassies=["us-embassy"])
    assert driver.act(set_rules(3)) is Code.RULES_NOT_ANNOUNCED
    announced(driver, 1, 2, 3, sites=SITES[:2])
    announced(driver, 1, 2, sites=SITES[2:])
    judged = driver.judged(set_rules(3))
    assert judged.code is Code.RULES_NOT_ANNOUNCED
    assert f"{SITES[2]} has not announced that it knows rules 3" in judged.why
    assert SITES[0] not in judged.why
    announced(driver, 2, 3, sites=SITES[2:])
    assert driver.act(set_rules(3)) is ACCEPTED
    assert driver.governance.rules == 3


def test_a_site_that_takes_its_word_back_holds_the_act_up() -> None:
    driver = governed()
    announced(driver, 1, 2, 3)
    announced(driver, 1, 2, sites=SITES[:1])
    assert driver.act(set_rules(3)) is Code.RULES_NOT_ANNOUNCED


def test_new_rules_hold_from_the_next_block_on_and_not_within_the_block() -> None:
    driver = governed()
    announced(driver, 2, 3)
    first = driver.act_bytes(set_rules(3))
    behind = decode_submission(first).records[0].record_hash
    second = driver.act_bytes(enrol_key(CITY, hybrid("city")), previous=behind)
    result = driver.order([first, second])
    assert [code_of(result, at) for at in range(2)] == [ACCEPTED, Code.ACT_REFUSED]
    assert (driver.governance.rules, driver.governance.next_rules) == (3, None)
    assert driver.act(enrol_key(CITY, hybrid("city")), set_policy(CITY, on=True)) is ACCEPTED


def test_one_act_cannot_raise_the_rules_and_use_them() -> None:
    driver = governed()
    announced(driver, 2, 3)
    assert driver.act(set_rules(3), enrol_key(CITY, hybrid("city"))) is Code.ACT_REFUSED
    assert driver.act(set_rules(3), set_policy(CITY, on=False)) is Code.ACT_REFUSED
    assert driver.governance.rules == 2


def test_rules_are_only_ever_raised_also_within_a_block() -> None:
    driver = governed(rules=3)
    announced(driver, 1, 2, 3, 4)
    for rules in (1, 2, 3):
        assert "they are only ever raised" in driver.judged(set_rules(rules)).why
    first = driver.act_bytes(set_rules(4))
    behind = decode_submission(first).records[0].record_hash
    again = driver.act_bytes(set_rules(4), previous=behind)
    result = driver.order([first, again])
    assert [code_of(result, at) for at in range(2)] == [ACCEPTED, Code.ACT_REFUSED]


def test_a_release_applies_the_whole_block_that_brings_unknown_rules_and_stops_before_the_next() -> None:
    driver = governed()
    announced(driver, 2, 3, 77)
    record = make_submission(driver.world, CITY, [driver.record("a")])
    first = driver.act_bytes(set_rules(77))
    behind = decode_submission(first).records[0].record_hash
    second = driver.act_bytes(enrol_key(CITY, ed25519("x")), previous=behind)
    result = driver.order([first, record, second])
    assert [code_of(result, at) for at in range(3)] == [ACCEPTED] * 3
    before = driver.state.tip
    late = make_submission(driver.world, CITY, [driver.record("b")])
    assert check_submission(driver.state, driver.governance, late).refusal is Code.STOPPED
    with pytest.raises(UnknownRules, match="under rules 77 and this release knows rules 1, 2, 3"):
        driver.order([late])
    assert driver.state.tip == before


def test_under_rules_1_no_act_has_power() -> None:
    driver = governed(rules=1)
    assert driver.act(set_threshold(2)) is Code.NOT_PERMITTED
    assert driver.act(set_rules(2)) is Code.NOT_PERMITTED


# -- erasure ------------------------------------------------------------------------------------------------------------


def test_an_erasure_order_names_records_and_stands_from_its_position_on() -> None:
    driver = governed()
    record = driver.record("a", content=b"x")
    driver.write([record])
    assert driver.act(erase(record.record_hash)) is ACCEPTED
    assert driver.governance.erasures == {record.record_hash: 1}
    assert "ordered to be erased already" in driver.judged(erase(record.record_hash)).why
    assert "The payloads of 1 records are given out no more" in words(driver, erase(record.record_hash))
    assert driver.codes([driver.record("a", previous=record.record_hash)]) == [ACCEPTED]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (erase(), "No record is named, or one twice"),
        (erase(b"\1" * 32, b"\1" * 32), "No record is named, or one twice"),
        (erase(b"\1" * 32, legal_basis=" "), "An erasure names its legal basis"),
        ({**erase(), "records": ["00" * 31]}, "must be 64 characters of 0-9 a-f"),
        ({**erase(), "records": ["AA" * 32]}, "must be 64 characters of 0-9 a-f"),
    ],
)
def test_an_erasure_order_that_says_too_little_is_refused(change: Change, why: str) -> None:
    driver = governed()
    judged = driver.judged(change)
    assert (judged.code, why in judged.why) == (Code.ACT_REFUSED, True), judged.why


# -- recovery -----------------------------------------------------------------------------------------------------------


def test_the_newest_recovery_key_is_in_force_and_former_ones_stay_known() -> None:
    driver = governed()
    assert driver.governance.recovery_key is None
    for name in ("2026", "2027"):
        assert driver.act(set_recovery_key(name, OFFICERS, 2)) is ACCEPTED
    governance = driver.governance
    assert governance.recovery_key is not None
    assert (governance.recovery_key.name, governance.recovery_key.act_at) == ("2027", 1)
    assert [key.name for key in governance.recovery_keys] == ["2026", "2027"]
    assert governance.recovery_key.commitments[1][0] == ONE


def share(index: int, officer: str, commitment: str = "00" * 32) -> dict[str, object]:
    return {"index": index, "officer": officer, "commitment": commitment}


KEY_REFUSED: list[tuple[Change, str]] = [
    (set_recovery_key("2026", OFFICERS, 2), "There is a recovery key 2026 already"),
    (set_recovery_key("x", OFFICERS, 1), "More than half of the shares must be needed"),
    (set_recovery_key("x", OFFICERS, 4), "no more than all"),
    (set_recovery_key("x", (), 1), "no more than all"),
    (set_recovery_key("x", (ONE, TWO, "nobody"), 2), "nobody is not an officer"),
    (set_recovery_key("x", (ONE, ONE, TWO), 2), "One officer has two shares"),
    (set_recovery_key("x", OFFICERS, 2, shares=[share(2, ONE), share(1, TWO)]), "Shares are numbered 1, 2, 3"),
    (set_recovery_key("x", OFFICERS, 1, shares=[share(1, ONE, "00")]), "must be 64 characters"),
    (set_recovery_key("x", OFFICERS, 2, public_key=base64_of(P256_SEAL_KEY)), "A recovery key is an X-Wing key"),
    (set_recovery_key("x", OFFICERS, 2, public_key=base64_of(b"\4" * 66)), "must be an X-Wing public key"),
    (set_recovery_key("x", OFFICERS, 2, ceremony="00"), "must be 32 characters"),
    (unlock("2030", [ONE, TWO]), "There is no recovery key 2030"),
    (unlock("2026", [ONE]), "2 holders of shares are needed, and 1 are named"),
    (unlock("2026", [ONE, ONE]), "2 holders of shares are needed, and 1 are named"),
    (unlock("2026", [ONE, THREE]), "officer-three holds no share"),
    (unlock("2026", [ONE, TWO], registries=["nowhere"]), "no registry nowhere with keys to open"),
    (unlock("2026", [ONE, TWO], registries=["governance"]), "no registry governance with keys to open"),
    (unlock("2026", [ONE, TWO], registries=[]), "names registries, key epochs and a reason"),
    (unlock("2026", [ONE, TWO], key_epochs=[]), "names registries, key epochs and a reason"),
    (unlock("2026", [ONE, TWO], key_epochs=[0]), "must be a whole number from 1"),
    (unlock("2026", [ONE, TWO], reason=" "), "names registries, key epochs and a reason"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), KEY_REFUSED, ids=case_id)
def test_a_recovery_change_that_does_not_fit_is_refused_with_its_reason(change: Change, why: str) -> None:
    driver = governed()
    assert driver.act(set_recovery_key("2026", (ONE, TWO), 2)) is ACCEPTED
    assert_unfit(driver, change, why)


def test_an_unlocking_says_who_what_and_why_and_changes_nobodys_permission() -> None:
    driver = governed()
    assert driver.act(set_recovery_key("2026", OFFICERS, 2)) is ACCEPTED
    change = unlock("2026", [ONE, THREE])
    assert words(driver, change) == (
        "officer-one, officer-three open the keys of health, key epochs 1, with recovery key 2026, because: the hospital burnt down"
    )
    before = driver.governance
    assert driver.act(change) is ACCEPTED
    after = driver.governance
    assert after.changed(acts=before.acts, last_act=before.last_act, last_act_at=before.last_act_at) == before
    assert after.acts == before.acts + 1


def test_a_holder_of_a_share_who_left_office_may_still_open() -> None:
    driver = governed()
    assert driver.act(set_recovery_key("2026", OFFICERS, 2)) is ACCEPTED
    assert driver.act({"do": "retire-officer", "name": THREE}) is ACCEPTED
    assert driver.act(unlock("2026", [ONE, THREE])) is ACCEPTED
    assert "officer-three is not an officer" in driver.judged(set_recovery_key("2027", OFFICERS, 2)).why


def test_a_ceremony_of_officers_that_the_same_act_brings_into_office() -> None:
    driver = governed()
    changes = [enrol_officer("four", ed25519("four")), set_threshold(3)]
    assert driver.act(*changes, set_recovery_key("2026", (*OFFICERS, "four"), 3)) is ACCEPTED


def test_changes_say_what_holds_from_then_on() -> None:
    driver = governed()
    assert "From the next block on, rules 3 are in force instead of 2" in words(driver, set_rules(3))
    said = words(driver, set_recovery_key("2026", OFFICERS, 2))
    assert "recovery key 2026, which opens with 2 of 3 shares" in said
