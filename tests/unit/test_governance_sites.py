"""Officers' acts on sites and the receipt set, and sites' own word on which rules they know."""

from __future__ import annotations

import base64

import pytest

from acts import (
    Change,
    assert_unfit,
    case_id,
    enrol_site,
    governed,
    retire_site,
    rotate_site_key,
    set_receipt_set,
    set_rules,
    words,
)
from genesis_builder import SITES, ed25519, make_block, make_submission
from ledger_driver import LedgerDriver, code_of
from sento_node.ledger.apply import apply_block
from sento_node.ordering.port import OrderedBlock
from sento_proto.checkpoint import Checkpoint, SiteKeys, SiteSigners, cosign_all
from sento_proto.errors import Code
from sento_proto.fraud import KnownSites
from sento_proto.governance.site_rules import SiteRules, encode_site_rules
from sento_proto.header import ZERO32
from sento_proto.software_signers import MlDsa44Signer
from sento_proto.submission import decode_submission

ACCEPTED, NEW = Code.ACCEPTED, "jp-sapporo"
A, B, C = SITES


def block_by(driver: LedgerDriver, site: str) -> Code | None:
    """What becomes of an empty block that this site orders."""
    data = make_block(driver.world, site, [], 1, epoch=driver.state.epoch)
    number = driver.state.block + 1
    block = OrderedBlock(number, driver.state.revision + 2, f"{site}/1/0", 1, data)
    return apply_block(driver.state, block).refusal


def enrolled(driver: LedgerDriver) -> None:
    """A fourth site, that the tests can sign for."""
    driver.world.site_signers[NEW] = ed25519(NEW)
    assert driver.act(enrol_site(NEW, ed25519(NEW))) is ACCEPTED


def test_a_new_site_orders_blocks_and_a_retired_one_does_not() -> None:
    driver = governed()
    driver.world.site_signers[NEW] = ed25519(NEW)
    assert block_by(driver, NEW) is Code.NOT_PERMITTED
    enrolled(driver)
    assert block_by(driver, NEW) is None
    assert driver.act(retire_site(NEW)) is ACCEPTED
    assert block_by(driver, NEW) is Code.NOT_PERMITTED


def test_a_site_signs_with_its_new_key_alone() -> None:
    driver = governed()
    assert driver.act(rotate_site_key(B, ed25519("new"))) is ACCEPTED
    assert block_by(driver, B) is Code.NOT_PERMITTED
    driver.world.site_signers[B] = ed25519("new")
    assert block_by(driver, B) is None


def test_the_receipt_set_goes_by_the_size_of_the_tree() -> None:
    driver = governed()
    driver.fill(5)
    assert driver.act(set_receipt_set([A, B], 2)) is ACCEPTED
    governance = driver.governance
    assert [entry.from_size for entry in governance.receipt_quorums] == [0, 6]
    assert set(governance.receipt_quorum_at(5).keys) == set(SITES)
    assert set(governance.receipt_quorum_at(6).keys) == {A, B}
    assert governance.receipt_quorum_at(99).quorum == 2
    assert driver.act(retire_site(C)) is ACCEPTED


def test_a_site_leaves_the_receipt_set_and_the_ledger_in_one_act() -> None:
    driver = governed()
    assert driver.act(set_receipt_set([A, B], 2), retire_site(C)) is ACCEPTED
    assert C not in driver.governance.sites
    assert C in {name for name, _ in driver.governance.site_keys_ever.values()}


def test_a_rotated_key_of_the_receipt_set_counts_from_the_act_on() -> None:
    driver = governed()
    driver.fill(2)
    old = driver.governance.sites[B].key
    assert driver.act(rotate_site_key(B, ed25519("new"))) is ACCEPTED
    governance = driver.governance
    assert governance.receipt_quorum_at(2).keys[B].ed25519 == old
    assert governance.receipt_quorum_at(3).keys[B].ed25519 == ed25519("new").public_key


