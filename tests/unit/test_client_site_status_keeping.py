"""What a site still owes to be whole and lawful, in words and for programs: damage, awaited payloads, erasures, access records, a rebuild."""

from __future__ import annotations

import pytest

from genesis_builder import TestWorld, build_genesis
from planted_status import B, PlantedSites, lines, troubles
from sento_client.site_status.json_form import status_value
from sento_proto.v1 import admin_pb2


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture
def sites(world: TestWorld) -> PlantedSites:
    return PlantedSites(world)


@pytest.mark.parametrize(
    ("field", "count", "trouble", "words"),
    [
        (
            "payloads_awaited",
            1,
            "payloads-awaited",
            "it awaits 1 payload from other sites and cosigns nothing",
        ),
        ("payloads_awaited", 2_000, "payloads-awaited", "it awaits 2,000 payloads"),
        (
            "erasures_pending",
            1,
            "erasure-pending",
            "1 erasure order that officers had carried out is not done",
        ),
        (
            "erasures_pending",
            3,
            "erasure-pending",
            "3 erasure orders that officers had carried out are not done",
        ),
        ("access_records_spooled", 4, "access-records-wait", "4 access records are on its disk alone"),
    ],
)
def test_what_a_site_owes_is_noted_at_it_and_looked_at_twice(
    sites: PlantedSites, field: str, count: int, trouble: str, words: str
) -> None:
    judgement = sites.say(B, **{field: count}).judged()
    assert troubles(judgement) == {trouble: B}
    assert words in lines(judgement)[0]
    assert (judgement.degraded, judgement.look_again) == (True, True)
    assert not sites.judged(before=judgement).look_again
    assert not sites.say(B, **{field: 0}).judged(before=judgement).degraded


def test_places_that_cannot_be_proven_are_counted_with_what_is_healed(sites: PlantedSites) -> None:
    sites._said[B].scrub.CopyFrom(admin_pb2.ScrubStatus(found=5, healed=3, fenced=2))
    judgement = sites.judged()
    assert troubles(judgement) == {"fenced": B}
    assert "2 places on its disk cannot be proven" in lines(judgement)[0]
    assert "3 of 5 that were found are healed" in lines(judgement)[0]


def test_site_that_makes_its_ledger_anew_says_how_far_it_is_and_does_not_count(sites: PlantedSites) -> None:
    judgement = sites.say(B, state="rebuilding", rebuilt_size=250, rebuild_target_size=1_000).judged()
    assert f"{B}: it is rebuilding (250 of 1,000 records, 25 %): as planted" in lines(judgement)
    assert B not in judgement.count.at_work


def test_programs_get_every_figure_and_null_where_a_site_is_silent(sites: PlantedSites) -> None:
    owed = {
        "payloads_awaited": 7,
        "erasures_pending": 1,
        "access_records_spooled": 2,
        "rebuilt_size": 250,
        "rebuild_target_size": 1_000,
    }
    sites.say(B, **owed)
    value = {site["site"]: site for site in _sites_of(sites)}
    assert owed.items() <= value[B].items()
    silent = {site["site"]: site for site in _sites_of(sites.gone(B))}
    assert {silent[B][field] for field in owed} == {None}


def _sites_of(sites: PlantedSites) -> list[dict[str, object]]:
    found = status_value(sites.judged())["sites"]
    assert isinstance(found, list)
    return found
