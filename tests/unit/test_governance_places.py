"""Where sites are reached, which of them vote, and tie-breakers: acts that exist from rules 5 on."""

from __future__ import annotations

import json

import pytest

from acts import Change, assert_unfit, enrol_site, governed, restarted, retire_site, set_receipt_set, words
from genesis_builder import SITES, build_genesis, ed25519
from ledger_driver import LedgerDriver
from sento_client.governing.sections import sections
from sento_proto.errors import Code
from sento_proto.genesis import decode_genesis
from sento_proto.governance.state import Governance
from sento_proto.wire import Malformed

FUKUOKA = SITES[0]
URL = "https://10.0.0.7:7102"


def site_with(change: Change, **members: object) -> Change:
    """The change with more members in its site."""
    site = change["site"]
    assert isinstance(site, dict)
    return {**change, "site": {**site, **members}}


def embassy(**members: object) -> Change:
    return site_with(enrol_site("lu-betzdorf", ed25519("lu")), **{"votes": False, **members})


def tie_breaker(**members: object) -> Change:
    change = site_with(enrol_site("jp-tie", ed25519("tie")), **{"votes": True, "ledger": False, **members})
    return {**change, "do": "enrol-tie-breaker"}


def place(name: str = FUKUOKA, address: str = "10.0.0.7:7101", url: str = URL) -> Change:
    return {"do": "set-site-place", "name": name, "address": address, "ordering_url": url}


def votes(name: str, yes: bool) -> Change:
    return {"do": "set-site-votes", "name": name, "votes": yes}


def site_lines(governance: Governance) -> tuple[str, ...]:
    return {section.name: section.lines for section in sections(governance, None)}["sites"]


def test_a_site_says_where_it_is_reached_and_says_it_again_after_a_restart() -> None:
    driver = governed(rules=5)
    assert driver.act(place()) is Code.ACCEPTED
    site = driver.governance.sites[FUKUOKA]
    assert (site.address, site.ordering_url) == ("10.0.0.7:7101", URL)
    assert f"    reached at 10.0.0.7:7101, {URL}" in site_lines(driver.governance)
    assert words(driver, place()).endswith(f"is reached at 10.0.0.7:7101, its ordering member at {URL}.")
    before = driver.governance
    driver = restarted(driver)
    assert driver.governance == before
    assert driver.act(place(address="", url="")) is Code.ACCEPTED
    assert driver.governance.sites[FUKUOKA].address == ""


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (place(name="nowhere"), "There is no site nowhere."),
        (place(address="10.0.0.7"), "must be host:port"),
        (place(address="10.0.0.7:65536"), "must be host:port"),
        (place(address="10.0.0.7:7101\u00a0"), "one line"),
        (place(url="http://10.0.0.7:7102"), "must be https://host:port"),
        (votes("nowhere", True), "There is no site nowhere."),
        (votes(FUKUOKA, True), "votes already"),
        (tie_breaker(votes=False), "A tie-breaker has"),
        (tie_breaker(ledger=True), "A tie-breaker has"),
        (embassy(ledger=False), "enrolled by enrol-tie-breaker"),
    ],
)
def test_a_place_or_a_vote_that_makes_no_sense_is_refused_with_its_reason(change: Change, why: str) -> None:
    assert_unfit(governed(rules=5), change, why)


def test_an_embassy_gets_a_vote_and_gives_it_back() -> None:
    driver = governed(rules=5)
    assert driver.act(embassy(address="lu.example:7101")) is Code.ACCEPTED
    assert driver.governance.sites["lu-betzdorf"].role == "embassy"
    assert driver.act(votes("lu-betzdorf", True)) is Code.ACCEPTED
    assert driver.governance.sites["lu-betzdorf"].role == "voting"
    assert "lu-betzdorf" in driver.governance.voting_sites
    assert driver.act(votes("lu-betzdorf", False)) is Code.ACCEPTED
    assert "lu-betzdorf" not in driver.governance.voting_sites


def test_a_tie_breaker_votes_and_is_never_in_the_receipt_set() -> None:
    driver = governed(rules=5)
    assert driver.act(tie_breaker()) is Code.ACCEPTED
    site = driver.governance.sites["jp-tie"]
    assert (site.role, "jp-tie" in driver.governance.voting_sites) == ("tie-breaker", True)
    assert any("tie-breaker: votes and keeps no ledger" in line for line in site_lines(driver.governance))
    assert_unfit(driver, set_receipt_set([*SITES[:3], "jp-tie"], 3), "keeps no ledger")
    assert_unfit(driver, votes("jp-tie", False), "retire it with retire-site")
    assert driver.act(retire_site("jp-tie")) is Code.ACCEPTED


def test_the_last_voter_that_keeps_the_ledger_keeps_its_vote_beside_a_tie_breaker() -> None:
    driver = governed(rules=5)
    assert driver.act(tie_breaker()) is Code.ACCEPTED
    voters = [name for name in driver.governance.voting_sites if name != "jp-tie"]
    for name in voters[:-1]:
        assert driver.act(votes(name, False)) is Code.ACCEPTED
    assert_unfit(driver, votes(voters[-1], False), "At least one site that keeps the ledger must vote.")


@pytest.mark.parametrize("change", [place(), votes(FUKUOKA, False), tie_breaker()])
def test_under_rules_4_these_acts_do_not_exist(change: Change) -> None:
    driver = governed(rules=4)
    assert driver.act(change) is Code.ACT_REFUSED


@pytest.mark.parametrize("member", [{"ledger": True}, {"address": "a:1"}, {"ordering_url": ""}])
def test_under_rules_4_a_new_member_of_a_site_is_refused_whatever_it_says(member: dict[str, object]) -> None:
    driver = governed(rules=4)
    assert driver.act(embassy(**member)) is Code.ACT_REFUSED
    assert driver.act(embassy()) is Code.ACCEPTED


def test_what_is_newer_than_the_rules_is_refused_before_what_waits_for_an_announcement() -> None:
    """A release that knows no rules 5 cannot read the second change, so it never comes to judge the first: the code must be the same."""
    driver: LedgerDriver = governed(rules=4)
    assert driver.act(embassy()) is Code.ACCEPTED
    waits = set_receipt_set([*SITES[:3], "lu-betzdorf"], 3)
    assert driver.act(waits) is Code.RULES_NOT_ANNOUNCED
    for newer in (place(), site_with(enrol_site("tw-taipei", ed25519("tw")), ledger=True)):
        assert driver.judged(waits, newer).code is Code.ACT_REFUSED


def test_a_genesis_under_rules_5_names_places_and_tie_breakers_and_an_older_one_cannot() -> None:
    def genesis(rules: int, **members: object) -> bytes:
        value = json.loads(build_genesis(rules=rules).genesis_bytes)
        value["sites"][-1].update(members)
        return json.dumps(value).encode()

    assert decode_genesis(genesis(5, address="a:1", ordering_url=URL)).sites[-1].ordering_url == URL
    for rules in (1, 2, 3, 4):
        with pytest.raises(Malformed, match=r"sites\[\d+\]\.address is not known to this release"):
            decode_genesis(genesis(rules, address="a:1"))
    with pytest.raises(Malformed, match="neither votes nor keeps the ledger"):
        decode_genesis(genesis(5, votes=False, ledger=False))
