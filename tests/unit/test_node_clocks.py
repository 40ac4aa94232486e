"""Clocks ten minutes off: a record of a time that has not come is refused before it is ordered, and a site says whose clock is wrong."""

from __future__ import annotations

import pytest

from fresh_checkpoints import fresh_checkpoints
from genesis_builder import SITES, TestWorld, build_genesis, make_record, make_submission
from lone_runner import LoneSite
from sento_node.condition import Condition
from sento_node.intake.lanes import Append
from sento_node.ledger.results import BlockResult
from sento_node.peer_watch import clock_off_s
from sento_node.quorum.checkpoints import Checkpoints
from sento_node.quorum.clocks import CLOCK_APART_MAX_S, Clocks, Verdict, judge
from sento_node.quorum.effects import AskCosign, CheckpointEffect, ClockHeard, QuorumReached, WriteCosigned
from sento_node.site import Reply, Site
from sento_proto.checkpoint import Checkpoint, cosign
from sento_proto.errors import Code
from sento_proto.governance.state import from_genesis

HOME, SECOND, THIRD = SITES
NOW_S = 1_800_000_000
TEN_MINUTES_S = 600


# Records.


def submission_of(lone: LoneSite, *times_s: int) -> bytes:
    """One submission with a record of each of these times."""
    numbers = lone.world.numbers
    records = []
    for time_s in times_s:
        numbers.time_ms = time_s * 1000 - 2
        subject, fact = numbers.take(32), numbers.take(16)
        records.append(make_record(lone.world, "iizuka-city", "residency", "sim", subject, fact))
    return make_submission(lone.world, "iizuka-city", records)


def refusal(site: Site, data: bytes, now_s: int = NOW_S) -> Code | None:
    """Why a submission is refused; None when it is put in line."""
    effects = site.submit(1, data, now_s)
    refused = [effect.code for effect in effects if isinstance(effect, Reply)]
    assert bool(refused) != any(isinstance(effect, Append) for effect in effects)
    return refused[0] if refused else None


@pytest.mark.parametrize("ahead_s", [-30 * 86_400, -TEN_MINUTES_S, 0, CLOCK_APART_MAX_S])
def test_a_record_from_an_outbox_or_a_clock_a_little_fast_is_taken(ahead_s: int) -> None:
    lone = LoneSite()
    assert refusal(lone.compose(), submission_of(lone, NOW_S + ahead_s)) is None


@pytest.mark.parametrize("ahead_s", [CLOCK_APART_MAX_S + 1, TEN_MINUTES_S])
def test_a_record_of_a_time_that_has_not_come_is_refused_and_nothing_is_ordered(ahead_s: int) -> None:
    lone = LoneSite()
    site = lone.compose()
    assert refusal(site, submission_of(lone, NOW_S, NOW_S + ahead_s, NOW_S)) is Code.CLOCK_AHEAD
    assert site.lanes.queues.count == 0
    assert lone.store.tip.size == 0


def test_the_same_bytes_are_taken_when_the_time_has_come() -> None:
    lone = LoneSite()
    site, data = lone.compose(), submission_of(lone, NOW_S + TEN_MINUTES_S)
    assert refusal(site, data) is Code.CLOCK_AHEAD
    assert refusal(site, data, NOW_S + TEN_MINUTES_S - CLOCK_APART_MAX_S) is None


# Sites.


@pytest.mark.parametrize(
    ("off_s", "verdict"),
    [
        ({}, None),
        ({SECOND: 300, THIRD: -300}, None),
        ({SECOND: 600, THIRD: 1}, Verdict(False, ((SECOND, True),))),
        ({SECOND: -600, THIRD: -601}, Verdict(True, ((THIRD, False), (SECOND, False)))),
        ({SECOND: -600}, Verdict(None, ((SECOND, False),))),
        ({"a": 600, "b": 0, "c": 0, "d": -600}, Verdict(False, (("a", True), ("d", False)))),
    ],
    ids=["nobody heard", "a little", "a peer", "this site", "one against one", "two of five"],
)
def test_the_clock_that_most_others_contradict_is_the_wrong_one(
    off_s: dict[str, int], verdict: Verdict | None
) -> None:
    expected = None if verdict is None else verdict._replace(away=tuple(sorted(verdict.away)))
    assert judge(off_s) == expected


