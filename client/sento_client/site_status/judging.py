"""From what the sites said to one judgement: does writing go on, whose loss would stop it, what may be lost now, and all that is noted.

Fails closed: what this computer does not see does not count as well. A look that may only have met a passing moment (an election, a site lost a second ago, a
record not yet cosigned) says so with `look_again`; the caller looks once more after `SECOND_LOOK_MS` and hands in the first look as `before`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sento_client.site_status import sentence
from sento_client.site_status.between_sites import common_problems, lead_of, old_checkpoint
from sento_client.site_status.one_site import site_problems, takes_records
from sento_client.site_status.problems import Problem, Trouble
from sento_client.site_status.report import HOLDS, SERVING, VOTES, Look, SiteReport, look_at
from sento_client.site_status.sentence import Count, Writing
from sento_client.site_status.survivability import Loss, critical_sites, majority, possible_loss
from sento_proto.genesis import Genesis
from sento_proto.governance.epoch_parts import Gap

SECOND_LOOK_MS = 4_000
"""Longer than an election, the nodes' questions to each other (a second, or three while one is silent) and two checkpoints."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether something that needs a quorum goes on, and the sites whose single loss would stop it."""

    state: Writing
    critical_sites: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """`sentence`: for people, first thing they read. `may_be_lost`: None when it cannot be said from here. `receipts`: whether a quorum of the receipt set
    goes on cosigning. `gaps`: what recoveries left and officers have not closed; they date what is read, and are no problem of a site."""

    look: Look
    sentence: str
    problems: tuple[Problem, ...]
    writing: Writing
    critical_sites: tuple[str, ...]
    may_be_lost: Loss | None
    receipts: Standing
    lead: str | None
    count: Count
    look_again: bool
    gaps: tuple[Gap, ...] = ()

    @property
    def degraded(self) -> bool:
        """Something is not as it should be."""
        return bool(self.problems) or self.writing in (Writing.STOPPED, Writing.UNKNOWN)

    @property
    def reachable(self) -> int:
        """How many sites answered."""
        return self.look.reachable


def judge(
    genesis: Genesis,
    reports: Sequence[SiteReport],
    now_ms: int,
    before: Judgement | None = None,
    gaps: tuple[Gap, ...] = (),
) -> Judgement:
    """What the reports mean. `now_ms`: when the sites were asked, by this computer's clock (ms since 1970). `before`: an earlier judgement to compare with.

    `gaps`: the open ones, as far as governance was followed."""
    look = look_at(genesis, reports, now_ms)
    earlier = None if before is None else before.look
    count = _count(look)
    writing, serving = _writing(look, count)
    receipts = _receipts(look, writing)
    problems = [*site_problems(look, earlier), *common_problems(look)]
    if receipts.state is Writing.STOPPED and writing not in (Writing.STOPPED, Writing.UNKNOWN):
        problems.append(_no_receipts(look))
    elif receipts.state in (Writing.OK, Writing.ONE_LOSS_STOPS):
        problems += old_checkpoint(look, earlier)
    passing = any(problem.may_pass for problem in problems)
    return Judgement(
        look=look,
        sentence=_sentence(look, count, writing, serving, problems=bool(problems)),
        problems=tuple(problems),
        writing=writing,
        critical_sites=critical_sites(count.at_work, count.needed, count.takers)
        if writing is Writing.ONE_LOSS_STOPS
        else (),
        may_be_lost=None if writing is Writing.UNKNOWN else count.loss,
        receipts=receipts,
        lead=lead_of(look),
        count=count,
        look_again=before is None
        and bool(look.answers)
        and (passing or writing in (Writing.STOPPED, Writing.UNKNOWN)),
        gaps=gaps,
    )


def _count(look: Look) -> Count:
    voting = look.genesis.voting_sites
    at_work = look.among(voting, VOTES)
    return Count(
        voting=voting,
        at_work=at_work,
        takers=tuple(
            site for site in at_work if look.keeps_ledger(site) and takes_records(look.answers[site])
        ),
        needed=majority(len(voting)),
        loss=possible_loss(voting, at_work, look.among(voting, HOLDS)),
    )


def _writing(look: Look, count: Count) -> tuple[Writing, tuple[str, ...]]:
    """Whether records are taken; and the sites that serve, each of which heard a majority a moment ago."""
    serving = look.among(count.voting, frozenset({SERVING}))
    if not look.answers:
        return Writing.UNKNOWN, ()
    if not serving:
        return Writing.STOPPED, ()
    if len(count.at_work) < count.needed:
        return Writing.UNKNOWN, serving
    if not count.takers:
        return Writing.STOPPED, serving
    critical = critical_sites(count.at_work, count.needed, count.takers)
    return (Writing.ONE_LOSS_STOPS if critical else Writing.OK), serving


def _sentence(look: Look, count: Count, writing: Writing, serving: tuple[str, ...], *, problems: bool) -> str:
    if not look.answers:
        return sentence.nobody(look)
    if writing is Writing.UNKNOWN:
        return sentence.too_few_seen(count, serving)
    if writing is Writing.STOPPED:
        return sentence.refused_everywhere(count) if serving else sentence.stopped(look, count)
    return sentence.going_on(count, problems=problems)


def _receipts(look: Look, writing: Writing) -> Standing:
    """Checkpoints need a quorum of the receipt set, whatever of it votes."""
    receipt_set = look.genesis.receipt_set
    serving = look.among(receipt_set.sites, frozenset({SERVING}))
    spare = len(serving) - receipt_set.quorum
    if spare < 0:
        return Standing(Writing.UNKNOWN if writing is Writing.UNKNOWN else Writing.STOPPED, ())
    state = Writing.OK if spare else Writing.ONE_LOSS_STOPS
    return Standing(state, critical_sites(serving, receipt_set.quorum))


def _no_receipts(look: Look) -> Problem:
    receipt_set = look.genesis.receipt_set
    serving = look.among(receipt_set.sites, frozenset({SERVING}))
    words = (
        f"No receipts: {len(serving)} of the {len(receipt_set.sites)} sites of the receipt set serve and {receipt_set.quorum} are needed. "
        "What is acknowledged meanwhile stays in outboxes, and the ordering log grows."
    )
    return Problem("", Trouble.NO_RECEIPTS, words)
