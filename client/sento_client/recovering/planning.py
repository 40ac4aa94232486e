"""The plan of a recovered epoch: from what was collected, the rule's choice and the officers' wishes to one file that they read and sign.

A plan is refused where something in it could be false in silence: nothing to go on from, two histories, a majority that still answers, one voter alone, an old
collection. Three of these officers may overrule, each by saying so in the plan itself, so that whoever signs has read it. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from sento_client.governing.following import Followed
from sento_client.recovering.choosing import Choice, choose, majority_answers
from sento_client.recovering.collected import Collected, Known
from sento_client.recovering.evidence import evidence_words
from sento_client.recovering.forking import Fork, fork_at, reenact
from sento_client.recovering.plan_words import PlanFacts, plan_words
from sento_client.recovering.survey_files import Witness, judge_survey
from sento_proto.checkpoint import Checkpoint, decode_checkpoint
from sento_proto.epoch_plan import RECOVER, EpochPlan
from sento_proto.errors import Code, SentoError
from sento_proto.governance.epoch_changes import EPOCH_MAX, Parent
from sento_proto.governance.gap_changes import SetGap
from sento_proto.governance.parts import ReceiptSet
from sento_proto.wire import Malformed

STALE_MS = 24 * 3_600_000
CLOCK_MS = 300_000
"""By how much clocks of two computers may differ."""
COPIED_PER_S = 4_000
"""Records a second that a site proves and stores when it copies from another, on two shared cores; a figure to be late by, not to be proud of."""
BEGIN_S = 15
"""From the last signature to the first acknowledgement where nothing is to be copied: members start, elect, order the plan's acts, cosign."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What officers decide of the plan; what they leave open follows from what survives. `although`: why it goes on against a majority that answers, or from an
    old collection; `take`: the survivor whose state is taken against the rule; `said`: evidence of people, in sentences."""

    legal_basis: str
    made_at_ms: int
    voting: tuple[str, ...] = ()
    ordering: tuple[tuple[str, str], ...] = ()
    receipt_sites: tuple[str, ...] = ()
    quorum: int | None = None
    alone: bool = False
    although: str = ""
    take: str | None = None
    said: tuple[str, ...] = ()


class Planned(NamedTuple):
    """The plan and what it was made of. `missing`: known acknowledged records above the fork; `takes_s`: estimated time to the first acknowledgement."""

    plan: EpochPlan
    choice: Choice
    fork: Fork
    missing: tuple[Known, ...]
    takes_s: int


def witnesses_of(collected: Collected, followed: Followed) -> tuple[Witness, ...]:
    """Every survey, judged. Raises SentoError, as `judge_survey`."""
    return tuple(judge_survey(file, followed.governance) for file in collected.surveys)


def make_plan(collected: Collected, followed: Followed, wishes: Wishes) -> Planned:
    """The plan, unsigned. Raises SentoError: PLAN_NOT_FIT, MAJORITY_ANSWERS, TWO_EPOCHS, WRONG_LEDGER, BAD_SIGNATURE, MALFORMED, each with the particulars."""
    governance = followed.governance
    if collected.ledger_id != governance.ledger_id:
        raise SentoError(Code.WRONG_LEDGER, f"it was collected for ledger {collected.ledger_id.hex()[:16]}")
    _check_fresh(collected, wishes)
    witnesses = witnesses_of(collected, followed)
    choice = choose(witnesses, _seen(collected), governance, wishes.take)
    if (why := majority_answers(witnesses, governance)) and not wishes.although:
        raise SentoError(Code.MAJORITY_ANSWERS, why)
    tree = choice.tree
    if not tree.size or not tree.block:
        raise _unfit("no survivor holds a record: there is nothing to go on from. Make a new ledger")
    fork = fork_at(followed, tree.size, choice.best.survey.last_act)
    missing = _above(collected.known, choice)
    draft = _draft(collected, choice, fork, wishes, governance.epoch)
    gap = {
        "do": SetGap.DO,
        "epoch": draft.epoch,
        "as_of_ms": draft.as_of_ms,
        "known_missing": len(missing),
        "open": True,
    }
    again = reenact(draft, fork, gap)
    takes_s = BEGIN_S + _to_copy(draft.voting, choice) // COPIED_PER_S
    facts = PlanFacts(draft, choice, fork, missing, again.words, takes_s, why)
    plan = replace(
        draft,
        acts=again.contents,
        evidence=(*evidence_words(witnesses, collected.silent), *wishes.said),
        words=plan_words(facts),
    )
    return Planned(plan, choice, fork, missing, takes_s)


def _check_fresh(collected: Collected, wishes: Wishes) -> None:
    """Raises SentoError where what was collected is too old to say who answers."""
    age_ms = wishes.made_at_ms - collected.made_at_ms
    if age_ms < -CLOCK_MS:
        raise _unfit(
            "this was collected later than it is now by this computer's clock: one of the two clocks is wrong. Set it, and collect again"
        )
    if age_ms > STALE_MS and not wishes.although:
        raise _unfit(
            f"this was collected {age_ms // 3_600_000} hours ago; a majority may answer by now. Collect again, or say why it still counts with --although"
        )


def _seen(collected: Collected) -> list[Checkpoint]:
    try:
        return [decode_checkpoint(note.encode()) for note in collected.checkpoints]
    except Malformed as error:
        raise _unfit(f"a checkpoint in what was collected is altered: {error}. Collect again") from None


def _above(known: Sequence[Known], choice: Choice) -> tuple[Known, ...]:
    """What was acknowledged with a place that the state taken does not reach, or that stood in an epoch above it."""
    epoch, size = choice.best.survey.epoch, choice.tree.size
    return tuple(
        one
        for one in known
        if one.at_home and one.position is not None and (one.position >= size or one.epoch > epoch)
    )


def _draft(
    collected: Collected, choice: Choice, fork: Fork, wishes: Wishes, followed_epoch: int
) -> EpochPlan:
    """The plan but for acts, evidence and words. Raises SentoError PLAN_NOT_FIT."""
    survey, tree = choice.best.survey, choice.tree
    urls = _urls(fork, wishes)
    voting = wishes.voting or _survivors_that_may_vote(choice, fork, urls)
    _check_voting(voting, fork, wishes)
    counted = wishes.receipt_sites or tuple(name for name in voting if fork.governance.sites[name].ledger)
    receipt_set = ReceiptSet(counted, wishes.quorum or len(counted) // 2 + 1)
    begun = (one.survey.epoch for one in choice.survivors)
    number = max(*begun, followed_epoch, *(one.epoch for one in collected.known), 0) + 1
    if number > EPOCH_MAX:
        named = next((one.author or "nobody named" for one in collected.known if one.epoch >= EPOCH_MAX), "")
        raise _unfit(
            f"receipts or an outbox ({named}) name epoch {number - 1}, behind which there is no number: leave that directory out"
        )
    as_of_ms = survey.agreed_at_s * 1000 or survey.last_record_ms or collected.made_at_ms
    return EpochPlan(
        collected.ledger_id,
        RECOVER,
        number,
        Parent(min(survey.epoch, followed_epoch), tree.size, tree.root, tree.block),
        survey.last_act,
        voting,
        receipt_set,
        (),
        wishes.legal_basis,
        min(as_of_ms, wishes.made_at_ms),
        wishes.made_at_ms,
        agreed=choice.agreed,
        ordering=tuple(sorted((name, urls[name]) for name in voting if name in urls)),
        alone=wishes.alone,
        although=wishes.although,
    )


def _urls(fork: Fork, wishes: Wishes) -> Mapping[str, str]:
    """Where members reach each other: by the officers' word, else by governance."""
    known = {name: site.ordering_url for name, site in fork.governance.sites.items() if site.ordering_url}
    return {**known, **dict(wishes.ordering)}


