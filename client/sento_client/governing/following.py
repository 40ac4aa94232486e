"""From the genesis file and the acts that a site gives out to the governance in force, believing nothing that does not verify.

Each record of registry `governance` must be in form, signed by officers (or a site's own key), follow the one before it, and fit the governance that it meets:
the same decision that every site made. So a site can forge no act, leave none out between two, reorder none, and bring none from another ledger or epoch. It
can only hold back the newest ones; what was once followed is never given up for less.

Pure: values in, values out. Errors are SentoError DAMAGED with the position, or SetupError RULES_UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sento_client.governing.words import change_words
from sento_client.setup_errors import Setup, SetupError
from sento_client.trust import Trust
from sento_client.verifying import Stored, check_record
from sento_proto.errors import Code, SentoError
from sento_proto.genesis import Genesis
from sento_proto.governance.acts import REGISTRY, Act, begun_epoch, decode_act, judge_act, with_act
from sento_proto.governance.site_rules import (
    KIND,
    SiteRules,
    decode_site_rules,
    judge_site_rules,
    site_of_author,
)
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.rules import RULES, RULES_KNOWN


class Step(NamedTuple):
    """One record that changed governance, verified. Either `act` or `announced` is there; `signed_by`: offices by name, or the one site."""

    stored: Stored
    header: Header
    act: Act | None
    announced: SiteRules | None
    signed_by: tuple[str, ...]
    words: tuple[str, ...]
    after: Governance

    @property
    def position(self) -> int:
        """Where it stands."""
        return self.stored.position


@dataclass(frozen=True, slots=True)
class Followed:
    """Governance as far as it was followed. `newest_of_site`: record hash of each site's last announcement."""

    genesis: Genesis
    governance: Governance
    steps: tuple[Step, ...] = ()
    newest_of_site: Mapping[str, bytes] = field(default_factory=dict)

    @classmethod
    def start(cls, genesis: Genesis) -> Followed:
        """As of position 0."""
        return cls(genesis, from_genesis(genesis))

    @property
    def position(self) -> int:
        """Of the newest record followed; -1 before the first."""
        return self.steps[-1].position if self.steps else -1

    @property
    def epoch(self) -> int:
        """The highest epoch that an act was signed for."""
        return max((step.stored.submission.epoch for step in self.steps), default=0)

    @property
    def trust(self) -> Trust:
        """Whose keys are believed."""
        return Trust.of(self.governance)

    def first(self, size: int) -> Followed:
        """What was followed among the ledger's first `size` records."""
        steps = tuple(step for step in self.steps if step.position < size)
        if len(steps) == len(self.steps):
            return self
        newest = {step.signed_by[0]: step.stored.record_hash for step in steps if step.act is None}
        return Followed(self.genesis, self.at(size), steps, newest)

    def at(self, position: int) -> Governance:
        """The governance that judges a record at this position."""
        before = [step.after for step in self.steps if step.position < position]
        return before[-1] if before else from_genesis(self.genesis)


def follow(followed: Followed, given: Iterable[Stored], epoch: int) -> Followed:
    """What was followed, and behind it all that is given, in order. `epoch`: the ledger's now. Raises SentoError DAMAGED, SetupError RULES_UNKNOWN."""
    for stored in given:
        followed = _follow_one(followed, stored, epoch)
    return followed


def _follow_one(followed: Followed, stored: Stored, epoch: int) -> Followed:
    governance, position = followed.governance, stored.position
    if position <= followed.position:
        raise _false(position, f"it does not come behind position {followed.position}")
    rules = RULES.get(governance.rules)
    if rules is None:
        known = ", ".join(map(str, RULES_KNOWN))
        raise SetupError(
            Setup.RULES_UNKNOWN,
            f"rules {governance.rules} since position {followed.position}; known here: {known}",
        )
    if not rules.acts:
        raise _false(position, f"under rules {governance.rules} nothing but the genesis file governs")
    header, findings = check_record(stored, followed.trust)
    if header is None or not findings.ok:
        raise _false(position, findings.why)
    if header.author_key_id == ZERO16:
        step = _judge_act(followed, stored, header, epoch)
        return replace(followed, governance=step.after, steps=(*followed.steps, step))
    step = _judge_announcement(followed, stored, header)
    newest = {**followed.newest_of_site, step.signed_by[0]: stored.record_hash}
    return replace(followed, governance=step.after, steps=(*followed.steps, step), newest_of_site=newest)


def _judge_act(followed: Followed, stored: Stored, header: Header, epoch: int) -> Step:
    governance, position = followed.governance, stored.position
    submission = stored.submission
    if not followed.epoch <= submission.epoch <= epoch:
        raise _false(position, f"the act was signed for epoch {submission.epoch}, which it cannot be of")
    if header.previous != governance.last_act:
        raise _false(
            position,
            f"the act follows {_named(header.previous)}, and the act before it is {_named(governance.last_act)}: "
            "acts were left out, or one of two histories is false",
        )
    signers = [officer.officer_key_id for officer in submission.officers]
    opens = None if begun_epoch(header.content) is None else submission.epoch
    judged = judge_act(governance, header.content, signers, position, opens)
    if judged.code is not Code.ACCEPTED:
        raise _false(position, f"the act never could stand there: {judged.why}")
    act = decode_act(header.content)
    offices = tuple(dict.fromkeys(governance.office_of_key(key_id) or "" for key_id in signers))
    return Step(
        stored,
        header,
        act,
        None,
        offices,
        change_words(governance, act, position),
        with_act(judged.after, stored.record_hash, position).next_block,
    )


def _judge_announcement(followed: Followed, stored: Stored, header: Header) -> Step:
    governance, position = followed.governance, stored.position
    site = site_of_author(followed.trust.author_name(header.author_key_id))
    if site is None or (header.registry, header.kind) != (REGISTRY, KIND):
        raise _false(position, "it is neither an act of officers nor a site's announcement")
    if header.previous != followed.newest_of_site.get(site, ZERO32):
        raise _false(position, f"an announcement of {site} was left out before it")
    refusal, after = judge_site_rules(governance, site, header)
    if refusal is not None:
        raise _false(position, f"the announcement of {site} never could stand there ({refusal.name})")
    announced = decode_site_rules(header.content)
    rules = ", ".join(map(str, announced.rules))
    words = f"{site} announces release {announced.release}, which knows rules {rules}."
    return Step(stored, header, None, announced, (site,), (words,), after)


def _named(record_hash: bytes) -> str:
    return "no act" if record_hash == ZERO32 else f"act {record_hash.hex()[:16]}"


def _false(position: int, why: str) -> SentoError:
    return SentoError(Code.DAMAGED, f"governance at position {position}: {why}")