def test_a_replaced_key_pair_stays_known_as_a_pair_though_the_site_was_in_no_receipt_set() -> None:
    driver = governed()
    enrolled(driver)
    signers = [
        SiteSigners(ed25519(f"key {number}"), MlDsa44Signer(bytes([number]) * 32)) for number in (1, 2)
    ]
    for one in signers:
        rotated = rotate_site_key(NEW, one.ed25519)
        second = one.keys.ml_dsa_44
        assert second is not None
        rotated["ml_dsa_44"] = base64.b64encode(second.data).decode()
        assert driver.act(rotated) is ACCEPTED
    first, now = signers
    bare = Checkpoint(driver.governance.ledger_id, 1, 6, b"r" * 32)
    known = KnownSites.of(driver.governance)
    assert known.keys[NEW] == (SiteKeys(ed25519(NEW).public_key), first.keys, now.keys)
    by_both = bare._replace(signatures=cosign_all(bare, NEW, first, 1_800_000_000))
    assert known.signed_checkpoint(NEW, by_both)
    assert not known.signed_checkpoint(NEW, by_both._replace(signatures=by_both.signatures[:1]))


def test_two_changes_of_the_receipt_set_in_one_act_leave_one_entry() -> None:
    driver = governed()
    assert driver.act(rotate_site_key(B, ed25519("new")), set_receipt_set([A, B], 2)) is ACCEPTED
    assert [entry.from_size for entry in driver.governance.receipt_quorums] == [0, 1]


def test_a_newcomer_joins_the_receipt_set_once_it_has_announced_the_rules_in_force() -> None:
    driver = governed()
    enrolled(driver)
    joins = set_receipt_set([*SITES, NEW], 3)
    assert driver.act(joins) is Code.RULES_NOT_ANNOUNCED
    assert "jp-sapporo has not announced that it knows rules 2; start it" in driver.judged(joins).why
    assert driver.announce(NEW, [1]) is ACCEPTED
    assert driver.act(joins) is Code.RULES_NOT_ANNOUNCED
    assert driver.announce(NEW, [1, 2]) is ACCEPTED
    assert driver.act(joins) is ACCEPTED


def test_a_newcomer_must_know_the_rules_that_the_same_act_or_block_agreed_on_before() -> None:
    driver = governed()
    enrolled(driver)
    for site in SITES:
        driver.announce(site, [1, 2, 3])
    driver.announce(NEW, [1, 2])
    joins = set_receipt_set([*SITES, NEW], 3)
    assert driver.judged(joins).code is ACCEPTED
    assert driver.judged(set_rules(3), joins).code is Code.RULES_NOT_ANNOUNCED
    acts = [driver.act_bytes(set_rules(3))]
    record_hash = decode_submission(acts[0]).records[0].record_hash
    acts.append(driver.act_bytes(joins, previous=record_hash))
    result = driver.order(acts)
    assert [code_of(result, at) for at in range(2)] == [ACCEPTED, Code.RULES_NOT_ANNOUNCED]


REFUSED: list[tuple[Change, str]] = [
    (enrol_site(A, ed25519("x")), "There is a site jp-fukuoka already"),
    (enrol_site(NEW, governed().world.site_signers[A]), "enrolled before"),
    (retire_site(NEW), "There is no site jp-sapporo"),
    (retire_site(A), "jp-fukuoka is in the receipt set; take it out of the set before"),
    (rotate_site_key(NEW, ed25519("x")), "There is no site jp-sapporo"),
    (rotate_site_key(A, governed().world.site_signers[B]), "enrolled before"),
    (set_receipt_set([A, NEW], 2), "There is no site jp-sapporo"),
    (set_receipt_set([A, A, B], 2), "A site stands twice"),
    (set_receipt_set([A, B, C], 1), "The quorum must be more than half"),
    (set_receipt_set([A, B], 3), "The quorum must be more than half"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "why"), REFUSED, ids=case_id)
def test_a_change_that_does_not_fit_is_refused_with_its_reason_and_changes_nothing(
    change: Change, why: str
) -> None:
    assert_unfit(governed(), change, why)


