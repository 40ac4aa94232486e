"""Carrying a plan out: nothing begins where a site refuses or too few answer, and what sites show decides how far it is, on any computer."""

from __future__ import annotations

from sento_client.governing.following import Followed
from sento_client.recovering.applying import (
    Applied,
    SiteState,
    Stage,
    all_serve,
    answered,
    decode_applied,
    encode_applied,
    failed,
    may_begin,
    seen,
    serves,
    sites_of,
)
from sento_client.recovering.planning import make_plan
from sento_proto.epoch_plan import EpochPlan, plan_hash
from sento_proto.errors import Code
from sento_proto.v1 import admin_pb2
from survivors import EMBASSY, SECOND, VOTING, Ruins, wishes


def plan_of() -> EpochPlan:
    ruins = Ruins()
    collected = ruins.collected(ruins.survey(EMBASSY, 30, agreed=28), ruins.survey(SECOND, 25, agreed=25))
    return make_plan(collected, Followed.start(ruins.world.genesis), wishes()).plan


PLAN = plan_of()


def states(**stages: Stage) -> dict[str, SiteState]:
    named = {name.replace("_", "-"): stage for name, stage in stages.items()}
    return {site: SiteState(site, stage) for site, stage in named.items()}


def status(state: str, epoch: int = 1, plan: bytes | None = None) -> admin_pb2.StatusReply:
    return admin_pb2.StatusReply(
        state=state, epoch=epoch, epoch_plan=plan_hash(PLAN) if plan is None else plan
    )


def test_voters_are_asked_first_and_only_those_with_an_address_here() -> None:
    assert sites_of(PLAN, (EMBASSY, *VOTING)) == (EMBASSY,)
    assert sites_of(PLAN, (*VOTING, EMBASSY, SECOND)) == (SECOND, EMBASSY)


def test_a_site_that_refuses_stops_all_and_one_that_is_silent_needs_a_majority_of_others() -> None:
    assert may_begin(PLAN, states(se_uppsala=Stage.FIT, ca_ottawa=Stage.BEGINNING))
    assert not may_begin(PLAN, states(se_uppsala=Stage.FIT, ca_ottawa=Stage.REFUSED))
    assert not may_begin(PLAN, states(se_uppsala=Stage.FIT, ca_ottawa=Stage.SILENT))
    assert not may_begin(PLAN, states(se_uppsala=Stage.FIT))


def test_a_dry_run_s_answer_says_whether_it_was_begun_before() -> None:
    fresh = admin_pb2.BeginEpochReply(words="It fits.", set_aside=4)
    assert answered(EMBASSY, fresh, dry_run=True) == SiteState(EMBASSY, Stage.FIT, "It fits.", None, 4)
    assert answered(EMBASSY, fresh, dry_run=False).stage is Stage.BEGINNING
    before = admin_pb2.BeginEpochReply(begun_before=True)
    assert answered(EMBASSY, before, dry_run=True).stage is Stage.BEGINNING


def test_no_answer_is_not_a_refusal() -> None:
    assert failed(EMBASSY, Code.UNREACHABLE, "").stage is Stage.SILENT
    assert failed(EMBASSY, Code.MAJORITY_ANSWERS, "").stage is Stage.REFUSED


def test_what_a_site_shows_decides_how_far_it_is() -> None:
    before = SiteState(EMBASSY, Stage.SILENT, "x", Code.DEADLINE)
    assert seen(PLAN, before, status("catching-up", epoch=0)) == before
    assert seen(PLAN, before, status("catching-up")).stage is Stage.BEGINNING
    assert seen(PLAN, before, status("serving")).stage is Stage.SERVING
    assert seen(PLAN, before, status("serving", plan=b"")).stage is Stage.BEGINNING


def test_an_epoch_of_another_plan_is_two_epochs_and_not_success() -> None:
    before = SiteState(EMBASSY, Stage.WAITING)
    for other in (status("serving", plan=b"\1" * 32), status("serving", epoch=2)):
        state = seen(PLAN, before, other)
        assert (state.stage, state.code) == (Stage.REFUSED, Code.TWO_EPOCHS)


def test_an_epoch_serves_with_a_majority_and_is_whole_with_all() -> None:
    one = states(se_uppsala=Stage.SERVING, ca_ottawa=Stage.BEGINNING)
    both = states(se_uppsala=Stage.SERVING, ca_ottawa=Stage.SERVING)
    assert (serves(PLAN, one), serves(PLAN, both), all_serve(PLAN, both)) == (False, True, True)


def test_the_times_of_a_recovery_come_back_from_their_file() -> None:
    applied = Applied(plan_hash(PLAN), 5, 9)
    assert decode_applied(encode_applied(applied)) == applied