def test_an_alarm_says_who_is_off_by_how_much_once_and_is_over_when_the_clock_is_right() -> None:
    clocks = Clocks()
    assert clocks.heard(THIRD, 0) is None
    words = clocks.heard(SECOND, TEN_MINUTES_S)
    assert words is not None
    assert f"{SECOND}'s clock is 600 s ahead of this site's" in words
    assert clocks.heard(SECOND, TEN_MINUTES_S + 1) is None, "the log is not filled with the same news"
    own = clocks.heard(THIRD, TEN_MINUTES_S)
    assert own is not None
    assert "This site's clock is 600 s behind" in own or "This site's clock is 601 s behind" in own
    assert clocks.heard(THIRD, 2) == words.replace("600", "601")
    assert clocks.heard(SECOND, -2) == ""


def test_an_alarm_that_is_over_leaves_the_status() -> None:
    condition = Condition()
    condition.raise_alarm("clock-off", "words")
    condition.end_alarm("clock-off")
    condition.end_alarm("clock-off")
    assert condition.alarms == {}


def test_a_clock_is_compared_with_the_middle_of_question_and_answer() -> None:
    assert clock_off_s(1_600_000, 999_000, 1_001_000) == TEN_MINUTES_S
    assert clock_off_s(400_000, 999_000, 1_001_000) == -TEN_MINUTES_S
    assert clock_off_s(0, 999_000, 1_001_000) == 0, "a release that does not tell its time"


# Cosignatures.


def proposing(world: TestWorld) -> tuple[Checkpoints, Checkpoint]:
    """The lead's checkpoints with a proposal under its own cosignature."""
    governance = from_genesis(world.genesis)
    checkpoints = fresh_checkpoints(world, HOME)
    checkpoints.is_lead = True
    checkpoints.applied(BlockResult(1, 2, "x/1/0", 1, HOME, 3, None, (), (), b"r" * 32), governance)
    (write,) = checkpoints.flushed(1, 2_000, NOW_S)
    assert isinstance(write, WriteCosigned)
    asks = checkpoints.cosigned_written(write.cosigned, NOW_S)
    return checkpoints, next(ask for ask in asks if isinstance(ask, AskCosign)).checkpoint


def answered(
    checkpoints: Checkpoints, world: TestWorld, site: str, checkpoint: Checkpoint, off_s: int
) -> list[CheckpointEffect]:
    """A site answers with the time by its own clock."""
    line = cosign(checkpoint, site, world.site_signers[site], NOW_S + off_s)
    return checkpoints.cosign_reply(site, checkpoint.size, [line], NOW_S)


@pytest.mark.parametrize("off_s", [TEN_MINUTES_S, -TEN_MINUTES_S])
def test_with_one_clock_of_three_off_the_other_two_reach_the_quorum(off_s: int) -> None:
    world = build_genesis()
    checkpoints, checkpoint = proposing(world)
    assert answered(checkpoints, world, SECOND, checkpoint, off_s) == [ClockHeard(SECOND, off_s)]
    heard, reached = answered(checkpoints, world, THIRD, checkpoint, 3)
    assert heard == ClockHeard(THIRD, 3)
    assert isinstance(reached, QuorumReached)
    assert {line.name for line in reached.checkpoint.signatures} == {HOME, THIRD}


def test_a_cosignature_within_five_minutes_counts() -> None:
    world = build_genesis()
    checkpoints, checkpoint = proposing(world)
    effects = answered(checkpoints, world, SECOND, checkpoint, -CLOCK_APART_MAX_S)
    assert [type(effect) for effect in effects] == [ClockHeard, QuorumReached]


def test_nobody_elses_signature_tells_a_sites_time() -> None:
    world = build_genesis()
    checkpoints, checkpoint = proposing(world)
    forged = cosign(checkpoint, SECOND, world.site_signers[THIRD], NOW_S + TEN_MINUTES_S)
    assert checkpoints.cosign_reply(SECOND, checkpoint.size, [forged], NOW_S) == []
