"""Officers' acts on readers, registries and key epochs; reading is never taken away without new keys."""

from __future__ import annotations

import pytest

from acts import (
    Change,
    add_registry,
    assert_unfit,
    case_id,
    close_key_epoch,
    enrol_reader,
    governed,
    permit,
    replace_seal_key,
    revoke_reader,
    seal_key,
    start_key_epoch,
    withdraw,
    words,
)
from genesis_builder import REGISTRIES, base64_of, make_submission
from ledger_driver import LedgerDriver, code_of
from sento_proto.errors import Code
from sento_proto.governance.state import RegistryState

ACCEPTED, CITY, DESK = Code.ACCEPTED, "iizuka-city", "relief-desk"
NEW_EPOCHS = [
    start_key_epoch(registry, 2) for registry in REGISTRIES if registry not in ("governance", "keys")
]


def may(
    driver: LedgerDriver, name: str, registry: str = "health", compartment: str = "ward"
) -> tuple[bool, bool]:
    """(may see, may read)."""
    governance = driver.governance
    return governance.may_see(name, registry, compartment), governance.may_read(name, registry, compartment)


def test_a_new_reader_reads_its_scopes_and_sees_what_it_may_only_see() -> None:
    driver = governed()
    assert may(driver, "auditor") == (False, False)
    assert driver.act(enrol_reader("auditor", ("health", "ward"), see=[("tax", "*")])) is ACCEPTED
    assert may(driver, "auditor") == (True, True)
    assert may(driver, "auditor", "health", "other") == (False, False)
    assert may(driver, "auditor", "tax", "audit") == (True, False)
    assert driver.act(permit("auditor", "see", ("health", "*"))) is ACCEPTED
    assert may(driver, "auditor", "health", "other") == (True, False)
    assert driver.act(permit("auditor", "read", ("health", "other"))) is ACCEPTED
    assert may(driver, "auditor", "health", "other") == (True, True)
    assert driver.act(withdraw("auditor", "see", ("tax", "*"))) is ACCEPTED
    assert may(driver, "auditor", "tax", "audit") == (False, False)


@pytest.mark.parametrize(
    "change", [revoke_reader(DESK), withdraw(DESK, "read", ("health", "*"))], ids=["revoke", "withdraw"]
)
def test_reading_is_not_taken_away_without_a_new_key_epoch_in_the_same_act(change: Change) -> None:
    driver = governed()
    judged = driver.judged(change)
    assert judged.code is Code.ACT_REFUSED
    assert f"{DESK} loses reading in health: start key epoch 2 of health in the same act." in judged.why
    assert driver.act(change) is Code.ACT_REFUSED
    assert may(driver, DESK) == (True, True)
    assert driver.act(change, *NEW_EPOCHS) is ACCEPTED
    assert may(driver, DESK) == (False, False)
    assert driver.governance.registries["health"].key_epoch == 2


def test_a_new_key_epoch_may_come_before_or_behind_the_loss_within_the_act_and_must_be_of_that_registry() -> (
    None
):
    driver = governed()
    lost = withdraw(DESK, "read", ("health", "*"))
    assert driver.act(start_key_epoch("tax", 2), lost) is Code.ACT_REFUSED
    assert driver.act(start_key_epoch("health", 2), lost) is ACCEPTED


def test_a_reader_that_is_taken_back_and_given_back_in_one_act_loses_nothing() -> None:
    driver = governed()
    lost, given = withdraw(DESK, "read", ("health", "*")), permit(DESK, "read", ("health", "*"))
    assert driver.act(lost, given) is ACCEPTED
    assert may(driver, DESK) == (True, True)


def test_seals_go_to_another_key_of_an_author_and_reader_alike() -> None:
    driver = governed()
    assert driver.act(enrol_reader(CITY, ("health", "*"))) is ACCEPTED
    assert driver.act(replace_seal_key(CITY, "another")) is ACCEPTED
    governance = driver.governance
    assert base64_of(governance.authors[CITY].seal_key) == seal_key("another")
    assert governance.readers[CITY].seal_key == governance.authors[CITY].seal_key


def test_a_new_registry_can_be_written_once_somebody_may() -> None:
    driver = governed()
    assert driver.act(add_registry("libraries"), permit(CITY, "write", ("libraries", ""))) is ACCEPTED
    assert driver.governance.registries["libraries"] == RegistryState(1, 1)
    assert driver.codes([driver.record("book", registry="libraries")]) == [ACCEPTED]


