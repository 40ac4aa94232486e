"""The sentence of `sento status` and what stands behind it: does writing go on, whose loss would stop it, and what may be lost, in each state."""

from __future__ import annotations

import pytest

from genesis_builder import SITES, TestWorld, build_genesis
from planted_status import A, B, C, PlantedSites, lines, troubles
from sento_client.site_status import Loss, Trouble, Writing

FIVE = ("jp-one", "jp-two", "jp-three", "jp-four", "jp-five")


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture(scope="module")
def five() -> TestWorld:
    return build_genesis(sites=FIVE)


@pytest.fixture
def sites(world: TestWorld) -> PlantedSites:
    return PlantedSites(world)


# Writing goes on.


def test_healthy_registry_says_how_many_sites_may_be_lost(sites: PlantedSites) -> None:
    judgement = sites.judged()
    assert judgement.sentence == (
        "All is well: writing goes on with 3 of 3 voting sites, and any one of them may be lost without stopping it. "
        "Only the loss of two disks at once could take with it what is acknowledged now."
    )
    assert (judgement.degraded, judgement.look_again, judgement.problems) == (False, False, ())
    assert (judgement.writing, judgement.critical_sites) == (Writing.OK, ())
    assert judgement.may_be_lost == Loss(2, SITES)
    assert judgement.lead == A


def test_one_site_away_names_the_two_whose_loss_would_stop_writing(sites: PlantedSites) -> None:
    judgement = sites.gone(C).judged()
    assert judgement.sentence == (
        "Writing goes on with 2 of 3 voting sites, and nothing acknowledged is lost; "
        "the loss of either of jp-fukuoka and jp-ishikawa stops it now. "
        "What is acknowledged now is on the disks of these two alone; only the loss of both would lose it."
    )
    assert judgement.degraded
    assert (judgement.writing, judgement.critical_sites) == (Writing.ONE_LOSS_STOPS, (A, B))
    assert judgement.may_be_lost == Loss(2, (A, B))


def test_two_of_five_away_names_all_three_that_are_left(five: TestWorld) -> None:
    judgement = PlantedSites(five).gone(*FIVE[3:]).judged()
    assert judgement.critical_sites == FIVE[:3]
    assert "the loss of any one of jp-one, jp-two and jp-three stops it now" in judgement.sentence
    assert "on the disks of these three alone; only the loss of all of them" in judgement.sentence


def test_one_of_five_away_leaves_one_to_spare_and_says_that_something_is_noted(five: TestWorld) -> None:
    judgement = PlantedSites(five).gone(FIVE[4]).judged()
    assert judgement.sentence.startswith(
        "Writing goes on with 4 of 5 voting sites, and any one of them may be lost without stopping it; what is noted below needs a look."
    )
    assert (judgement.writing, judgement.critical_sites) == (Writing.OK, ())
    assert judgement.may_be_lost == Loss(3, FIVE[:4])


def test_five_of_five_may_lose_two(five: TestWorld) -> None:
    assert "any two of them may be lost" in PlantedSites(five).judged().sentence


def test_site_that_catches_up_votes_and_counts(sites: PlantedSites) -> None:
    judgement = sites.say(B, state="catching-up").gone(C).judged()
    assert (judgement.writing, judgement.critical_sites) == (Writing.ONE_LOSS_STOPS, (A, B))


@pytest.mark.parametrize(
    "state", ["starting", "waiting-for-boot-confirmation", "refused", "diverged", "stopped", "new-word"]
)
def test_site_in_any_other_state_does_not_count(sites: PlantedSites, state: str) -> None:
    judgement = sites.say(C, state=state).judged()
    assert judgement.critical_sites == (A, B)
    assert troubles(judgement) == {Trouble.STATE: C}


def test_two_voting_sites_are_both_critical_and_nothing_is_wrong() -> None:
    judgement = PlantedSites(build_genesis(sites=SITES[:2])).judged()
    assert (judgement.writing, judgement.critical_sites) == (Writing.ONE_LOSS_STOPS, (A, B))
    assert not judgement.degraded


