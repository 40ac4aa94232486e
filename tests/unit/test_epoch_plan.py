"""A plan is one file whose hash everything hangs on: altered, signed by others, for another ledger or another end of this one, it is refused in words."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from acts import governed, set_threshold
from epochs import plan_here, signed
from genesis_builder import OFFICERS, build_genesis
from sento_proto.epoch_plan import (
    PlanRefused,
    act_of,
    acts_behind,
    check_plan,
    decode_plan,
    encode_plan,
    offices_of,
    plan_hash,
    signed_plan,
)
from sento_proto.errors import Code
from sento_proto.wire import Malformed


def test_a_signed_plan_survives_its_file_and_is_judged_good() -> None:
    driver = governed(5)
    driver.fill(2)
    plan = signed(driver, plan_here(driver, readmit=(b"\1" * 32, b"\2" * 32)))
    again = decode_plan(encode_plan(plan))
    assert plan_hash(again) == plan_hash(plan) == plan_hash(replace(plan, signatures=()))
    assert act_of(again) == act_of(plan)
    assert offices_of(again, driver.governance) == sorted(OFFICERS[:2])
    assert check_plan(again, driver.governance).epoch == 1


def test_the_records_of_a_plans_acts_are_those_of_every_release() -> None:
    """Sites of two releases that carry out one plan must order the same records, or the act would stand twice."""
    plan = plan_here(governed(5), reason="recover", alone=True, acts=(b'{"first": 1}', b'{"second": 2}'))
    plan = replace(plan, ledger_id=bytes(32), parent=plan.parent._replace(root=bytes(32)))
    assert plan_hash(plan).hex() == "e4bf7bf5c87bcaac5482d57897e9e6504c14d39558f56dced77969a3ddc563f2"
    records = (act_of(plan), *acts_behind(plan))
    assert [record.header.record_id.hex() for record in records] == [
        "019e7044880074bfbbf5c87bcaac5482",
        "019e704488007bfabc78058ec0178d57",
        "019e7044880077dbaa56270b241044fb",
    ]
    assert [record.record_hash.hex() for record in records] == [
        "5dcf4eae41d4ea4e36701ccd10ff8b2a14ce6ea8f2c4c15e1b9feb85f999c8be",
        "5d2407ec9468f7c8305a08e9f5ff66450ceac090e54232cd9ba5a8e0a04017b1",
        "af63e3fab9c619a3364be269fe18614af61f938c0cb56a690256030bd1f9694a",
    ]


def test_an_officer_who_signs_twice_signs_once() -> None:
    driver = governed(5)
    driver.fill(1)
    plan = plan_here(driver)
    officer = driver.world.officer_signers[OFFICERS[0]]
    assert len(signed_plan(signed_plan(plan, officer), officer).signatures) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reason", "recover"),
        ("epoch", 2),
        ("last_act", "11" * 32),
        ("readmit", ["11" * 32]),
        ("legal_basis", "another"),
        ("as_of_ms", 1),
        ("made_at_ms", 1),
        ("words", ["Other words."]),
        ("voting", ["jp-fukuoka"]),
    ],
)
def test_a_plan_altered_after_it_was_signed_is_refused(field: str, value: object) -> None:
    driver = governed(5)
    driver.fill(1)
    told = json.loads(encode_plan(signed(driver, plan_here(driver))))
    assert told[field] != value
    told[field] = value
    with pytest.raises(PlanRefused):
        check_plan(decode_plan(json.dumps(told).encode()), driver.governance)


def test_too_few_signatures_another_ledger_and_an_act_since_are_refused_by_name() -> None:
    driver = governed(5)
    driver.fill(1)
    plan = plan_here(driver)
    with pytest.raises(PlanRefused, match="Too few officers"):
        check_plan(signed(driver, plan, OFFICERS[:1]), driver.governance)
    other = build_genesis(rules=5, name="another")
    with pytest.raises(PlanRefused, match="The plan is for ledger"):
        check_plan(signed(driver, replace(plan, ledger_id=other.ledger_id)), driver.governance)
    assert driver.act(set_threshold(3)) is Code.ACCEPTED
    with pytest.raises(PlanRefused, match="another officers' act"):
        check_plan(signed(driver, plan), driver.governance)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda told: told.pop("words"),
        lambda told: told.update(more=1),
        lambda told: told.update(epoch=0),
        lambda told: told.update(readmit=["11" * 32, "11" * 32]),
        lambda told: told["parent"].update(size=0),
        lambda told: told.update(format="sento-epoch-plan-2"),
        lambda told: told.update(signatures=told["signatures"] * 2),
    ],
)
def test_a_file_that_is_no_plan_is_malformed(spoil: object) -> None:
    driver = governed(5)
    driver.fill(1)
    told = json.loads(encode_plan(signed(driver, plan_here(driver), OFFICERS[:1])))
    spoil(told)  # type: ignore[operator]
    with pytest.raises(Malformed):
        decode_plan(json.dumps(told).encode())