def test_late_records_of_a_former_key_epoch_are_accepted_until_an_act_closes_it() -> None:
    driver = governed()
    assert driver.codes([driver.record("early", key_epoch=2)]) == [Code.NOT_PERMITTED]
    assert driver.act(start_key_epoch("residency", 2)) is ACCEPTED
    assert driver.codes([driver.record("late"), driver.record("new", key_epoch=2)]) == [ACCEPTED, ACCEPTED]
    late = [make_submission(driver.world, CITY, [driver.record(name)]) for name in ("last", "too late")]
    result = driver.order([late[0], driver.act_bytes(close_key_epoch("residency", 1)), late[1]])
    assert [code_of(result, at) for at in range(3)] == [ACCEPTED, ACCEPTED, Code.KEY_EPOCH_CLOSED]
    assert driver.codes([driver.record("more", key_epoch=2)]) == [ACCEPTED]
    assert driver.codes([driver.record("elsewhere", registry="tax")]) == [ACCEPTED]


def test_a_former_key_epoch_may_be_closed_by_the_act_that_starts_the_new_one() -> None:
    driver = governed()
    assert driver.act(start_key_epoch("residency", 2, "closed")) is ACCEPTED
    assert driver.codes([driver.record("late")]) == [Code.KEY_EPOCH_CLOSED]


REFUSED: list[tuple[Change, str]] = [
    (enrol_reader(DESK, ("tax", "")), "relief-desk is a reader already"),
    (enrol_reader("auditor", ("nowhere", "")), "no registry nowhere"),
    (enrol_reader("auditor", ("tax", ""), see=[("nowhere", "")]), "no registry nowhere"),
    (revoke_reader("nobody"), "nobody is not a reader"),
    (permit("nobody", "read", ("tax", "")), "nobody is not a reader; enrol it first"),
    (permit(CITY, "see", ("tax", "")), "iizuka-city is not a reader"),
    (permit(DESK, "read", ("tax", "*")), "relief-desk may read all of tax already"),
    (permit(DESK, "see", ("nowhere", "*")), "no registry nowhere"),
    (permit(DESK, "see"), "No scope is named"),
    (withdraw(DESK, "see", ("tax", "*")), "no permission to see all of tax"),
    (withdraw(DESK, "read", ("tax", "")), "no permission to read open part of tax"),
    (replace_seal_key("nobody", "x"), "neither an author nor a reader"),
    (add_registry("tax"), "There is a registry tax already"),
    (add_registry("keys"), "There is a registry keys already"),
    (start_key_epoch("nowhere", 2), "no registry nowhere with key epochs"),
    (start_key_epoch("governance", 2), "no registry governance with key epochs"),
    (start_key_epoch("tax", 3), "The next key epoch of tax is 2, not 3"),
    (close_key_epoch("tax", 1), "closed already, or is the one in use"),
    (close_key_epoch("tax", 7), "closed already, or is the one in use"),
    (close_key_epoch("nowhere", 1), "no registry nowhere"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=case_id)
def test_a_change_that_does_not_fit_is_refused_with_its_reason_and_changes_nothing(
    change: Change, why: str
) -> None:
    assert_unfit(governed(), change, why)


SAID: list[tuple[Change, str]] = [
    (permit(DESK, "read", ("tax", "audit")), "may read audit in tax. Its authors must seal their keys to it"),
    (permit(DESK, "see", ("tax", "")), "relief-desk may see open part of tax."),
    (withdraw(DESK, "read", ("tax", "*")), "What was sealed under former key epochs stays readable to relief-desk"),
    (withdraw(DESK, "see", ("tax", "*")), "relief-desk may no longer see all of tax."),
    (enrol_reader("auditor", ("tax", ""), see=[("health", "*")]), "may read open part of tax and see headers of all of health."),
    (revoke_reader(DESK), "relief-desk may no longer read anything (so far all of governance"),
    (revoke_reader(DESK), "sites release no further payload to it"),
    (replace_seal_key(DESK, "x"), "Whoever has the former key still opens what was sealed to it."),
    (add_registry("libraries"), "There is a registry libraries; nobody may write it yet."),
    (start_key_epoch("tax", 2), "late records of the former one are accepted until an act closes it"),
    (start_key_epoch("tax", 2, "closed"), "records sealed under a former one are refused"),
    (close_key_epoch("tax", 1), "No record of tax sealed under key epoch 1 or before is accepted any more."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"), SAID, ids=lambda value: value["do"] if isinstance(value, dict) else None
)
def test_a_change_says_what_holds_from_then_on(change: Change, said: str) -> None:
    assert said in words(governed(), change)
