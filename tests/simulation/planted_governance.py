"""Planted bugs in what officers decide: each is product code with one thing wrong about acts, keys, epochs, budgets or rules numbers.

`planted.py` has the others and the table. Where the wrong thing is a function, it is put in its place only while a site decides (`_Site`); where it is an
answer of governance, a life begins with a governance that answers so.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar
from unittest import mock

from tests.simulation.hooks import Hooks

from sento_node.ledger import apply, judging
from sento_node.ledger.adopt import OfferedBlock
from sento_node.ledger.results import RecordOutcome
from sento_node.ledger.scratch import Place, Scratch
from sento_node.ordering.port import OrderedBlock
from sento_node.site import Effect, Site
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code
from sento_proto.governance.acts import OFFICERS_AUTHOR, Judgement, decode_act, effect_of, judge_act, with_act
from sento_proto.governance.changing import Unfit
from sento_proto.governance.ledger_changes import SetRules
from sento_proto.governance.parts import Budget
from sento_proto.governance.site_keys import ReceiptQuorum
from sento_proto.governance.state import Governance
from sento_proto.header import Header
from sento_proto.keys import PublicKey
from sento_proto.record import Record
from sento_proto.submission import Submission, author_signatures_hold
from sento_proto.wire import Malformed

Wrong = Mapping[str, Callable[..., object]]


class _Site(Site):
    """A site that decides with some functions replaced."""

    WRONG: ClassVar[Wrong] = {}

    def wrong(self) -> Wrong:
        """What is replaced, by its dotted name."""
        return self.WRONG

    def _deciding(self) -> contextlib.ExitStack:
        patches = contextlib.ExitStack()
        for target, function in self.wrong().items():
            patches.enter_context(mock.patch(target, function))
        return patches

    def submit(self, ticket: int, data: bytes, now_s: int, *, opens: bool = False) -> list[Effect]:
        with self._deciding():
            return super().submit(ticket, data, now_s, opens=opens)

    def ordered(self, block: OrderedBlock, now_ms: int) -> list[Effect]:
        with self._deciding():
            return super().ordered(block, now_ms)

    def adopt(self, blocks: Sequence[OfferedBlock], checkpoint: Checkpoint, now_ms: int) -> list[Effect]:
        with self._deciding():
            return super().adopt(blocks, checkpoint, now_ms)


class _Replaced(Hooks):
    """Every life decides with this site."""

    SITE: ClassVar[type[_Site]] = _Site

    def composed(self, site: Site) -> None:
        site.__class__ = self.SITE


class _Answering(Hooks):
    """Every life begins with a governance of this kind."""

    GOVERNANCE: ClassVar[type[Governance]] = Governance

    def composed(self, site: Site) -> None:
        held = site.state.governance
        fields = {field.name: getattr(held, field.name) for field in dataclasses.fields(held)}
        site.state.governance = self.GOVERNANCE(**fields)


def _judged_anyway(judged: Judgement, governance: Governance, content: bytes, at: int) -> Judgement:
    try:
        return Judgement(Code.ACCEPTED, "", effect_of(governance, decode_act(content), at))
    except (Unfit, Malformed):
        return judged


def _each_signature(
    governance: Governance, content: bytes, signers: Sequence[bytes], at: int, opens: int | None = None
) -> Judgement:
    judged = judge_act(governance, content, signers, at, opens)
    enough = judged.code is Code.TOO_FEW_OFFICERS and len(signers) >= governance.officers.threshold
    return _judged_anyway(judged, governance, content, at) if enough else judged


class _Deputies(_Site):
    WRONG: ClassVar[Wrong] = {"sento_node.ledger.judging.judge_act": _each_signature}


class DeputyCounted(_Replaced):
    """counts an officer's deputy beside the officer"""

    SITE = _Deputies


def _ever_in_office(
    governance: Governance, content: bytes, signers: Sequence[bytes], at: int, opens: int | None = None
) -> Judgement:
    judged = judge_act(governance, content, signers, at, opens)
    return _judged_anyway(judged, governance, content, at) if judged.code is Code.NOT_AN_OFFICER else judged


class _Retired(_Site):
    WRONG: ClassVar[Wrong] = {"sento_node.ledger.judging.judge_act": _ever_in_office}


class RetiredOfficerCounts(_Replaced):
    """lets officers sign who have left office"""

    SITE = _Retired


