"""Asking site after site: whom next, for how long, and which reason the caller gets in the end."""

from __future__ import annotations

from sento_client.asking import AskPlan, AskSettings, GiveUp, Pause, Try
from sento_proto.errors import Code, SentoError

SETTINGS = AskSettings(try_timeout_ms=1_000, pause_first_ms=100, pause_most_ms=400)


def plan_of(deadline_ms: int = 10_000, ask_again: frozenset[Code] = frozenset()) -> AskPlan:
    return AskPlan(("a", "b"), deadline_ms, SETTINGS, lambda: 0.0, ask_again)


def test_sites_are_asked_in_order_with_pauses_that_double_after_each_round() -> None:
    plan = plan_of()
    steps: list[Try | Pause | GiveUp] = []
    for _ in range(12):
        steps.append(plan.next(0))
        if isinstance(steps[-1], Try):
            plan.failed(SentoError(Code.NOT_READY))
    tries = [Try("a", 1_000), Try("b", 1_000)]
    assert steps == [*tries, Pause(50), *tries, Pause(100), *tries, Pause(200), *tries, Pause(200)][:12]


def test_one_site_gets_only_its_share_and_the_last_one_what_is_left() -> None:
    plan = plan_of(deadline_ms=1_300)
    assert plan.next(0) == Try("a", 1_000)
    plan.failed(SentoError(Code.DEADLINE))
    assert plan.next(1_000) == Try("b", 300)
    plan.failed(SentoError(Code.DEADLINE))
    step = plan.next(1_300)
    assert isinstance(step, GiveUp)
    assert step.error.code is Code.DEADLINE


def test_what_no_other_site_would_answer_differently_ends_the_question() -> None:
    plan = plan_of()
    plan.next(0)
    plan.failed(SentoError(Code.NOT_FOUND))
    step = plan.next(0)
    assert isinstance(step, GiveUp)
    assert step.error.code is Code.NOT_FOUND


def test_code_named_by_the_caller_is_asked_again() -> None:
    plan = plan_of(ask_again=frozenset({Code.OUT_OF_RANGE}))
    plan.next(0)
    plan.failed(SentoError(Code.OUT_OF_RANGE))
    assert plan.next(0) == Try("b", 1_000)


def test_reason_of_a_site_that_spoke_is_kept_over_silence() -> None:
    plan = plan_of(deadline_ms=100)
    plan.next(0)
    plan.failed(SentoError(Code.NOT_FRESH))
    plan.next(0)
    plan.failed(SentoError(Code.UNREACHABLE))
    step = plan.next(100)
    assert isinstance(step, GiveUp)
    assert step.error.code is Code.NOT_FRESH


def test_deadline_that_is_over_before_the_first_try_says_so() -> None:
    step = plan_of(deadline_ms=0).next(0)
    assert isinstance(step, GiveUp)
    assert step.error.code is Code.DEADLINE


def test_pause_never_goes_beyond_the_deadline() -> None:
    plan = plan_of(deadline_ms=20)
    for _ in range(2):
        plan.next(0)
        plan.failed(SentoError(Code.NOT_READY))
    assert plan.next(0) == Pause(20)
