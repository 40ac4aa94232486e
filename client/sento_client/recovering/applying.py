"""Carrying a signed plan out at its sites: who is to be asked, what their answers come to, and when the epoch serves; the same on any computer and any try.

    {"format": "sento-recover-applied-1", "plan": hex, "began_at_ms": t, "serving_at_ms": t}       beside the plan, for the result sheet alone

What is done is seen at the sites and nowhere else, so that another computer goes on where one died. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from sento_proto.epoch_plan import EpochPlan, plan_hash
from sento_proto.errors import Code
from sento_proto.strict_json import load
from sento_proto.v1 import admin_pb2

FORMAT = "sento-recover-applied-1"
SERVING = "serving"
PLAN_LIVES_MS = 24 * 3_600_000
_TIME_MAX_MS = 2**63 - 1
_NOT_THERE = (Code.UNREACHABLE, Code.DEADLINE)


class Stage(StrEnum):
    """How far a site is with the plan."""

    WAITING = "waiting"
    FIT = "the plan fits"
    REFUSED = "refused"
    SILENT = "does not answer"
    BEGINNING = "beginning"
    SERVING = "serving"


class SiteState(NamedTuple):
    """One site of the plan. `words`: one sentence; `code`: why it refused; `set_aside`: records of its own that stand no more."""

    site: str
    stage: Stage
    words: str = ""
    code: Code | None = None
    set_aside: int = 0
    size: int = 0


class Applied(NamedTuple):
    """When the plan was first carried out, and when its epoch served (0: not yet)."""

    plan: bytes
    began_at_ms: int
    serving_at_ms: int = 0


def sites_of(plan: EpochPlan, configured: Sequence[str], also: Sequence[str] = ()) -> tuple[str, ...]:
    """Whom to ask: the voters first, then the rest of the receipt set, then those who are named beside it; of those that this computer knows."""
    named = dict.fromkeys((*plan.voting, *plan.receipt_set.sites, *also))
    return tuple(site for site in named if site in configured)


def answered(site: str, reply: admin_pb2.BeginEpochReply, *, dry_run: bool) -> SiteState:
    """A site's word on the plan."""
    stage = Stage.FIT if dry_run and not reply.begun_before else Stage.BEGINNING
    return SiteState(site, stage, reply.words, set_aside=reply.set_aside)


def failed(site: str, code: Code, words: str) -> SiteState:
    """A site that gave no word, or refused."""
    return SiteState(site, Stage.SILENT if code in _NOT_THERE else Stage.REFUSED, words, code)


def seen(plan: EpochPlan, before: SiteState, status: admin_pb2.StatusReply) -> SiteState:
    """What a site's status says of the plan: serving in its epoch, on the way, or in the epoch of another plan."""
    if status.epoch < plan.epoch:
        return before
    if status.epoch == plan.epoch and status.epoch_plan in (b"", plan_hash(plan)):
        stage = Stage.SERVING if status.state == SERVING and status.epoch_plan else Stage.BEGINNING
        words = status.joining or status.explanation
        return before._replace(stage=stage, words=words, code=None, size=status.applied_size)
    words = f"it is in epoch {status.epoch}, begun by another plan: stop, officers say which one stands"
    return before._replace(stage=Stage.REFUSED, words=words, code=Code.TWO_EPOCHS)


def too_old(plan: EpochPlan, states: Mapping[str, SiteState], now_ms: int) -> str:
    """Why a plan that nobody is known to have begun says nothing of today, in words; empty where it may be signed and begun. A signed plan that was not needed
    in the end would set aside everything written since. Officers who want it all the same say so in the plan."""
    begun = any(state.stage in (Stage.BEGINNING, Stage.SERVING) for state in states.values())
    age_ms = now_ms - plan.made_at_ms
    if begun or plan.although or age_ms <= PLAN_LIVES_MS:
        return ""
    return (
        f"the plan was made {age_ms // 3_600_000} hours ago, and no site that answers has begun it: a majority may answer by now, and what was written "
        "since would be set aside. Collect again and plan anew, with --although where it still counts"
    )


def may_begin(plan: EpochPlan, states: Mapping[str, SiteState]) -> bool:
    """Whether a dry run lets the plan be carried out: no site refused, and a majority of its voters would begin or has begun."""
    fit = [
        site for site in plan.voting if _stage(states, site) in (Stage.FIT, Stage.BEGINNING, Stage.SERVING)
    ]
    refused = any(state.stage is Stage.REFUSED for state in states.values())
    return not refused and 2 * len(fit) > len(plan.voting)


def serves(plan: EpochPlan, states: Mapping[str, SiteState]) -> bool:
    """Whether a majority of the plan's voters serves in its epoch."""
    return 2 * sum(_stage(states, site) is Stage.SERVING for site in plan.voting) > len(plan.voting)


def all_serve(plan: EpochPlan, states: Mapping[str, SiteState]) -> bool:
    """Whether every voter of the plan does."""
    return all(_stage(states, site) is Stage.SERVING for site in plan.voting)


def _stage(states: Mapping[str, SiteState], site: str) -> Stage | None:
    state = states.get(site)
    return None if state is None else state.stage


def encode_applied(applied: Applied) -> bytes:
    """The file's bytes."""
    value = {
        "format": FORMAT,
        "plan": applied.plan.hex(),
        "began_at_ms": applied.began_at_ms,
        "serving_at_ms": applied.serving_at_ms,
    }
    return json.dumps(value, indent=1).encode() + b"\n"


def decode_applied(data: bytes) -> Applied:
    """The file in `data`. Raises Malformed."""
    fields = load(data, "applied")
    fields.choice("format", (FORMAT,))
    applied = Applied(
        fields.hex("plan", 32),
        fields.number("began_at_ms", 0, _TIME_MAX_MS),
        fields.number("serving_at_ms", 0, _TIME_MAX_MS),
    )
    fields.end()
    return applied