_apply_record = apply._apply_record


def _again(scratch: Scratch, place: Place, record: Record) -> RecordOutcome:
    outcome = _apply_record(scratch, place, record)
    if outcome.code is Code.KNOWN and place.author == OFFICERS_AUTHOR:
        with contextlib.suppress(Unfit):
            at = scratch.next_position
            after = effect_of(scratch.governance, decode_act(record.header.content), at)
            scratch.governance = with_act(after, record.record_hash, at)
    return outcome


class _Replaying(_Site):
    WRONG: ClassVar[Wrong] = {"sento_node.ledger.apply._apply_record": _again}


class ActReplayedCounts(_Replaced):
    """does what an act says once more when its bytes come again"""

    SITE = _Replaying


_permission_refusal = judging.permission_refusal


def _any_key(governance: Governance, author: str, header: Header) -> Code | None:
    refusal = _permission_refusal(governance, author, header)
    if refusal is not Code.KEY_ENDED:
        return refusal
    return None if governance.may_write(author, header.registry, header.compartment) else Code.NOT_PERMITTED


class _Lenient(_Site):
    WRONG: ClassVar[Wrong] = {"sento_node.ledger.judging.permission_refusal": _any_key}


class RevokedKeyAccepted(_Replaced):
    """takes records under keys that officers ended"""

    SITE = _Lenient


class _AnyEpoch(Governance):
    def key_epoch_refusal(self, registry: str, key_epoch: int) -> Code | None:
        return None


class KeyEpochNotChecked(_Answering):
    """takes records under every key epoch"""

    GOVERNANCE = _AnyEpoch


class GovernanceForgottenAtRestart(Hooks):
    """begins each life with what the genesis file says"""

    def __init__(self) -> None:
        self._genesis: Governance | None = None

    def composed(self, site: Site) -> None:
        self._genesis = self._genesis or site.state.governance
        site.state.governance = self._genesis


class _NextBlock(_Site):
    def wrong(self) -> Wrong:
        start = self.state.governance

        def as_of_start(governance: Governance, author: str, header: Header) -> Code | None:
            known = author in start.authors and header.author_key_id in start.author_keys
            return _permission_refusal(start, author, header) if known else Code.NOT_PERMITTED

        return {"sento_node.ledger.judging.permission_refusal": as_of_start}


class ActHoldsFromTheNextBlock(_Replaced):
    """lets an act hold only for blocks behind its own"""

    SITE = _NextBlock


def _as_before(scratch: Scratch, *other: object) -> Governance:
    return scratch.governance


class _Copying(_Site):
    WRONG: ClassVar[Wrong] = {"sento_node.ledger.adopt._prove_governance": _as_before}


class AdoptedActsWithoutEffect(_Replaced):
    """takes over acts from another site's ledger and does not do what they say"""

    SITE = _Copying


class _Generous(Governance):
    def budget(self, author: str, position: int) -> Budget:
        grant = self.grants.get(author)
        return super().budget(author, position if grant is None else grant.window_start)


class GrantLastsForEver(_Answering):
    """does not let what officers granted end with its window"""

    GOVERNANCE = _Generous


def _at_once(change: SetRules, governance: Governance, at: int) -> Governance:
    after = _set_rules(change, governance, at)
    return after.next_block


_set_rules = SetRules.effect


class _Hasty(_Site):
    WRONG: ClassVar[Wrong] = {"sento_proto.governance.ledger_changes.SetRules.effect": _at_once}


class RulesWithinTheBlock(_Replaced):
    """goes on by the new rules in the block that holds the act"""

    SITE = _Hasty


def _one_is_enough(submission: Submission, keys: Sequence[PublicKey]) -> bool:
    return author_signatures_hold(submission, keys) or author_signatures_hold(submission, keys[:1])


class _Stripping(_Site):
    WRONG: ClassVar[Wrong] = {"sento_node.ledger.verified.author_signatures_hold": _one_is_enough}


class CompanionNotAskedFor(_Replaced):
    """takes a submission without the signature of its key's companion"""

    SITE = _Stripping


class _Present(Governance):
    def receipt_quorum_at(self, size: int) -> ReceiptQuorum:
        return self.receipt_quorums[-1]


class PresentReceiptSetForAll(_Answering):
    """judges every checkpoint by the receipt set of today"""

    GOVERNANCE = _Present
