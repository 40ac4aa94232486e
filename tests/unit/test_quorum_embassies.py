"""What an embassy puts its cosignature under: no tree that may be its lender's invention, and every tree that a quorum stands behind."""

from __future__ import annotations

import itertools

import pytest

from cosigning_sites import OTHER_ROOT, CosigningSites
from genesis_builder import build_genesis
from sento_node.quorum.embassies import may_cosign
from sento_proto.errors import Code

A, B, C, E = "jp-fukuoka", "jp-ishikawa", "jp-ibaraki", "lu-betzdorf"
OTHERS = (A, B, C)


@pytest.mark.parametrize(
    ("signers", "answering", "has_listened", "allowed"),
    [
        ((), OTHERS, True, False),
        ((A,), OTHERS, True, False),
        ((A, B), OTHERS, True, True),
        ((A,), (A,), True, True),
        ((A,), (), True, True),
        ((A,), (A,), False, False),
        ((A,), (B,), True, False),
        ((), (), True, False),
        ((A, E), OTHERS, True, False),
        ((E,), (), True, False),
    ],
)
def test_an_embassy_signs_first_only_with_two_others_or_the_only_one_left(
    signers: tuple[str, ...], answering: tuple[str, ...], has_listened: bool, allowed: bool
) -> None:
    found = may_cosign(
        by_quorum=False, signers=signers, others=OTHERS, answering=answering, has_listened=has_listened
    )
    assert found is allowed


def test_behind_a_quorum_an_embassy_signs_whoever_asks() -> None:
    for signers, answering, listened in itertools.product(((), (A,)), ((), OTHERS), (False, True)):
        assert may_cosign(
            by_quorum=True, signers=signers, others=OTHERS, answering=answering, has_listened=listened
        )


def test_one_hostile_lender_gets_no_cosignature_under_an_order_that_nobody_else_has() -> None:
    sites = CosigningSites(build_genesis(embassies=(E,)))
    sites.lead(A)
    sites.passes(12_000)
    sites.applied(
        1, 5, roots={B: OTHER_ROOT, C: OTHER_ROOT}
    )  # the lender and the embassy have the same false tree
    sites.passes(4_000)
    assert (E, Code.NOT_READY) in sites.refusals
    assert all(E not in sites.cosigners(at, 5) for at in sites.sites)


def test_an_embassy_never_proposes() -> None:
    sites = CosigningSites(build_genesis(embassies=(E,)))
    sites.away |= {A, B, C}
    sites.applied(1, 5)
    sites.passes(10_000)
    assert sites.sites[E].last_cosigned is None


def test_two_data_sites_and_an_embassy_make_receipts_when_one_data_site_is_lost() -> None:
    sites = CosigningSites(build_genesis(sites=(A, B), embassies=(E,), receipt_set=(A, B, E)))
    sites.lead(A)
    sites.passes(2_000)
    sites.away.add(B)
    sites.applied(1, 5)
    sites.passes(20_000)
    assert sites.cosigners(A, 5) == {A, E}


def test_an_embassy_that_a_quorum_needs_is_shown_who_else_has_signed() -> None:
    world = build_genesis(sites=(A, B, C), embassies=(E, "tw-taipei"), receipt_set=(A, B, C, E, "tw-taipei"))
    sites = CosigningSites(world)
    sites.lead(A)
    sites.passes(1_000)
    sites.away.add(C)
    sites.applied(1, 5)
    sites.passes(2_000)
    assert {A, B} < sites.cosigners(A, 5)
    assert len(sites.cosigners(A, 5)) == 4