def test_single_site_says_that_there_is_no_second_copy() -> None:
    sites = PlantedSites(build_genesis(sites=(A,)))
    judgement = sites.judged()
    assert judgement.sentence == (
        "Writing goes on at the only voting site, jp-fukuoka. "
        "There is no second copy that votes: its loss stops writing and may lose what was acknowledged."
    )
    assert (judgement.writing, judgement.critical_sites, judgement.degraded) == (
        Writing.ONE_LOSS_STOPS,
        (A,),
        False,
    )
    stopping = sites.say(A, state="stopping").judged()
    assert stopping.sentence == (
        "Writing is stopped: the only voting site does not serve. Nothing acknowledged is lost while jp-fukuoka keeps its disk."
    )
    refused = sites.say(A, state="refused").judged()
    assert refused.sentence.endswith("Nothing acknowledged is lost if jp-fukuoka comes back with its disk.")


def test_embassy_without_a_vote_adds_nothing_to_the_count_and_is_missed_when_silent() -> None:
    world = build_genesis(embassies=("ch-zurich",))
    assert PlantedSites(world).judged().may_be_lost == Loss(2, SITES)
    judgement = PlantedSites(world).gone("ch-zurich").judged()
    assert (judgement.writing, judgement.critical_sites) == (Writing.OK, ())
    assert troubles(judgement) == {Trouble.NO_ANSWER: "ch-zurich"}


# Writing is stopped.


def test_no_majority_says_what_would_be_lost_with_whom(sites: PlantedSites) -> None:
    judgement = sites.gone(B, C).say(A, state="no-majority").judged()
    assert judgement.sentence == (
        "Writing is stopped, as far as this computer sees: 1 of 3 voting sites is up, and 2 must reach each other. "
        "Nothing acknowledged is lost if jp-ishikawa or jp-ibaraki comes back with its disk; "
        "otherwise only the 1,000 records that jp-fukuoka holds are sure."
    )
    assert (judgement.writing, judgement.critical_sites) == (Writing.STOPPED, ())
    assert judgement.may_be_lost == Loss(0, (B, C), come_back=1)
    assert judgement.look_again, "an election looks the same for a second"
    assert not sites.later(4_000).judged(judgement).look_again


def test_sites_cut_off_from_each_other_lose_nothing_and_all_answer(sites: PlantedSites) -> None:
    judgement = sites.say_all(state="no-majority").judged()
    assert judgement.sentence == (
        "Writing is stopped: 3 of 3 voting sites are up, and 2 must reach each other. "
        "Nothing acknowledged is lost: jp-fukuoka, jp-ishikawa and jp-ibaraki have their disks, "
        "and only the loss of two at once could take some of it."
    )
    assert judgement.may_be_lost == Loss(2, SITES)


def test_two_cut_off_and_one_refused_for_its_disk_leave_no_disk_to_spare(sites: PlantedSites) -> None:
    judgement = sites.say_all(state="no-majority").say(C, state="refused").judged()
    assert judgement.may_be_lost == Loss(1, (A, B))
    assert judgement.sentence.endswith(
        "Nothing acknowledged is lost while jp-fukuoka and jp-ishikawa keep their disks: the loss of one of them could take some of it."
    )


def test_four_of_five_away_needs_two_of_them_back(five: TestWorld) -> None:
    judgement = PlantedSites(five).gone(*FIVE[1:]).say(FIVE[0], state="no-majority").judged()
    assert judgement.may_be_lost == Loss(0, FIVE[1:], come_back=2)
    assert (
        "if any two of jp-two, jp-three, jp-four and jp-five come back with their disks" in judgement.sentence
    )


def test_sites_that_all_start_have_not_shown_that_they_have_their_disks(sites: PlantedSites) -> None:
    judgement = sites.say_all(state="starting").judged()
    assert judgement.sentence == (
        "Writing is stopped: none of 3 voting sites is up, and 2 must reach each other. "
        "Nothing acknowledged is lost if any two of jp-fukuoka, jp-ishikawa and jp-ibaraki come back with their disks."
    )


def test_majority_that_takes_no_records_is_writing_stopped(sites: PlantedSites) -> None:
    full = "disk-low: 3 MiB of 100 MiB are free"
    judgement = sites.say_all(alarms=[full]).say(B, alarms=[], ordering_in_use_bytes=2 * 1024**3 - 1).judged()
    assert judgement.sentence == (
        "Writing is stopped: 3 of 3 voting sites are at work, but every one that serves refuses new records, as noted below. "
        "Nothing acknowledged is lost."
    )
    assert judgement.writing is Writing.STOPPED


