"""Governance at a fork, and which officers' acts are lost behind it: by what this computer followed, which may reach further than any survivor does.

The survivor names the newest act in its state by hash. Acts follow each other by hash, so that hash decides: what was followed behind it is lost with the old
epoch and has to be signed anew, first of all a key's revocation. A hash that was never followed here means that the survivor knows newer acts than this
computer. Positions alone decide nothing. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple, cast

from sento_client.governing.following import Followed, Step
from sento_client.governing.words import change_words
from sento_proto.act_chain import act_content
from sento_proto.epoch_plan import ACTS_MAX, EpochPlan, act_of
from sento_proto.errors import Code, SentoError
from sento_proto.governance.acts import CHANGES_MAX, Act, decode_act, effect_of, with_act
from sento_proto.governance.changing import Unfit
from sento_proto.governance.epoch_changes import BeginEpoch
from sento_proto.governance.erasure_changes import CarryOutErasure, WithdrawErasure
from sento_proto.governance.site_changes import EnrolSite, SetReceiptSet
from sento_proto.governance.site_place_changes import EnrolTieBreaker, SetSiteVotes
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.header import ZERO32
from sento_proto.wire import Malformed

_OF_VOTES = (SetSiteVotes.DO, SetReceiptSet.DO, EnrolTieBreaker.DO)
"""Signed again behind the plan's first act, these would undo what the plan says of the new epoch's members."""
_OF_AN_ORDER = (CarryOutErasure.DO, WithdrawErasure.DO)


class Fork(NamedTuple):
    """Governance where the new epoch forks off. `lost`: acts behind it, oldest first; `followed_to`: position of the newest record followed, where the
    survivor's newest act is not among those (its governance is then a guess that the sites judge anew); None where it is."""

    governance: Governance
    lost: tuple[Step, ...]
    followed_to: int | None = None


class Reenacted(NamedTuple):
    """The contents of acts of the new epoch, the governance behind them, and in words what comes back and what does not."""

    contents: tuple[bytes, ...]
    governance: Governance
    words: tuple[str, ...]


def furthest(followed: Sequence[Followed]) -> Followed:
    """What was followed furthest, of which the others must be beginnings. Raises SentoError TWO_EPOCHS where two of them go apart within one epoch."""
    best = max(followed, key=lambda one: (one.governance.epoch, len(_acts(one)), one.position))
    known = {step.stored.record_hash for step in best.steps}
    for one in followed:
        newest = one.governance.last_act
        if one.governance.epoch == best.governance.epoch and newest != ZERO32 and newest not in known:
            raise SentoError(
                Code.TWO_EPOCHS,
                f"two trust files go apart: one knows act {newest.hex()[:16]}, the other does not and goes on. Nothing is chosen; show both to the officers",
            )
    return best


def fork_at(followed: Followed, size: int, last_act: bytes) -> Fork:
    """Governance at the fork of `size` records whose newest act is `last_act` (zeros: none). Raises SentoError TWO_EPOCHS where acts and places contradict."""
    acts = _acts(followed)
    names = [step.stored.record_hash for step in acts]
    if last_act != ZERO32 and last_act not in names:
        if followed.position >= size:
            raise _apart(size)
        return Fork(followed.governance, (), followed.position)
    stays = names.index(last_act) + 1 if last_act != ZERO32 else 0
    if any(step.position < size for step in acts[stays:]) or any(
        step.position >= size for step in acts[:stays]
    ):
        raise _apart(size)
    below = [step.after for step in followed.steps if step.position < size]
    governance = below[-1] if below else from_genesis(followed.genesis)
    return Fork(governance, tuple(acts[stays:]))


def _acts(followed: Followed) -> list[Step]:
    return [step for step in followed.steps if step.act is not None]


def _apart(size: int) -> SentoError:
    return SentoError(
        Code.TWO_EPOCHS,
        f"the state of {size} records has another newest act than the governance that this computer followed has there: one of two histories is false. "
        "Show both to the officers",
    )


def reenact(plan: EpochPlan, fork: Fork, gap: dict[str, object]) -> Reenacted:
    """The acts that follow the one that begins the plan's epoch: lost ones in their order where they still fit, then the gap. `plan`: without acts.

    Raises SentoError PLAN_NOT_FIT where the epoch or its gap cannot be begun by this governance."""
    try:
        begun = act_of(plan)
        after = effect_of(fork.governance, decode_act(begun.header.content), plan.parent.size)
        after = with_act(after, begun.record_hash, plan.parent.size)
        contents, words, orders = list[bytes](), list[str](), dict[int, int]()
        for step in fork.lost:
            at = plan.parent.size + len(contents) + 1
            try:
                content = _anew(step, orders)
                if len(contents) + 1 >= ACTS_MAX:
                    raise Unfit("The plan holds no more acts.")
                act = decode_act(content)
                changed = effect_of(after, act, at)
            except Unfit as error:
                words.append(_not_again(step, str(error)))
                continue
            words.append(_again(after, step, act, at))
            contents.append(content)
            orders[step.position] = at
            after = with_act(changed, bytes(32), at).next_block
        content = act_content(plan.legal_basis, [gap])
        after = effect_of(after, decode_act(content), plan.parent.size + len(contents) + 1)
    except (Unfit, Malformed) as error:
        raise SentoError(Code.PLAN_NOT_FIT, f"by the governance followed here: {error}") from None
    return Reenacted((*contents, content), after, tuple(words))


def _anew(step: Step, orders: dict[int, int]) -> bytes:
    """The same changes, for the same reason; what names an order by the position of its act names where that act stands now. Raises Unfit."""
    if step.header.payload_bytes:
        raise Unfit("What was sealed in it is kept nowhere here: propose and sign it again.")
    value = cast("dict[str, object]", json.loads(step.header.content))
    changes = cast("list[dict[str, object]]", value["changes"])
    if any(change["do"] == BeginEpoch.DO for change in changes):
        raise Unfit("It began an epoch that survives nowhere.")
    if any(_says_who_votes(change) for change in changes):
        raise Unfit("It says who votes or whose cosignatures count, which the plan itself decides now.")
    moved = [
        {**change, "order": orders.get(cast("int", change["order"]), change["order"])}
        if change["do"] in _OF_AN_ORDER
        else change
        for change in changes
    ]
    assert len(moved) <= CHANGES_MAX
    return act_content(str(value["reason"]), moved)


def _says_who_votes(change: dict[str, object]) -> bool:
    site = change.get("site")
    enrols_voter = change["do"] == EnrolSite.DO and isinstance(site, dict) and site.get("votes") is True
    return change["do"] in _OF_VOTES or enrols_voter


def _again(governance: Governance, step: Step, act: Act, at: int) -> str:
    changes = " ".join(change_words(governance, act, at))
    return f"Signed again as the epoch's act, lost at position {step.position} ({act.reason}): {changes}"


def _not_again(step: Step, why: str) -> str:
    assert step.act is not None
    return f"NOT signed again, lost at position {step.position} ({step.act.reason}): {why}"


def unknown_to(plan: EpochPlan, followed: Followed) -> tuple[Step, ...]:
    """Acts that this computer followed behind the plan's fork and that the plan neither signs again nor speaks of: whoever signs must not lose them unseen.

    Raises SentoError as `fork_at`."""
    fork = fork_at(followed, plan.parent.size, plan.last_act)
    again = [decode_act(content).changes for content in plan.acts]
    spoken = " ".join(plan.words)
    return tuple(
        step
        for step in fork.lost
        if step.act is not None
        and step.act.changes not in again
        and f"lost at position {step.position} (" not in spoken
    )
