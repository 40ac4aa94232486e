"""The sentence of `sento status`: what is fine and what may be lost now, for each state that a registry can be in."""

from __future__ import annotations

import pytest

from genesis_builder import SITES, TestWorld, build_genesis
from sento_client.site_status import Judgement, SiteReport, judge
from sento_proto.v1 import admin_pb2

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def world() -> TestWorld:
    return build_genesis()


def report(world: TestWorld, site: str, **fields: object) -> SiteReport:
    status = admin_pb2.StatusReply(
        site=site,
        ledger_id=world.ledger_id,
        state="serving",
        disk_total_bytes=1000 * MIB,
        disk_free_bytes=500 * MIB,
    )
    status.MergeFrom(admin_pb2.StatusReply(**fields))  # type: ignore[arg-type]
    return SiteReport(site, status, "")


def judged(world: TestWorld, *gone: str, **fields: object) -> Judgement:
    """`gone` sites do not answer; `fields` are those of the first site."""
    reports = []
    for place, site in enumerate(SITES):
        if site in gone:
            reports.append(SiteReport(site, None, "UNREACHABLE (refused)"))
        else:
            reports.append(report(world, site, **(fields if place == 0 else {})))
    return judge(world.genesis, reports)


def test_healthy_registry_says_what_may_be_lost(world: TestWorld) -> None:
    judgement = judged(world)
    assert not judgement.degraded
    assert "3 of 3 voting sites serve" in judgement.sentence
    assert "any one site may be lost without losing" in judgement.sentence


def test_one_site_down_says_that_one_more_stops_writing(world: TestWorld) -> None:
    judgement = judged(world, SITES[2])
    assert judgement.degraded
    assert "nothing acknowledged is lost" in judgement.sentence
    assert "the loss of any one of them (jp-fukuoka, jp-ishikawa) stops writing" in judgement.sentence
    assert judgement.problems == ("jp-ibaraki does not answer: UNREACHABLE (refused)",)


def test_no_majority_says_that_writing_is_stopped(world: TestWorld) -> None:
    judgement = judged(world, *SITES[1:])
    assert judgement.degraded
    assert judgement.sentence.startswith("Writing is stopped: 1 of 3")


def test_nobody_answering_says_nothing_about_the_registry(world: TestWorld) -> None:
    judgement = judged(world, *SITES)
    assert judgement.reachable == 0
    assert "nothing can be said" in judgement.sentence


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "catching-up", "explanation": "12 blocks to go"}, "it is catching-up: 12 blocks to go"),
        ({"alarms": ["disk slow"]}, "alarm: disk slow"),
        ({"ordering_alarms": ["NOSPACE"]}, "alarm of the ordering log: NOSPACE"),
        ({"disk_free_bytes": 40 * MIB}, "its disk has 40 MiB free"),
        (
            {"now_ms": 1_000_000, "certificate_expires_at_s": 1_000 + 3 * 86_400},
            "its certificate ends in 3 days",
        ),
        ({"ledger_id": bytes(32)}, "it is a site of another ledger"),
    ],
)
def test_each_trouble_of_a_site_is_named(world: TestWorld, fields: dict[str, object], words: str) -> None:
    judgement = judged(world, **fields)
    assert judgement.degraded
    assert judgement.problems == (f"jp-fukuoka: {words}",)


def test_site_of_another_ledger_does_not_count_as_serving(world: TestWorld) -> None:
    assert judged(world, SITES[2], ledger_id=bytes(32)).sentence.startswith("Writing is stopped: 1 of 3")


def test_single_site_registry_says_that_there_is_no_second_copy() -> None:
    world = build_genesis(sites=("jp-fukuoka",))
    judgement = judge(world.genesis, [report(world, "jp-fukuoka")])
    assert "no second copy" in judgement.sentence
    assert not judgement.degraded
