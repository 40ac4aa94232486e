"""A relocation is carried out from what is seen alone: to its end, back out of it, past every kill of the operator and every trouble at a site."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from genesis_builder import OFFICERS
from relocation_world import (
    COUNTRY,
    HOME,
    NOW_MS,
    OLD,
    TARGET,
    FakeWorld,
    Killed,
    fake_world,
    plan_of,
    signed_by,
)
from sento_client.cli.relocate_view import view
from sento_client.relocating.deciding import (
    Done,
    MoveLead,
    Next,
    Refused,
    RemoveMember,
    Seen,
    SiteSeen,
    Submit,
    Wait,
    next_step,
    step_back,
)
from sento_client.relocating.judging import State, Verdict, judge_plan
from sento_client.relocating.making import make_plan, reverse_wishes
from sento_client.relocating.measuring import Growth
from sento_client.relocating.running import carry_out
from sento_proto.errors import Code, SentoError
from sento_proto.relocation_plan import RelocationPlan, Stage, stage_of

Decide = Callable[[RelocationPlan, Seen], Next]
STEPS = ["submit give", f"lead {TARGET}", "submit retire"]


@pytest.fixture
def fake() -> FakeWorld:
    return fake_world()


def run(
    fake: FakeWorld, plan: RelocationPlan, decide: Decide = next_step, patience_ms: int = 120_000
) -> tuple[str, list[tuple[Seen, Next]]]:
    """Carry it out; how it ended, and every look."""
    looks: list[tuple[Seen, Next]] = []

    def told(seen: Seen, step: Next, _trouble: str) -> None:
        looks.append((seen, step))

    words = asyncio.run(
        carry_out(plan, fake, decide, told, fake.ports(), patience_ms=patience_ms, look_every_ms=0)
    )
    return words, looks


def members(fake: FakeWorld) -> set[str]:
    return {name for name, site in fake.sites.items() if site.member is not None}


def stage(fake: FakeWorld, plan: RelocationPlan) -> Stage:
    return stage_of(plan, [step.stored.record_hash for step in fake.followed.steps if step.act is not None])


def test_it_moves_while_records_keep_coming_and_never_retires_before_the_target_has_all(
    fake: FakeWorld,
) -> None:
    words, looks = run(fake, plan_of(fake))
    assert words == f"Moved: jp-ishikawa, jp-ibaraki and {TARGET} vote, and {TARGET} leads."
    assert fake.calls == STEPS
    assert (members(fake), fake.lead) == ({*HOME[1:], TARGET}, TARGET)
    seen = next(seen for seen, step in looks if step == Submit("retire"))
    assert seen.members is not None
    assert seen.members[TARGET]
    assert seen.head_before is not None
    assert seen.sites[TARGET].flushed_size >= seen.head_before


def test_each_wait_says_for_whom_and_how_far(fake: FakeWorld) -> None:
    _, looks = run(fake, plan_of(fake))
    waits = [step.words for _, step in looks if isinstance(step, Wait)]
    assert any("is a learner" in words and "are left to copy" in words for words in waits)


@pytest.mark.parametrize("when", ["dies_before", "dies_after"])
@pytest.mark.parametrize("number", range(len(STEPS)))
def test_an_operator_killed_at_any_step_is_followed_by_another_who_goes_on(
    fake: FakeWorld, when: str, number: int
) -> None:
    plan = plan_of(fake)
    setattr(fake, when, number)
    with pytest.raises(Killed):
        run(fake, plan)
    fake.dies_before = fake.dies_after = None
    run(fake, plan)
    assert list(dict.fromkeys(fake.calls)) == STEPS
    assert (members(fake), fake.lead, stage(fake, plan)) == ({*HOME[1:], TARGET}, TARGET, Stage.RETIRED)


@pytest.mark.parametrize("looks", range(1, 13))
def test_an_operator_killed_between_any_two_looks_changes_nothing_about_the_end(
    fake: FakeWorld, looks: int
) -> None:
    plan, count = plan_of(fake), 0

    def dying(plan: RelocationPlan, seen: Seen) -> Next:
        nonlocal count
        count += 1
        if count == looks:
            raise Killed
        return next_step(plan, seen)

    with pytest.raises(Killed):
        run(fake, plan, dying)
    run(fake, plan)
    assert (members(fake), fake.lead) == ({*HOME[1:], TARGET}, TARGET)


@pytest.mark.parametrize("looks", range(1, 9))
def test_until_the_retirement_stands_the_way_back_is_open_from_everywhere(
    fake: FakeWorld, looks: int
) -> None:
    plan, count = plan_of(fake), 0

    def dying(plan: RelocationPlan, seen: Seen) -> Next:
        nonlocal count
        count += 1
        step = next_step(plan, seen)
        if count == looks or step == Submit("retire"):
            raise Killed
        return step

    with pytest.raises(Killed):
        run(fake, plan, dying)
    words, _ = run(fake, plan, step_back)
    assert members(fake) == set(HOME)
    assert fake.followed.governance.voting_sites == HOME
    assert (
        "nothing to back out of" in words if stage(fake, plan) is Stage.NOT_BEGUN else "Backed out" in words
    )


@pytest.mark.parametrize("when", ["dies_before", "dies_after"])
def test_a_back_out_that_was_killed_goes_on(fake: FakeWorld, when: str) -> None:
    plan = plan_of(fake)
    fake.dies_after = 0
    with pytest.raises(Killed):
        run(fake, plan)
    fake.dies_after = None
    setattr(fake, when, 1)
    with pytest.raises(Killed):
        run(fake, plan, step_back)
    fake.dies_before = fake.dies_after = None
    run(fake, plan, step_back)
    assert stage(fake, plan) is Stage.UNDONE
    with pytest.raises(SentoError, match="was backed out"):
        run(fake, plan)


def test_behind_the_retirement_only_a_new_plan_returns(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    run(fake, plan)
    with pytest.raises(SentoError, match="sento relocate return") as refused:
        run(fake, plan, step_back)
    assert refused.value.code is Code.PLAN_NOT_FIT
    back = make_plan(fake.followed.governance, 0, reverse_wishes(plan, "decision 9", (COUNTRY,)), NOW_MS)
    with pytest.raises(SentoError):
        run(fake, back, patience_ms=5_000)
    run(fake, signed_by(fake, back, *OFFICERS[1:]))
    assert (members(fake), fake.lead) == (set(HOME), OLD)
    assert fake.followed.governance.receipt_set.sites == (*HOME[1:], OLD)


# Trouble at the sites.


def ended(fake: FakeWorld, plan: RelocationPlan, patience_ms: int = 60_000) -> SentoError:
    with pytest.raises(SentoError) as error:
        run(fake, plan, patience_ms=patience_ms)
    return error.value


def test_a_target_that_does_not_catch_up_is_waited_for_and_nobody_is_retired(fake: FakeWorld) -> None:
    fake.sites[TARGET].copies_a_look = 50
    plan = plan_of(fake)
    error = ended(fake, plan)
    assert (error.code, "are left to copy" in error.detail) == (Code.DEADLINE, True)
    assert (stage(fake, plan), members(fake)) == (Stage.GIVEN, {*HOME, TARGET})
    fake.sites[TARGET].copies_a_look = 5_000
    run(fake, plan)
    assert stage(fake, plan) is Stage.RETIRED


def test_a_target_that_awaits_payloads_is_not_whole_though_it_votes(fake: FakeWorld) -> None:
    fake.sites[TARGET].awaited = 3
    error = ended(fake, plan_of(fake))
    assert f"{TARGET} votes, and it awaits 3 payloads" in error.detail


def test_a_promotion_that_is_refused_is_waited_for(fake: FakeWorld) -> None:
    fake.sites[TARGET].promotes = False
    plan = plan_of(fake)
    assert f"{TARGET} is a learner" in ended(fake, plan).detail
    assert stage(fake, plan) is Stage.GIVEN


def test_a_target_without_a_member_is_waited_for_with_the_step_that_it_is_at(fake: FakeWorld) -> None:
    sites = {name: SiteSeen("serving", 9) for name in HOME} | {
        TARGET: SiteSeen("serving", 9, joining="a learner is added")
    }
    seen = Seen(Stage.GIVEN, sites, (*HOME, TARGET), dict.fromkeys(HOME, True), OLD, head_before=9)
    step = next_step(plan_of(fake), seen)
    assert step == Wait(f"{TARGET} is to join the ordering log as a learner (a learner is added).")


def test_a_target_that_is_down_is_waited_for(fake: FakeWorld) -> None:
    fake.sites[TARGET].up = False
    assert f"{TARGET} does not answer" in ended(fake, plan_of(fake)).detail


def test_a_retired_site_that_burns_before_it_leaves_is_taken_out_by_others(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    fake.dies_after = STEPS.index("submit retire")
    with pytest.raises(Killed):
        run(fake, plan)
    fake.dies_after, fake.sites[OLD].up = None, False
    run(fake, plan)
    assert fake.calls[-1] == f"remove {OLD}"
    assert members(fake) == {*HOME[1:], TARGET}


@pytest.mark.parametrize("look", range(1, 13))
@pytest.mark.parametrize("site", [*HOME, TARGET])
def test_any_site_that_loses_power_for_some_seconds_at_any_look_changes_nothing_about_the_end(
    fake: FakeWorld, site: str, look: int
) -> None:
    plan, count = plan_of(fake), 0

    def with_outage(plan: RelocationPlan, seen: Seen) -> Next:
        nonlocal count
        count += 1
        fake.sites[site].up = not look <= count < look + 20
        step = next_step(plan, seen)
        if step == Submit("retire"):
            assert (seen.members or {}).get(TARGET), "nobody is retired for an outage of seconds"
        return step

    run(fake, plan, with_outage)
    assert (members(fake), fake.lead, stage(fake, plan)) == ({*HOME[1:], TARGET}, TARGET, Stage.RETIRED)


@pytest.mark.parametrize("lead", [OLD, HOME[1]])
def test_a_capital_that_burnt_before_the_move_is_retired_first_so_that_the_target_can_join(
    fake: FakeWorld, lead: str
) -> None:
    plan = plan_of(fake)
    fake.sites[OLD].up, fake.lead = False, lead
    run(fake, plan)
    assert fake.calls == ["submit give", "submit retire", f"remove {OLD}", f"lead {TARGET}"]
    assert (members(fake), fake.lead) == ({*HOME[1:], TARGET}, TARGET)


def test_a_capital_that_is_away_for_a_moment_is_not_retired_before_the_target_votes(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    fake.sites[OLD].up = False
    assert ended(fake, plan, patience_ms=20_000).code is Code.DEADLINE
    fake.sites[OLD].up = True
    run(fake, plan)
    assert fake.calls == STEPS


def test_a_site_that_stays_and_is_down_is_not_taken_out_to_make_room(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    fake.sites[HOME[1]].up = False
    assert f"{TARGET} is to join" in ended(fake, plan, patience_ms=200_000).detail
    assert (fake.calls, members(fake)) == (["submit give"], set(HOME))
    assert "name it among those to be retired" in line(judged(fake, plan_of(fake_world())), "majority")[1]


def test_of_two_that_are_retired_the_living_one_keeps_its_vote_until_the_target_has_one(
    fake: FakeWorld,
) -> None:
    plan = plan_of(fake, retire=(OLD, HOME[1]), accepts=(COUNTRY,))
    fake.sites[OLD].up = False
    _, looks = run(fake, plan, patience_ms=300_000)
    for seen, _ in looks:
        voting = [name for name, votes in (seen.members or {}).items() if votes]
        assert len(voting) >= 2, "no site was left to vote alone"
    assert f"remove {HOME[1]}" not in fake.calls
    assert members(fake) == {HOME[2], TARGET}


def test_a_member_that_cannot_be_removed_is_asked_for_again_until_it_can(fake: FakeWorld) -> None:
    plan, refusals = plan_of(fake), iter([True] * 5)
    fake.sites[OLD].leaves = False
    fake.refuses_removal = lambda: next(refusals, False)
    run(fake, plan)
    assert fake.calls.count(f"remove {OLD}") == 6
    assert members(fake) == {*HOME[1:], TARGET}


def test_a_retired_site_that_somebody_still_hears_is_given_its_time_to_leave(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    seen = Seen(
        Stage.RETIRED,
        {OLD: SiteSeen(silent_ms=2_000), **{name: SiteSeen("serving", 9) for name in (*HOME[1:], TARGET)}},
        (*HOME[1:], TARGET),
        dict.fromkeys((*HOME, TARGET), True),
        TARGET,
    )
    assert isinstance(next_step(plan, seen), Wait)
    silent = replace(seen, sites={**seen.sites, OLD: SiteSeen(silent_ms=40_000)})
    assert isinstance(next_step(plan, silent), RemoveMember)


def test_while_too_few_of_those_that_stay_serve_nobody_is_retired(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    serving = SiteSeen("serving", 9)
    seen = Seen(
        Stage.GIVEN,
        {OLD: serving, HOME[1]: SiteSeen(), HOME[2]: SiteSeen("catching-up", 3), TARGET: serving},
        (*HOME, TARGET),
        dict.fromkeys((*HOME, TARGET), True),
        TARGET,
        head_before=9,
    )
    waiting = next_step(plan, seen)
    assert isinstance(waiting, Wait)
    assert "ordering would stop behind the retirement" in waiting.words
    ready = replace(seen, sites={**seen.sites, HOME[1]: serving})
    assert next_step(plan, ready) == Submit("retire")
    assert next_step(plan, replace(ready, lead=OLD)) == MoveLead(OLD, TARGET)


def test_an_act_that_comes_between_stops_both_ways_and_says_what_came(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    fake.dies_after = 0
    with pytest.raises(Killed):
        run(fake, plan)
    fake.dies_after = None
    fake.other_act({"do": "add-registry", "registry": "cover"})
    for decide in (next_step, step_back):
        with pytest.raises(SentoError, match="cover") as refused:
            run(fake, plan, decide)
        assert refused.value.code is Code.STALE
    assert members(fake) >= set(HOME)


def test_an_expired_plan_is_not_begun_and_one_that_was_begun_in_time_is_carried_out(fake: FakeWorld) -> None:
    plan = plan_of(fake, lives_ms=1_000)
    fake.steady_ms = 5_000
    with pytest.raises(SentoError, match="expired"):
        run(fake, plan)
    assert fake.calls == []
    late = fake_world()
    plan = plan_of(late, lives_ms=1_000)
    run(late, plan)
    assert stage(late, plan) is Stage.RETIRED


def test_done_is_not_said_before_the_voters_serve_and_one_of_them_leads(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    after = (*HOME[1:], TARGET)
    seen = Seen(
        Stage.RETIRED,
        {name: SiteSeen("serving", 9) for name in after},
        after,
        dict.fromkeys(after, True),
        OLD,
        head_before=9,
    )
    assert next_step(plan, seen) == MoveLead(OLD, TARGET)
    assert isinstance(next_step(plan, replace(seen, lead="")), Wait)
    assert isinstance(next_step(plan, replace(seen, lead=TARGET)), Done)
    down = replace(seen, lead=TARGET, sites={TARGET: SiteSeen("serving", 9)})
    assert isinstance(next_step(plan, down), Wait)


def test_a_stale_plan_is_refused_and_has_nothing_to_back_out_of(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    fake.other_act({"do": "add-registry", "registry": "cover"})
    with pytest.raises(SentoError, match="Another officers' act stands"):
        run(fake, plan)
    assert "nothing to back out of" in run(fake, plan, step_back)[0]
    assert isinstance(next_step(plan, Seen(Stage.STALE, {}, HOME)), Refused)


# The dry run.


def judged(fake: FakeWorld, plan: RelocationPlan, *, epoch: int = 0, now_ms: int = NOW_MS) -> Verdict:
    answers = asyncio.run(fake.statuses())
    return judge_plan(plan, fake.followed, epoch, answers, now_ms, fake.head)


def line(verdict: Verdict, item: str) -> tuple[State, str]:
    found = next(line for line in verdict.lines if line.item == item)
    return found.state, found.words


def test_the_dry_run_says_what_is_open_and_nothing_is_changed_by_it(fake: FakeWorld) -> None:
    verdict = judged(fake, plan_of(fake, OFFICERS[0]))
    assert (verdict.wrong, verdict.is_ready) == ((), False)
    assert line(verdict, "signatures")[0] is State.OPEN
    assert line(verdict, f"target:{TARGET}") == (
        State.OPEN,
        f"{TARGET} answers; 1,000 records of 1,000 are left to copy.",
    )
    assert "at worst an election" in line(verdict, "pause")[1]
    assert line(verdict, "duration")[0] is State.NOTE
    assert line(verdict, COUNTRY)[1].startswith("Accepted by the officers")
    assert fake.calls == []


def test_with_the_target_whole_and_enough_signatures_the_dry_run_is_ready(fake: FakeWorld) -> None:
    fake.sites[TARGET].size = fake.head
    assert judged(fake, plan_of(fake)).is_ready


def test_the_dry_run_refuses_by_code(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    assert [one.code for one in judged(fake, plan, epoch=1).wrong] == [Code.PLAN_NOT_FIT]
    assert [one.code for one in judged(fake, plan, now_ms=plan.expires_at_ms).wrong] == [Code.PLAN_NOT_FIT]
    altered = replace(plan, accepts=())
    assert {one.code for one in judged(fake, altered).wrong} == {Code.BAD_SIGNATURE, Code.PLACEMENT_REFUSED}
    fake.sites[TARGET].up = False
    assert [one.code for one in judged(fake, plan).wrong] == [Code.UNREACHABLE]
    for name in HOME[:2]:
        fake.sites[name].up = False
    assert Code.NO_ORDERING in [one.code for one in judged(fake, plan).wrong]
    fake.other_act({"do": "add-registry", "registry": "cover"})
    assert Code.STALE in [one.code for one in judged(fake, plan).wrong]


def test_the_dry_run_of_a_plan_under_way_judges_the_signatures_by_the_officers_of_its_beginning(
    fake: FakeWorld,
) -> None:
    plan = plan_of(fake)
    fake.dies_after = 0
    with pytest.raises(Killed):
        run(fake, plan)
    verdict = judged(fake, plan)
    assert verdict.stage is Stage.GIVEN
    assert line(verdict, "signatures")[0] is State.GOOD
    assert "goes on from where it stands" in line(verdict, "acts")[1]


def test_a_plan_that_later_acts_reversed_does_nothing_more(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    run(fake, plan)
    back = make_plan(fake.followed.governance, 0, reverse_wishes(plan, "decision 9", (COUNTRY,)), NOW_MS)
    run(fake, signed_by(fake, back, *OFFICERS[1:]))
    calls = list(fake.calls)
    words, _ = run(fake, plan)
    assert f"{TARGET} may not vote any more by a later act" in words
    assert fake.calls == calls


# What people see.


def test_the_table_names_each_registry_and_each_site_with_its_part(fake: FakeWorld) -> None:
    plan = plan_of(fake)
    _, looks = run(fake, plan)
    pages = []
    for seen, step in looks:
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(view(plan, seen, step, "", Growth(size=9, records=7, growths=3, longest_ms=400)))
        pages.append(console.export_text())
    assert f"active at {OLD}" in pages[0]
    assert f"residency ACTIVE at {TARGET}" in " ".join(pages[-1].split())
    assert any("learns, target" in page for page in pages)
    assert any("votes, leads, to be retired" in page for page in pages)
    assert "7 records came meanwhile; longest time without one so far: 0.4 s." in pages[-1]
