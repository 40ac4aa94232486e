"""Where copies and votes stand: what is refused and by which name, what an acceptance covers, what each loss takes, and what was measured."""

from __future__ import annotations

import dataclasses

import pytest

from genesis_builder import build_genesis
from sento_client.placement import Event, Finding, RoundTrips, findings, losses
from sento_client.placement.findings import refused
from sento_client.placement.losses import Known, Loss
from sento_client.placement.place_words import companies_of, is_over_satellite, zones_of
from sento_client.placement.round_trips import round_trips_of
from sento_client.placement.timeouts import Timeouts, pause_words, timeouts_for, timeouts_in_use
from sento_drill.places import EVERYWHERE, JP_FUKUOKA, JP_IBARAKI, LU_BETZDORF, PLACES, Place
from sento_node.ordering.timeouts import timeouts_for as timeouts_of_sites
from sento_proto.governance.parts import Site
from sento_proto.v1 import admin_pb2

KEY = next(iter(build_genesis().genesis.sites)).key
HOME = tuple(place.site for place in PLACES)


def sites(*places: Place) -> tuple[Site, ...]:
    fields = [field.name for field in dataclasses.fields(Place) if field.name != "site"]
    return tuple(
        Site(name=place.site, key=KEY, **{field: getattr(place, field) for field in fields})
        for place in places
    )


def names(found: tuple[Finding, ...]) -> list[str]:
    return [one.name for one in found]


EVERY = sites(*EVERYWHERE)


def test_the_development_world_is_refused_for_its_country_alone_and_stands_once_that_is_accepted() -> None:
    found = findings(EVERY, HOME)
    assert names(found) == ["majority-country:JP"]
    assert found[0].sites == HOME
    assert names(refused(found, ())) == ["majority-country:JP"]
    assert refused(found, ("majority-country:JP",)) == ()


def test_an_acceptance_of_one_finding_does_not_cover_another() -> None:
    drowned = dataclasses.replace(JP_IBARAKI, hazard_zone="Onga river basin")
    found = findings(sites(JP_FUKUOKA, drowned, LU_BETZDORF), HOME)
    assert names(refused(found, ("majority-country:JP",))) == ["hazard:Onga river basin"]


def test_two_copies_in_one_river_are_refused_however_the_zone_is_written() -> None:
    copy = dataclasses.replace(LU_BETZDORF, hazard_zone="Tamsui river;  ONGA  River Basin (lower reach)")
    found = findings(sites(JP_FUKUOKA, copy), ("jp-fukuoka",))
    assert names(found) == ["hazard:Onga river basin"]
    assert "Both copies" in found[0].words
    assert found[0].sites == ("jp-fukuoka", "lu-betzdorf")


def test_a_tie_breaker_in_the_zone_of_a_voter_is_no_second_copy_and_a_majority_of_votes() -> None:
    tie = dataclasses.replace(JP_IBARAKI, site="jp-tie", hazard_zone=JP_FUKUOKA.hazard_zone, ledger=False)
    found = findings(
        sites(JP_FUKUOKA, tie, dataclasses.replace(LU_BETZDORF, votes=True)),
        ("jp-fukuoka", "jp-tie", "lu-betzdorf"),
    )
    assert "majority-hazard:Onga river basin" in names(found)
    assert not any(name.startswith("hazard:") for name in names(found))


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [
        ("region", "Kyushu", "majority-region:kyushu"),
        ("power", JP_FUKUOKA.power.upper() + " (second feeder)", "majority-power:" + JP_FUKUOKA.power.partition(",")[0]),
        ("carrier", "QTnet by fibre", "majority-carrier:QTnet"),
    ],
)  # fmt: skip
def test_a_majority_of_votes_on_one_thing_is_refused_by_its_name(field: str, value: str, name: str) -> None:
    other = dataclasses.replace(JP_IBARAKI, country="KR", **{field: value})  # type: ignore[arg-type]
    third = dataclasses.replace(LU_BETZDORF, votes=True)
    voters = ("jp-fukuoka", "jp-ibaraki", "lu-betzdorf")
    assert names(findings(sites(JP_FUKUOKA, other, third), voters)) == [name]


