"""Shares give the key of the act or are refused in words: too few, of two ceremonies, wrong, or a ceremony that was wrong itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from recovery_world import derived, hold_ceremony, standing_of
from sento_client.recovery.reconstruct import ceremony_of, reconstruct
from sento_client.recovery.refusals import RecoveryRefused, Refusal
from sento_client.recovery.standing import Ceremony
from sento_proto.recovery import RecoveryShare
from sento_proto.seal import xwing_public

HELD, OTHER = hold_ceremony("2027"), hold_ceremony("2028")
ONE, TWO, THREE, FOUR, FIVE = HELD.shares


def refused(shares: list[RecoveryShare], ceremony: Ceremony = HELD.ceremony) -> tuple[Refusal, str]:
    with pytest.raises(RecoveryRefused) as error:
        reconstruct(shares, ceremony)
    return error.value.code, "; ".join(error.value.details)


def test_any_three_of_five_shares_give_the_key_of_the_act() -> None:
    secrets = {reconstruct(chosen, HELD.ceremony).secret for chosen in combinations(HELD.shares, 3)}
    assert len(secrets) == 1
    assert xwing_public(secrets.pop()) == HELD.ceremony.public_key


def test_more_shares_than_needed_do_no_harm() -> None:
    assert reconstruct(HELD.shares, HELD.ceremony) == reconstruct([ONE, TWO, THREE], HELD.ceremony)


def test_two_of_three_say_needs_3_have_2() -> None:
    assert refused([ONE, TWO]) == (Refusal.TOO_FEW_SHARES, "needs 3, have 2")


def test_an_officer_and_the_deputy_bring_the_same_share_which_counts_once() -> None:
    assert refused([ONE, TWO, TWO]) == (
        Refusal.TOO_FEW_SHARES,
        "needs 3, have 2; share 2 was given 2 times and counts once",
    )


def test_shares_of_two_ceremonies_are_refused_and_both_are_named() -> None:
    with pytest.raises(RecoveryRefused) as error:
        ceremony_of([ONE, TWO, OTHER.shares[2]], [standing_of(HELD), standing_of(OTHER)])
    assert error.value.code is Refusal.SHARES_MIXED
    assert error.value.details == (f"share 1, 2 of {HELD.ceremony.words}; share 3 of {OTHER.ceremony.words}",)


def test_shares_of_another_ceremony_never_reach_the_key() -> None:
    code, words = refused([ONE, TWO, OTHER.shares[2]])
    assert code is Refusal.SHARES_MIXED
    assert "2027" in words
    assert OTHER.ceremony.ceremony_id.hex()[:8] in words


def test_shares_of_a_ceremony_that_does_not_stand_are_refused() -> None:
    with pytest.raises(RecoveryRefused) as error:
        ceremony_of(OTHER.shares, [standing_of(HELD)])
    assert error.value.code is Refusal.CEREMONY_UNKNOWN


def test_no_share_at_all_is_refused() -> None:
    with pytest.raises(RecoveryRefused) as error:
        ceremony_of([], [standing_of(HELD)])
    assert error.value.code is Refusal.TOO_FEW_SHARES


@pytest.mark.parametrize(
    "wrong",
    [
        replace(TWO, value=derived("nobody's")),
        replace(THREE, index=2),
        replace(TWO, threshold=2),
    ],
    ids=["another value", "another officer's under this number", "a lower threshold"],
)
def test_a_wrong_share_is_named_by_its_index(wrong: RecoveryShare) -> None:
    code, words = refused([ONE, wrong, FOUR])
    assert code is Refusal.SHARE_WRONG
    assert words == f"share 2 (of the office of Baba Yui) of ceremony {HELD.ceremony.words}"


def test_a_share_with_a_number_that_was_never_dealt_is_wrong() -> None:
    code, words = refused([ONE, TWO, replace(THREE, index=9)])
    assert code is Refusal.SHARE_WRONG
    assert "share 9" in words


def test_every_wrong_share_is_named_at_once() -> None:
    _, words = refused([replace(ONE, value=bytes(32)), TWO, replace(FIVE, value=bytes(32))])
    assert "share 1" in words
    assert "share 5" in words


def test_a_key_that_is_not_the_one_in_the_act_is_refused() -> None:
    lying = replace(HELD.ceremony, public_key=OTHER.ceremony.public_key)
    code, words = refused([ONE, TWO, THREE], lying)
    assert code is Refusal.KEY_MISMATCH
    assert "shares 1, 2, 3" in words


def test_one_share_that_the_dealer_made_wrong_is_overcome_by_one_officer_more() -> None:
    bad = replace(TWO, value=derived("dealt wrongly"))
    shares = [
        one._replace(commitment=bad.commitment) if one.number == 2 else one for one in HELD.ceremony.shares
    ]
    ceremony = replace(HELD.ceremony, shares=tuple(shares))
    assert refused([ONE, bad, THREE], ceremony)[0] is Refusal.KEY_MISMATCH
    assert (
        reconstruct([ONE, bad, THREE, FOUR], ceremony).secret
        == reconstruct([ONE, THREE, FOUR], HELD.ceremony).secret
    )


def test_a_refusal_never_shows_a_share() -> None:
    wrong = replace(TWO, value=derived("nobody's"))
    _, words = refused([ONE, wrong, FOUR])
    assert derived("nobody's").hex() not in words
