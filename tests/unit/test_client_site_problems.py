"""Everything that `sento status` notices, planted one by one: which line it prints, at which site, and whether a second look is worth while."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genesis_builder import SITES, TestWorld, build_genesis
from planted_status import GIB, NOW_MS, A, B, C, PlantedSites, lines, troubles
from sento_client.site_status import Trouble
from sento_proto.errors import Code
from sento_proto.v1 import admin_pb2

MIB = 1024 * 1024
NOW_S = NOW_MS // 1000


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


@pytest.fixture
def sites(world: TestWorld) -> PlantedSites:
    return PlantedSites(world)


# Who reaches whom.


def test_site_that_nobody_reaches_is_said_to_be_silent_since_its_peers_last_heard(
    sites: PlantedSites,
) -> None:
    judgement = sites.gone(C, ago_ms=14_300).hears(B, C, 12_000).judged()
    assert lines(judgement) == [
        "jp-ibaraki: does not answer this computer (UNREACHABLE (as planted)); jp-ishikawa last heard from it 12 s ago"
    ]
    assert not judgement.look_again


def test_site_that_was_heard_a_moment_ago_asks_for_a_second_look(sites: PlantedSites) -> None:
    judgement = sites.gone(C, ago_ms=900).judged()
    assert lines(judgement)[0].endswith("jp-fukuoka last heard from it 0.9 s ago")
    assert judgement.look_again


def test_site_that_peers_hear_after_the_first_look_is_behind_a_broken_network_here(
    sites: PlantedSites,
) -> None:
    first = sites.gone(C, ago_ms=900).judged()
    second = sites.later(4_000).hears(A, C, 1_000).hears(B, C, 3_900).judged(first)
    assert lines(second) == [
        (
            "jp-ibaraki: does not answer this computer (UNREACHABLE (as planted)); "
            "jp-fukuoka and jp-ishikawa can reach it: the network between here and there is at fault, not the site"
        )
    ]
    assert not second.look_again


def test_site_that_went_down_between_two_looks_is_not_excused_by_what_peers_heard_before(
    sites: PlantedSites,
) -> None:
    first = sites.judged()
    second = sites.later(4_000).gone(C, ago_ms=1_000).judged(first)
    assert lines(second)[0].endswith("jp-fukuoka last heard from it 1.0 s ago")


def test_site_that_no_peer_has_heard_since_it_started(sites: PlantedSites) -> None:
    judgement = sites.gone(C).hears(A, C, None).hears(B, C, None).judged()
    assert lines(judgement)[0].endswith(
        "jp-fukuoka and jp-ishikawa have not heard from it either since starting"
    )
    alone = sites.gone(B).judged()
    assert lines(alone)[1].endswith("jp-fukuoka has not heard from it either since starting")


def test_silent_site_of_which_nobody_can_speak(sites: PlantedSites) -> None:
    judgement = sites.gone(C).say(A, state="refused").say(B, state="refused").judged()
    assert lines(judgement)[2].endswith("no other site can say whether it lives")


def test_site_that_answers_here_and_not_its_peers(sites: PlantedSites) -> None:
    judgement = sites.hears(A, C, 30_000).hears(B, C, None).judged()
    assert lines(judgement) == [
        "jp-ibaraki: answers this computer, but jp-fukuoka and jp-ishikawa do not reach it: look at the network between the sites"
    ]
    assert judgement.look_again


def test_one_broken_link_between_two_sites(sites: PlantedSites) -> None:
    judgement = sites.hears(A, C, 30_000).judged()
    assert lines(judgement) == [
        "jp-ibaraki: answers this computer, but jp-fukuoka does not reach it: look at the network between the sites"
    ]


def test_site_that_asks_nobody_blames_nobody(sites: PlantedSites) -> None:
    """A refused site has no contacts because it does not look for any."""
    judgement = sites.say(C, state="refused").hears(C, A, None).hears(C, B, None).judged()
    assert troubles(judgement) == {Trouble.STATE: C}


def test_site_that_turns_this_computer_away_was_reached(sites: PlantedSites) -> None:
    judgement = sites.gone(C, code=Code.IDENTITY_REFUSED).judged()
    assert lines(judgement) == [
        "jp-ibaraki: it answers, but turns this computer away (IDENTITY_REFUSED (as planted)); check which certificate is used here"
    ]


def test_voting_site_that_this_computer_has_no_address_of_is_named_and_not_counted(
    sites: PlantedSites,
) -> None:
    sites.configured = (A, B)
    judgement = sites.judged()
    assert lines(judgement) == [
        "jp-ibaraki: was not asked: it stands in the genesis file and not in this computer's configuration; jp-fukuoka last heard from it 0.7 s ago"
    ]
    assert judgement.critical_sites == (A, B)


def test_embassy_outside_the_configuration_and_the_receipt_set_is_nobodys_problem() -> None:
    sites = PlantedSites(build_genesis(embassies=("ch-zurich",)))
    sites.configured = SITES
    assert not sites.judged().degraded


# One site's own matters.


@pytest.mark.parametrize(
    ("fields", "trouble", "words"),
    [
        ({"state": "catching-up"}, Trouble.STATE, "it is catching-up: as planted"),
        ({"alarms": ["flush-slow: 900 ms"]}, Trouble.ALARM, "alarm flush-slow: 900 ms"),
        ({"ordering_alarms": ["NOSPACE"]}, Trouble.ALARM, "alarm of the ordering log: NOSPACE"),
        (
            {"applied_size": 900, "lag_ms": 42_000},
            Trouble.BEHIND,
            "it is 100 records behind, for 42 s now",
        ),
        ({"applied_size": 999, "lag_ms": 10_000}, Trouble.BEHIND, "it is 1 record behind, for 10 s now"),
        (
            {"disk_free_bytes": 3 * GIB, "disk_total_bytes": 100 * GIB},
            Trouble.DISK_FILLING,
            "its disk has 3,072 MiB of 100.0 GiB free; below 2,048 MiB the site refuses new records",
        ),
        (
            {"disk_free_bytes": 80 * MIB, "disk_total_bytes": 1_000 * MIB},
            Trouble.DISK_FILLING,
            "its disk has 80 MiB of 1,000 MiB free; below 50 MiB the site refuses new records",
        ),
        (
            {"ordering_in_use_bytes": 41 * GIB // 50},
            Trouble.ORDERING_LOG_FILLING,
            "its ordering log uses 41 % of its quota; above half the site refuses new records; a site that is behind holds back trimming",
        ),
        (
            {"ordering_in_use_bytes": 51 * GIB // 50},
            Trouble.ORDERING_LOG_FILLING,
            "its ordering log uses 51 % of its quota, so the site refuses new records; a site that is behind holds back trimming",
        ),
        (
            {"certificate_expires_at_s": NOW_S + 3 * 86_400},
            Trouble.CERTIFICATE_ENDS,
            "its certificate ends in 3 days",
        ),
        (
            {"certificate_expires_at_s": NOW_S + 7_300},
            Trouble.CERTIFICATE_ENDS,
            "its certificate ends in 2 h",
        ),
        ({"certificate_expires_at_s": NOW_S}, Trouble.CERTIFICATE_ENDS, "its certificate has ended"),
    ],
)
def test_each_trouble_of_a_site_is_named_alone(
    sites: PlantedSites, fields: dict[str, object], trouble: Trouble, words: str
) -> None:
    judgement = sites.say(B, **fields).judged()
    assert lines(judgement) == [f"{B}: {words}"]
    assert troubles(judgement) == {trouble: B}
    assert judgement.degraded
    assert not judgement.look_again


@pytest.mark.parametrize(
    "fields",
    [
        {"lag_ms": 9_999, "applied_size": 500},
        {"disk_free_bytes": 4 * GIB},
        {"disk_free_bytes": 100 * MIB, "disk_total_bytes": 1_000 * MIB},
        {"ordering_in_use_bytes": 39 * GIB // 50},
        {"ordering_quota_bytes": 0},
        {"certificate_expires_at_s": NOW_S + 14 * 86_400},
        {"certificate_expires_at_s": 0},
        {"now_ms": NOW_MS + 4_000, "certificate_expires_at_s": 0, "peers": []},
        {"peers": []},
    ],
)
def test_what_is_still_as_it_should_be_is_not_named(sites: PlantedSites, fields: dict[str, object]) -> None:
    assert sites.say(B, **fields).judged().problems == ()


def test_alarm_for_a_full_disk_is_not_said_twice(sites: PlantedSites) -> None:
    alarm = "disk-low: 3 MiB of 1000 MiB are free"
    judgement = sites.say(B, alarms=[alarm], disk_free_bytes=3 * MIB, disk_total_bytes=1_000 * MIB).judged()
    assert lines(judgement) == [f"{B}: alarm {alarm}"]


def test_far_behind_counts_from_what_a_silent_site_was_last_known_to_hold(sites: PlantedSites) -> None:
    judgement = sites.gone(C).hears(A, C, 14_000, size=201_000).judged()
    assert lines(judgement)[:2] == [
        f"{A}: it is 200,000 records behind",
        f"{B}: it is 200,000 records behind",
    ]


# Between the sites.


def test_no_lead_known(sites: PlantedSites) -> None:
    judgement = sites.say_all(lead_site="", is_lead=False).judged()
    assert lines(judgement) == [
        "No site knows which one leads: an election is under way, or the sites do not reach each other."
    ]
    assert judgement.lead is None
    assert judgement.look_again


def test_sites_name_different_leads(sites: PlantedSites) -> None:
    judgement = sites.say(B, lead_site=B, is_lead=True).judged()
    assert lines(judgement) == [
        (
            "The sites do not agree on which one leads (jp-fukuoka and jp-ibaraki say jp-fukuoka; jp-ishikawa says jp-ishikawa): "
            "the lead is moving, or the sites do not reach each other."
        )
    ]
    assert judgement.lead is None
    assert judgement.look_again


def test_site_that_leads_by_its_own_word_while_it_names_another(sites: PlantedSites) -> None:
    judgement = sites.say(B, is_lead=True).judged()
    assert troubles(judgement) == {Trouble.LEADS_DIFFER: ""}
    assert "jp-ishikawa says jp-ishikawa" in lines(judgement)[0]


def test_word_of_a_site_without_majority_about_the_lead_is_from_before(sites: PlantedSites) -> None:
    judgement = sites.say(C, state="no-majority", lead_site=C, is_lead=True).judged()
    assert Trouble.LEADS_DIFFER not in troubles(judgement)
    assert judgement.lead == A


def test_sites_run_different_releases(sites: PlantedSites) -> None:
    judgement = sites.say(C, version="1.1.0").say(B, version="").judged()
    assert lines(judgement) == [
        "The sites run different releases: 1.0.0 at jp-fukuoka; no number at jp-ishikawa; 1.1.0 at jp-ibaraki."
    ]


def test_clock_of_one_site_is_apart(sites: PlantedSites) -> None:
    ahead = sites.say(C, now_ms=NOW_MS + 86_460_000, peers=[]).judged()
    assert lines(ahead) == ["jp-ibaraki: its clock is 24 h ahead of this computer's; one of the two is wrong"]
    behind = sites.say(C, now_ms=NOW_MS - 90_000).judged()
    assert lines(behind) == ["jp-ibaraki: its clock is 90 s behind this computer's; one of the two is wrong"]


def test_all_clocks_apart_by_the_same_is_this_computers_clock(sites: PlantedSites) -> None:
    sites.now_ms += 3_600_000 * 3
    assert lines(sites.judged()) == [
        "This computer's clock is 3 h ahead of every site's; mend it first, for what is said here in days and seconds rests on it."
    ]


def test_site_that_tells_no_time_has_no_wrong_clock(sites: PlantedSites) -> None:
    assert Trouble.CLOCK not in troubles(sites.say(C, now_ms=0, peers=[]).judged())


def test_slow_answer_is_not_taken_for_a_wrong_clock(sites: PlantedSites) -> None:
    assert not sites.say(C, now_ms=NOW_MS + 9_000, peers=[]).slow(C, 9_000).judged().degraded


# Checkpoints.


def waiting(sites: PlantedSites, *, age_s: int = 61) -> PlantedSites:
    return sites.say_all(quorum_size=990, quorum_time_s=NOW_S - age_s)


def test_old_checkpoint_while_records_wait_is_noted_and_looked_at_again(sites: PlantedSites) -> None:
    first = waiting(sites).judged()
    assert lines(first) == [
        (
            "10 records stand under no checkpoint of a quorum, and the last one is 61 s old: they get no receipts, "
            "and the ordering log grows. Look for a site of the receipt set that is behind or says alarm."
        )
    ]
    assert first.look_again
    second = sites.later(4_000).judged(first)
    assert troubles(second) == {Trouble.CHECKPOINT_OLD: ""}


def test_ledger_without_any_checkpoint(sites: PlantedSites) -> None:
    judgement = sites.say_all(quorum_size=0, quorum_time_s=0).judged()
    assert (
        "1,000 records stand under no checkpoint of a quorum, and there was none yet" in lines(judgement)[0]
    )


def test_records_that_came_between_two_looks_wait_for_nothing_yet(world: TestWorld) -> None:
    idle = PlantedSites(world, size=990).say_all(quorum_time_s=NOW_S - 600).judged()
    assert not idle.degraded, "nothing waits, however old the checkpoint is"
    assert waiting(PlantedSites(world), age_s=600).judged(idle).problems == ()


def test_checkpoint_that_moved_between_two_looks_is_no_standstill(world: TestWorld) -> None:
    first = PlantedSites(world).say_all(quorum_size=900, quorum_time_s=NOW_S - 600).judged()
    assert first.look_again
    assert waiting(PlantedSites(world)).judged(first).problems == ()


def test_young_checkpoint_is_fine_however_many_wait(sites: PlantedSites) -> None:
    assert not waiting(sites, age_s=59).judged().degraded


# All of them.

PLANTED: dict[Trouble, Callable[[PlantedSites], object]] = {
    Trouble.NO_ANSWER: lambda sites: sites.gone(C),
    Trouble.TURNED_AWAY: lambda sites: sites.gone(C, code=Code.IDENTITY_REFUSED),
    Trouble.NOT_ASKED: lambda sites: setattr(sites, "configured", (A, B)),
    Trouble.OTHER_LEDGER: lambda sites: sites.say(C, ledger_id=bytes(32)),
    Trouble.OLD_EPOCH: lambda sites: sites.say(A, epoch=1).say(B, epoch=1),
    Trouble.STATE: lambda sites: sites.say(C, state="diverged"),
    Trouble.ALARM: lambda sites: sites.say(C, alarms=["block-vanished: 1"]),
    Trouble.CUT_OFF: lambda sites: sites.hears(A, C, 11_000),
    Trouble.BEHIND: lambda sites: sites.say(C, lag_ms=10_000),
    Trouble.DISK_FILLING: lambda sites: sites.say(C, disk_free_bytes=0),
    Trouble.ORDERING_LOG_FILLING: lambda sites: sites.say(C, ordering_in_use_bytes=GIB),
    Trouble.CERTIFICATE_ENDS: lambda sites: sites.say(C, certificate_expires_at_s=1),
    Trouble.CLOCK: lambda sites: sites.say(C, now_ms=1),
    Trouble.NO_LEAD: lambda sites: sites.say_all(lead_site="", is_lead=False),
    Trouble.LEADS_DIFFER: lambda sites: sites.say(C, lead_site=B),
    Trouble.RELEASES_DIFFER: lambda sites: sites.say(C, version="2"),
    Trouble.CHECKPOINT_OLD: lambda sites: sites.say_all(quorum_size=1, quorum_time_s=1),
    Trouble.FENCED: lambda sites: sites.say(C, scrub=admin_pb2.ScrubStatus(fenced=1, found=1)),
    Trouble.PAYLOADS_AWAITED: lambda sites: sites.say(C, payloads_awaited=1),
    Trouble.ERASURE_PENDING: lambda sites: sites.say(C, erasures_pending=1),
    Trouble.ACCESS_RECORDS_WAIT: lambda sites: sites.say(C, access_records_spooled=1),
    Trouble.NO_RECEIPTS: lambda sites: sites.say(B, state="catching-up").say(C, state="catching-up"),
}


@pytest.mark.parametrize("trouble", Trouble)
def test_every_trouble_can_be_reached_and_degrades(sites: PlantedSites, trouble: Trouble) -> None:
    PLANTED[trouble](sites)
    judgement = sites.judged()
    assert trouble in troubles(judgement)
    assert judgement.degraded