def test_who_has_a_second_carrier_does_not_count_as_depending_on_the_first() -> None:
    other = dataclasses.replace(JP_IBARAKI, country="KR", carrier="QTnet; NTT East")
    third = dataclasses.replace(LU_BETZDORF, votes=True)
    voters = ("jp-fukuoka", "jp-ibaraki", "lu-betzdorf")
    assert findings(sites(JP_FUKUOKA, other, third), voters) == ()


@pytest.mark.parametrize(
    ("carrier", "satellite"),
    [
        ("SES, teleport at Betzdorf; POST Luxembourg by fibre", False),
        ("Starlink", True),
        ("SKY Perfect JSAT; Starlink business", True),
        ("satellite dish, provider not chosen", True),
        ("Sesame Telecom", False),
        ("", False),
    ],
)
def test_a_site_is_over_a_satellite_when_every_way_out_is(carrier: str, satellite: bool) -> None:
    assert is_over_satellite(carrier) is satellite


def test_a_vote_over_a_satellite_is_refused_and_an_embassy_over_one_is_not() -> None:
    dish = dataclasses.replace(LU_BETZDORF, carrier="Starlink")
    assert names(findings(sites(JP_FUKUOKA, dish), ("jp-fukuoka", "lu-betzdorf"))) == [
        "satellite:lu-betzdorf"
    ]
    assert findings(sites(JP_FUKUOKA, dish), ("jp-fukuoka",)) == ()


def test_a_vote_that_is_measured_half_a_second_from_all_others_goes_over_a_satellite_whatever_it_says() -> (
    None
):
    three = sites(JP_FUKUOKA, JP_IBARAKI, LU_BETZDORF)
    voters = ("jp-fukuoka", "jp-ibaraki", "lu-betzdorf")
    near = frozenset(("jp-fukuoka", "jp-ibaraki"))
    far = {frozenset((home, "lu-betzdorf")): 620_000 for home in near}
    found = findings(three, voters, RoundTrips({near: 15_000, **far}))
    assert "satellite:lu-betzdorf" in names(found)
    assert "620 ms" in next(one.words for one in found if one.name == "satellite:lu-betzdorf")
    half = RoundTrips({near: 15_000, frozenset(("jp-fukuoka", "lu-betzdorf")): 620_000})
    assert "satellite:lu-betzdorf" not in names(findings(three, voters, half)), "one of two is not measured"


def test_a_place_that_governance_does_not_describe_is_refused() -> None:
    unsaid = dataclasses.replace(JP_IBARAKI, hazard_zone="unknown", power=" ")
    found = findings(sites(unsaid), ("jp-ibaraki",))
    assert names(found) == ["unsaid:jp-ibaraki"]
    assert "hazard zone and power" in found[0].words


def test_parts_are_compared_and_what_describes_them_is_not() -> None:
    assert [zone.shown for zone in zones_of(JP_FUKUOKA.hazard_zone)] == [
        "Nishiyama fault zone",
        "Onga river basin",
    ]
    assert [one.shown for one in companies_of(LU_BETZDORF.carrier)] == ["SES", "POST Luxembourg"]
    assert [one.key for one in companies_of("ＳＥＳ　; ses")] == ["ses"], "full width and case are one name"


# What may be lost now.


def loss_of(found: tuple[Loss, ...], event: Event, name: str) -> Loss:
    return next(loss for loss in found if (loss.event, loss.name) == (event, name))


SIZES = {"jp-fukuoka": 1_000, "jp-ishikawa": 1_000, "jp-ibaraki": 990, "lu-betzdorf": 940, "tw-taipei": 900}


def test_losses_now_count_what_is_not_abroad_yet() -> None:
    found = losses(EVERY, HOME, Known(SIZES, HOME, HOME))
    one = loss_of(found, Event.SITE, "jp-fukuoka")
    assert (one.goes_on, one.may_lose) == (True, False)
    assert one.words == (
        "jp-fukuoka destroyed: ordering goes on with 2 of 3 votes; nothing acknowledged can be lost."
    )
    home = loss_of(found, Event.COUNTRY, "JP")
    assert (home.goes_on, home.may_lose, home.at_risk, home.left) == (
        False,
        True,
        60,
        ("lu-betzdorf", "tw-taipei"),
    )
    assert "up to 60 acknowledged records may be lost that are not at lu-betzdorf yet" in home.words
    abroad = loss_of(found, Event.COUNTRY, "LU")
    assert (abroad.goes_on, abroad.may_lose) == (True, False)


