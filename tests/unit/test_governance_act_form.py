"""The form of an act's content: JSON read strictly, every field once, and the header in the one form that acts have."""

from __future__ import annotations

import json

import pytest

from acts import governed, set_threshold
from genesis_builder import OFFICERS, act_content, make_act
from ledger_driver import LedgerDriver, code_of
from sento_proto import limits
from sento_proto.errors import Code
from sento_proto.governance.acts import CHANGES, CHANGES_MAX, decode_act, judge_act
from sento_proto.header import ZERO32
from sento_proto.submission import group_value
from sento_proto.wire import Malformed

GOOD = {"format": "sento-act-1", "reason": "why", "changes": [set_threshold(2)]}


def altered(**fields: object) -> bytes:
    return json.dumps({**GOOD, **fields}).encode()


BAD: list[tuple[bytes, str]] = [
    (b"", "not JSON"),
    (b"\xff", "not JSON in UTF-8"),
    (b"[]", "the file must be an object"),
    (b"[" * 100_000, "not JSON"),
    (altered(format="sento-act-2"), "format must be sento-act-1"),
    (altered(reason=""), "reason must say why"),
    (altered(reason="\u3000 "), "reason must say why"),
    (altered(reason="a\nb"), "text in one line"),
    (altered(reason=7), "text in one line"),
    (altered(changes=[]), f"1 to {CHANGES_MAX} changes"),
    (altered(changes=[set_threshold(2)] * (CHANGES_MAX + 1)), f"1 to {CHANGES_MAX} changes"),
    (altered(changes={}), "changes must be a list"),
    (altered(changes=[7]), "changes[0] must be an object"),
    (altered(changes=[{"do": "bribe"}]), "changes[0].do must be one of"),
    (altered(changes=[{"threshold": 2}]), "changes[0].do is missing"),
    (altered(changes=[{"do": "set-threshold"}]), "changes[0].threshold is missing"),
    (altered(changes=[{**set_threshold(2), "more": 1}]), "changes[0].more is not known"),
    (altered(changes=[set_threshold(0)]), "a whole number from 1 to 16"),
    (altered(changes=[{"do": "set-threshold", "threshold": True}]), "a whole number"),
    (altered(changes=[{"do": "set-threshold", "threshold": 2.0}]), "a whole number"),
    (altered(more=1), "more is not known"),
    (b'{"format":"sento-act-1","reason":"a","reason":"b","changes":[]}', "stands twice"),
    (b'{"format":"sento-act-1","reason":"a","changes":[{"do":"set-threshold","threshold":2,"threshold":3}]}', "stands twice"),
    (altered() + b"{}", "not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "why"), BAD, ids=range(len(BAD)))
def test_content_that_is_not_in_form_is_refused_with_the_field_and_changes_nothing(
    content: bytes, why: str
) -> None:
    with pytest.raises(Malformed) as caught:
        decode_act(content)
    assert why in str(caught.value)
    driver = governed()
    before = driver.governance
    signers = [driver.world.officer_signers[name].public_key.key_id for name in OFFICERS]
    assert judge_act(before, content, signers, 0).code is Code.ACT_REFUSED
    if len(content) <= limits.CONTENT_MAX_BYTES:
        assert code_of(driver.order([make_act(driver.world, content, epoch=0)])) is Code.ACT_REFUSED
    assert (driver.governance, driver.state.size) == (before, 0)


def bad_header(driver: LedgerDriver, **fields: object) -> Code:
    return code_of(driver.order([make_act(driver.world, act_content(set_threshold(2)), epoch=0, **fields)]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "acts"},
        {"compartment": "x"},
        {"registry": "keys"},
        {"subject": ZERO32},
        {"fact": b"\1" * 16},
        {"key_epoch": 1},
    ],
)
def test_an_act_whose_header_is_not_an_acts_is_malformed(fields: dict[str, object]) -> None:
    driver = governed()
    assert bad_header(driver, **fields) is Code.MALFORMED
    assert bad_header(driver) is Code.ACCEPTED


def test_an_act_in_a_group_is_malformed_even_of_one_member() -> None:
    driver = governed()
    record_id = driver.world.numbers.record_id()
    fields = {"record_id": record_id, "group": group_value([record_id])}
    assert bad_header(driver, **fields) is Code.MALFORMED


def test_an_act_with_a_payload_stands_and_apply_does_not_look_into_it() -> None:
    driver = governed()
    data = make_act(driver.world, act_content(set_threshold(2)), epoch=0, payload=b"any bytes " * 3_000)
    assert code_of(driver.order([data])) is Code.ACCEPTED
    spoilt = data.replace(b"any bytes ", b"ANY bytes ", 1)
    assert code_of(driver.order([spoilt])) is Code.BAD_SIGNATURE


def test_content_over_the_limit_cannot_be_an_act() -> None:
    driver = governed()
    with pytest.raises(Malformed):
        make_act(driver.world, act_content(set_threshold(2), reason="x" * limits.CONTENT_MAX_BYTES), epoch=0)


def test_every_change_names_itself_and_the_rules_that_it_exists_from() -> None:
    assert {name for name, change in CHANGES.items() if change.RULES == 3} == {"set-policy"}
    assert {name for name, change in CHANGES.items() if change.RULES == 4} == {
        "erase-subject", "carry-out-erasure", "withdraw-erasure",
        "delay-read-log", "release-read-log", "require-key-agent", "end-key-agent",
    }  # fmt: skip
    assert {"set-site-place", "set-site-votes", "enrol-tie-breaker"} <= {
        name for name, change in CHANGES.items() if change.RULES == 5
    }
    assert all(name == change.DO and change.RULES in (2, 3, 4, 5) for name, change in CHANGES.items())