def _survivors_that_may_vote(choice: Choice, fork: Fork, urls: Mapping[str, str]) -> tuple[str, ...]:
    """Survivors that keep the ledger and have, or are told, a place for an ordering member; not those of which only a copy without the site's key is left."""
    sites = fork.governance.sites
    names = [one.site for one in choice.survivors if one.witness.signed]
    return tuple(
        sorted(
            name
            for name in names
            if name in sites and sites[name].ledger and (sites[name].votes or name in urls)
        )
    )


def _check_voting(voting: Sequence[str], fork: Fork, wishes: Wishes) -> None:
    """Raises SentoError PLAN_NOT_FIT."""
    unknown = [name for name in (*voting, *wishes.receipt_sites) if name not in fork.governance.sites]
    if unknown:
        raise _unfit(f"governance knows no site {unknown[0]}")
    if not any(fork.governance.sites[name].ledger for name in voting):
        raise _unfit(
            "no surviving site that keeps the ledger can vote: name one with --voting, and its --ordering URL"
        )
    if len(voting) < 2 and not wishes.alone:
        raise _unfit(
            f"only {', '.join(voting)} would vote: its disk would be the only place of what it acknowledges. "
            "Name two with --voting and --ordering, or say --alone"
        )


def _to_copy(voting: Sequence[str], choice: Choice) -> int:
    """Records that the slowest site of the majority that comes first has to copy before the epoch can acknowledge."""
    held = {one.site: one.survey.extended.size for one in choice.survivors}
    lacking = sorted(max(0, choice.tree.size - held.get(site, 0)) for site in voting)
    return lacking[len(lacking) // 2]


def _unfit(why: str) -> SentoError:
    return SentoError(Code.PLAN_NOT_FIT, why)