def test_with_one_voter_away_the_next_site_stops_ordering_and_two_disks_lose() -> None:
    found = losses(EVERY, HOME, Known({**SIZES}, HOME[:2], HOME[:2]))
    assert not loss_of(found, Event.SITE, "jp-fukuoka").goes_on
    assert not loss_of(found, Event.SITE, "jp-fukuoka").may_lose


def test_power_and_carriers_cut_off_and_lose_nothing() -> None:
    together = tuple(dataclasses.replace(place, power="Japan Grid") for place in PLACES)
    found = losses(sites(*together, LU_BETZDORF), HOME, Known(SIZES, HOME, HOME))
    dark = loss_of(found, Event.POWER, "Japan Grid")
    assert (dark.goes_on, dark.may_lose) == (False, False)


def test_without_a_copy_elsewhere_the_whole_ledger_would_go() -> None:
    words = loss_of(losses(sites(*PLACES), HOME, Known(SIZES, HOME, HOME)), Event.COUNTRY, "JP").words
    assert "the whole ledger would be lost" in words


def test_before_a_ledger_runs_nothing_is_said_of_numbers() -> None:
    home = loss_of(losses(EVERY, HOME), Event.COUNTRY, "JP")
    assert (home.may_lose, home.at_risk) == (True, None)
    assert "how many is not known" in home.words


# Round trips and timeouts.


def test_the_shorter_of_two_measurements_of_a_pair_counts_and_none_is_made_up() -> None:
    here, there = admin_pb2.StatusReply(), admin_pb2.StatusReply()
    here.peers.add(site="b", round_trip_us=9_000)
    here.peers.add(site="c")
    there.peers.add(site="a", round_trip_us=8_000)
    trips = round_trips_of({"a": here, "b": there})
    assert (trips.between("a", "b"), trips.between("a", "c")) == (8_000, None)
    assert trips.longest(("a", "b")) == 8_000
    assert trips.longest(("a", "b", "c")) is None


@pytest.mark.parametrize(
    ("round_trip_us", "wanted"),
    [(0, (100, 1_000)), (500, (100, 1_000)), (66_000, (100, 1_000)), (67_000, (110, 1_100)), (270_000, (410, 4_100)), (9_000_000, (2_000, 20_000))],
)  # fmt: skip
def test_timeouts_for_a_plan_follow_the_rule_that_sites_follow_themselves(
    round_trip_us: int, wanted: tuple[int, int]
) -> None:
    assert timeouts_for(round_trip_us) == Timeouts(*wanted)
    assert tuple(timeouts_for(round_trip_us)) == tuple(timeouts_of_sites([round_trip_us]))


def test_a_site_with_too_short_an_election_is_told_so() -> None:
    short = admin_pb2.StatusReply(
        heartbeat_ms=100, election_ms=1_000, heartbeat_wanted_ms=300, election_wanted_ms=3_000
    )
    good = admin_pb2.StatusReply(
        heartbeat_ms=100, election_ms=1_000, heartbeat_wanted_ms=50, election_wanted_ms=500
    )
    unmeasured, embassy = admin_pb2.StatusReply(heartbeat_ms=100, election_ms=1_000), admin_pb2.StatusReply()
    found = timeouts_in_use({"a": short, "b": good, "c": unmeasured, "d": embassy})
    assert [(one.site, one.fits) for one in found] == [("a", False), ("b", True), ("c", True)]
    assert "elections will come for nothing" in found[0].words
    assert "not measured yet" in found[2].words


def test_the_expected_pause_names_what_it_rests_on() -> None:
    assert "30 ms while the lead is handed over; at worst an election, 2.0 s" in pause_words(5_000, 1_000)
    assert "cannot be told" in pause_words(5_000, None)
