"""Which losses are survived, against the definition: every way in which a record can lie on a majority, and every set of disks that may burn."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sento_client.site_status.survivability import critical_sites, majority, possible_loss

VOTERS = ("a", "b", "c", "d", "e", "f", "g")
Sites = frozenset[str]


@pytest.mark.parametrize(("voters", "needed"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (7, 4)])
def test_majority_is_more_than_half(voters: int, needed: int) -> None:
    assert majority(voters) == needed


@st.composite
def registries(draw: st.DrawFn) -> tuple[tuple[str, ...], Sites, Sites]:
    """Voting sites, those at work, and those known to have their disks, at work or not."""
    voting = VOTERS[: draw(st.integers(1, len(VOTERS)))]
    at_work = frozenset(draw(st.sets(st.sampled_from(voting))))
    return voting, at_work, at_work | frozenset(draw(st.sets(st.sampled_from(voting))))


@given(registries(), st.data())
def test_critical_sites_are_those_whose_loss_alone_ends_writing(
    registry: tuple[tuple[str, ...], Sites, Sites], data: st.DataObject
) -> None:
    voting, at_work, _ = registry
    takers = data.draw(st.sets(st.sampled_from(sorted(at_work)))) if at_work else set()
    needed = majority(len(voting))
    critical = critical_sites(sorted(at_work), needed, takers)

    def goes_on(lost: set[str]) -> bool:
        return len(at_work - lost) >= needed and bool(takers - lost)

    for site in voting:
        assert (site in critical) == (goes_on(set()) and not goes_on({site}))


def test_where_it_is_not_said_who_takes_records_everybody_at_work_does() -> None:
    assert critical_sites("ab", 2) == ("a", "b")
    assert critical_sites("abc", 2) == ()


@given(registries())
def test_a_record_acknowledged_now_is_lost_with_so_many_disks_and_not_with_one_less(
    registry: tuple[tuple[str, ...], Sites, Sites],
) -> None:
    voting, at_work, holding = registry
    needed = majority(len(voting))
    if len(at_work) < needed:
        return
    loss = possible_loss(voting, at_work, holding)
    assert set(loss.sites) == at_work
    placements = [set(held) for held in combinations(sorted(at_work), needed)]

    def loses(burnt: set[str]) -> bool:
        return any(held <= burnt for held in placements)

    assert all(loses(set(burnt)) for burnt in combinations(loss.sites, loss.any_of))
    assert not any(loses(set(burnt)) for burnt in combinations(loss.sites, loss.any_of - 1))


@given(registries())
def test_without_a_majority_those_away_are_taken_as_burnt(
    registry: tuple[tuple[str, ...], Sites, Sites],
) -> None:
    voting, at_work, holding = registry
    needed = majority(len(voting))
    if len(at_work) >= needed:
        return
    loss = possible_loss(voting, at_work, holding)
    away = set(voting) - holding
    placements = [set(held) for held in combinations(voting, needed)]

    def loses(burnt: set[str]) -> bool:
        return any(held <= burnt for held in placements)

    if loss.any_of:
        assert set(loss.sites) == holding
        assert not loses(away)
        assert all(loses(away | set(burnt)) for burnt in combinations(loss.sites, loss.any_of))
        assert not any(loses(away | set(burnt)) for burnt in combinations(loss.sites, loss.any_of - 1))
    else:
        assert set(loss.sites) == away
        assert loses(away)
        assert not any(loses(away - set(back)) for back in combinations(loss.sites, loss.come_back))
        assert any(loses(away - set(back)) for back in combinations(loss.sites, loss.come_back - 1))