def test_the_only_site_that_takes_records_is_critical_though_a_majority_is_not_at_stake(
    sites: PlantedSites,
) -> None:
    full = "disk-low: 3 MiB of 100 MiB are free"
    judgement = sites.say(A, alarms=[full]).say(B, alarms=[full]).judged()
    assert judgement.sentence.startswith(
        "Writing goes on with 3 of 3 voting sites, but jp-ibaraki alone takes new records, as noted below: its loss stops writing now. "
    )
    assert (judgement.writing, judgement.critical_sites) == (Writing.ONE_LOSS_STOPS, (C,))


# What cannot be said from here.


def test_nobody_answering_says_nothing_about_the_registry(sites: PlantedSites) -> None:
    judgement = sites.gone(*SITES).judged()
    assert judgement.sentence == (
        "No site answers this computer, so nothing can be said about the registry; check this computer's network and certificate first."
    )
    assert (judgement.reachable, judgement.writing, judgement.may_be_lost) == (0, Writing.UNKNOWN, None)
    assert judgement.degraded
    assert not judgement.look_again


def test_only_sites_of_another_ledger_answer(sites: PlantedSites) -> None:
    judgement = sites.gone(C).say_all(ledger_id=bytes(32)).judged()
    assert judgement.sentence == (
        "No site of this ledger answers, only jp-fukuoka and jp-ishikawa of another, so nothing can be said about the registry; "
        "check the genesis file and the addresses on this computer first."
    )
    assert judgement.writing is Writing.UNKNOWN


def test_one_site_serves_and_the_majority_it_has_is_not_seen_from_here(sites: PlantedSites) -> None:
    judgement = sites.gone(B, C, ago_ms=500).judged()
    assert judgement.sentence == (
        "Writing goes on by the word of jp-fukuoka, but this computer sees only 1 of 3 voting sites at work, and 2 are needed. "
        "How many more may be lost cannot be said from here; look from another place too."
    )
    assert (judgement.writing, judgement.critical_sites, judgement.may_be_lost) == (
        Writing.UNKNOWN,
        (),
        None,
    )
    assert judgement.receipts.state is Writing.UNKNOWN
    assert judgement.look_again, "a site says that it serves for a second after its majority went"


def test_site_of_another_ledger_does_not_count(sites: PlantedSites) -> None:
    judgement = sites.say(C, ledger_id=bytes(32), applied_size=9_999).judged()
    assert judgement.critical_sites == (A, B)
    assert lines(judgement) == [
        "jp-ibaraki: it is a site of another ledger; check its address here, and whose genesis file is right"
    ]


def test_site_of_an_epoch_that_is_over_does_not_count(sites: PlantedSites) -> None:
    judgement = sites.say(A, epoch=2).say(B, epoch=2).say(C, epoch=1).judged()
    assert judgement.critical_sites == (A, B)
    assert lines(judgement) == [
        "jp-ibaraki: it is still in epoch 1, which is over; what it says does not count"
    ]


# Receipts.


def test_receipts_stop_while_writing_goes_on_when_their_sites_are_away() -> None:
    world = build_genesis(embassies=("ch-zurich", "fr-paris"), receipt_set=("ch-zurich", "fr-paris", A))
    judgement = PlantedSites(world).gone("ch-zurich", "fr-paris").judged()
    assert judgement.writing is Writing.OK
    assert judgement.receipts.state is Writing.STOPPED
    assert lines(judgement)[-1] == (
        "No receipts: 1 of the 3 sites of the receipt set serve and 2 are needed. "
        "What is acknowledged meanwhile stays in outboxes, and the ordering log grows."
    )


def test_the_sites_whose_loss_would_stop_receipts_are_named_for_themselves() -> None:
    world = build_genesis(embassies=("ch-zurich", "fr-paris"), receipt_set=("ch-zurich", "fr-paris", A))
    judgement = PlantedSites(world).gone("fr-paris").judged()
    assert (judgement.writing, judgement.critical_sites) == (Writing.OK, ())
    assert judgement.receipts.state is Writing.ONE_LOSS_STOPS
    assert set(judgement.receipts.critical_sites) == {"ch-zurich", A}
