"""Which country is home and which sites stand abroad: clients of one ledger must all say the same."""

from __future__ import annotations

from sento_client.testing.world import build_world
from sento_proto.governance.placing import home_country, keys_abroad, sites_abroad
from sento_proto.governance.state import Governance, from_genesis


def governance(*, sites: tuple[str, ...], embassies: tuple[str, ...] = ()) -> Governance:
    world = build_world(
        "placing", sites=sites, embassies=embassies, authors={}, readers={}, registries=["governance"]
    )
    return from_genesis(world.genesis)


def test_home_is_where_most_voting_sites_stand_however_many_embassies_are_elsewhere() -> None:
    known = governance(
        sites=("jp-fukuoka", "jp-ishikawa", "tw-taipei"), embassies=("lu-betzdorf", "lu-two", "lu-three")
    )
    assert home_country(known) == "JP"
    assert sites_abroad(known) == ("tw-taipei", "lu-betzdorf", "lu-two", "lu-three")


def test_of_two_countries_with_as_many_votes_the_first_in_the_alphabet_is_home() -> None:
    known = governance(sites=("tw-taipei", "jp-fukuoka"))
    assert home_country(known) == "JP"
    assert sites_abroad(known) == ("tw-taipei",)


def test_all_sites_in_one_country_leave_nobody_abroad() -> None:
    assert sites_abroad(governance(sites=("jp-fukuoka",), embassies=("jp-ishikawa",))) == ()


def test_keys_of_sites_abroad_are_those_with_which_they_cosign() -> None:
    known = governance(sites=("jp-fukuoka",), embassies=("lu-betzdorf",))
    assert keys_abroad(known) == {"lu-betzdorf": known.site_keys["lu-betzdorf"]}