SAID: list[tuple[Change, str]] = [
    (enrol_site(NEW, ed25519("x")), "jp-sapporo (somewhere, somewhere) is a site; its cosignature counts once"),
    (retire_site(A), "jp-fukuoka is no site any more: its blocks are refused."),
    (rotate_site_key(A, ed25519("x")), "blocks and cosignatures under its former key are refused."),
    (set_receipt_set([A, B], 2), "A receipt needs cosignatures of 2 of jp-fukuoka, jp-ishikawa."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"), SAID, ids=lambda value: value["do"] if isinstance(value, dict) else None
)
def test_a_change_says_what_holds_from_then_on(change: Change, said: str) -> None:
    assert said in words(governed(), change)


# -- announcements ------------------------------------------------------------------------------------------------------


def test_an_announcement_counts_from_the_next_position_on_and_the_same_again_is_refused() -> None:
    driver = governed()
    assert driver.announce(A, [1, 2, 3]) is ACCEPTED
    assert driver.governance.site_rules == {A: frozenset({1, 2, 3})}
    assert driver.announce(A, [3, 2, 1]) is Code.NOT_PERMITTED
    assert driver.announce(A, [1, 2]) is ACCEPTED
    assert driver.announce(A, [1, 2, 3], previous=ZERO32) is Code.STALE
    assert driver.announce(A, [1, 2, 3], previous=b"\1" * 32) is Code.PREDECESSOR_MISSING


def test_an_announcement_sent_twice_is_known() -> None:
    driver = governed()
    data = driver.announcement(A, [1, 2])
    assert [code_of(driver.order([data])) for _ in range(2)] == [ACCEPTED, Code.KNOWN]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"content": encode_site_rules(SiteRules(B, (1, 2), "0.4.0"))}, Code.NOT_PERMITTED),
        ({"content": b"{}"}, Code.MALFORMED),
        ({"content": b'{"format":"sento-site-rules-1","format":"x"}'}, Code.MALFORMED),
        ({"kind": "act"}, Code.NOT_PERMITTED),
        ({"registry": "keys"}, Code.NOT_PERMITTED),
        ({"subject": b"\1" * 32}, Code.NOT_PERMITTED),
        ({"fact": b"\1" * 16}, Code.NOT_PERMITTED),
        ({"compartment": "x"}, Code.NOT_PERMITTED),
        ({"key_epoch": 1}, Code.NOT_PERMITTED),
        ({"registry": "residency", "content": b""}, Code.MALFORMED),
    ],
)
def test_a_site_signs_nothing_of_its_own_but_announcements_in_their_form(
    fields: dict[str, object], code: Code
) -> None:
    driver = governed()
    before = driver.governance
    assert driver.announce(A, [1, 2], **fields) is code
    assert (driver.governance, driver.state.size) == (before, 0)


def test_a_site_does_not_announce_for_another_site() -> None:
    driver = governed()
    driver.world.site_signers[B], signer = driver.world.site_signers[A], driver.world.site_signers[B]
    assert driver.announce(B, [1, 2, 3]) is Code.NOT_PERMITTED
    driver.world.site_signers[B] = signer
    assert driver.announce(B, [1, 2, 3]) is ACCEPTED


def test_a_retired_site_and_a_rotated_key_announce_nothing() -> None:
    driver = governed()
    assert driver.act(rotate_site_key(B, ed25519("new"))) is ACCEPTED
    assert driver.announce(B, [1, 2, 3]) is Code.KEY_ENDED
    driver.world.site_signers[B] = ed25519("new")
    assert driver.announce(B, [1, 2, 3]) is ACCEPTED
    assert driver.act(set_receipt_set([A, C], 2), retire_site(B)) is ACCEPTED
    assert driver.announce(B, [1, 2]) is Code.KEY_ENDED


def test_under_rules_1_a_sites_own_record_is_of_nobody() -> None:
    driver = governed(rules=1)
    assert driver.announce(A, [1, 2]) is Code.UNKNOWN_AUTHOR


def test_an_author_may_not_announce_in_a_sites_name() -> None:
    driver = governed()
    record = driver.record("x", registry="governance")
    assert (
        code_of(driver.order([make_submission(driver.world, "iizuka-city", [record])])) is Code.NOT_PERMITTED
    )
