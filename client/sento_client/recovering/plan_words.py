"""The plan in plain sentences, which are part of what is signed: what is kept, what may be lost, who votes, who may sign, how long it takes. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sento_client.recovering.choosing import Choice
from sento_client.recovering.collected import Known
from sento_client.recovering.evidence import moment
from sento_client.recovering.forking import Fork
from sento_client.site_status.wording import counted, listed
from sento_proto.epoch_plan import EpochPlan
from sento_proto.governance.parts import Officers

NOT_NAMED = "registry not known here"


class PlanFacts(NamedTuple):
    """What the words are made of. `again`: sentences on lost acts; `majority`: who answers all the same, in words, empty where none does."""

    draft: EpochPlan
    choice: Choice
    fork: Fork
    missing: Sequence[Known]
    again: Sequence[str]
    takes_s: int
    majority: str


def plan_words(facts: PlanFacts) -> tuple[str, ...]:
    """The sentences, in the order in which they are read aloud."""
    return (
        *_kept(facts),
        *_lost(facts),
        *_acts(facts),
        *_goes_on(facts),
        *_who(facts.fork.governance.officers),
        f"From the last signature to the first acknowledgement: about {facts.takes_s} s, where the sites named answer.",
    )


def _kept(facts: PlanFacts) -> list[str]:
    draft, choice = facts.draft, facts.choice
    parent, agreed = draft.parent, choice.agreed
    words = [
        f"Epoch {draft.epoch} keeps the first {parent.size} records of epoch {parent.epoch}, as {choice.best.site} holds them."
    ]
    if agreed is None:
        words.append("No quorum is known to have cosigned any of them: they stand by this site's word alone.")
    else:
        words.append(
            f"The first {agreed.size} of them a quorum had cosigned, the last time at {moment(draft.as_of_ms)}; "
            f"{parent.size - agreed.size} behind them rest on that site's ledger and ordering log."
        )
    if choice.best.site not in draft.voting:
        words.append(
            f"{choice.best.site} does not vote: it must run in the new epoch with this very disk until {listed(draft.voting)} copied from it."
        )
    return [*words, *choice.notes, *(f"Besides: {one}" for one in choice.alternatives)]


def _lost(facts: PlanFacts) -> list[str]:
    size, known = facts.draft.parent.size, facts.choice.quorum_size
    words = [
        "What was acknowledged behind them and stands at no survivor may be lost. Receipts, outboxes and the old sites, if they come back, say what it was.",
        f"Until officers close this gap, what stands below the fork is shown as of {moment(facts.draft.as_of_ms)}.",
    ]
    if known > size:
        words.append(f"A quorum had cosigned {known} records: at least {known - size} of them are not kept.")
    if not facts.missing:
        words.append("No record behind the fork is known here from receipts or outboxes.")
        return words
    waits = sum(one.waits for one in facts.missing)
    parts = listed([f"{count} in {name}" for name, count in by_registry(facts.missing)])
    words.append(
        f"{counted(len(facts.missing), 'record')} known from receipts or outboxes {_are(facts.missing)} not among them: {parts}. "
        f"{waits} of them wait in outboxes and are sent again by themselves."
    )
    return words


def by_registry(known: Iterable[Known]) -> list[tuple[str, int]]:
    """How many in each registry, by name."""
    return sorted(Counter(one.registry or NOT_NAMED for one in known).items())


def _are(known: Sequence[Known]) -> str:
    return "is" if len(known) == 1 else "are"


def _acts(facts: PlanFacts) -> list[str]:
    fork = facts.fork
    if fork.followed_to is not None:
        return [
            f"This computer followed governance up to position {fork.followed_to}; the state taken has newer acts, by which the sites judge this plan anew."
        ]
    if not fork.lost:
        return ["No officers' act behind the fork is known here."]
    return [f"{counted(len(fork.lost), 'act')} of officers behind the fork were known here:", *facts.again]


def _goes_on(facts: PlanFacts) -> list[str]:
    draft = facts.draft
    counted_sites = draft.receipt_set
    words = [
        f"{listed(draft.voting)} {'votes' if len(draft.voting) == 1 else 'vote'}; a receipt needs {counted_sites.quorum} of {', '.join(counted_sites.sites)}.",
        "Until the old sites meet the new epoch, both sides may acknowledge.",
        "What the old side acknowledges after the fork is set aside when it comes back, and offered again once.",
    ]
    if draft.alone and len(draft.voting) == 1:
        words.append(
            "ONE site alone votes: until a second one does, its disk is the only place of what it acknowledges."
        )
    if draft.although:
        against = f", although {facts.majority}" if facts.majority else ""
        words.append(f"It is carried out{against}. The reason given: {draft.although}")
    return words


def _who(officers: Officers) -> list[str]:
    offices = [
        name if officer.deputy is None else f"{name} (deputy: {officer.deputy.name})"
        for name, officer in officers.people.items()
    ]
    return [
        f"{officers.threshold} of these {len(offices)} offices must sign, the officer or the deputy: {', '.join(offices)}."
    ]
