"""Officers' acts: what one says, and what it does to the governance it follows.

    content   {"format": "sento-act-1", "reason": "...", "changes": [{"do": "permit", ...}, ...]}

An act is a record in registry `governance` with this JSON in clear, signed by k officers (`submission.py`, format 2). All acts are versions of one fact, so
that each names the one it follows: a replay is KNOWN, and the second of two conflicting acts is STALE. An act's changes hold together or not at all.

`judge_act` is the whole decision behind form and signatures; apply, the client's dry run and every auditor call it with the same arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from sento_proto.errors import Code
from sento_proto.genesis import PLACE_RULES
from sento_proto.governance.author_changes import (
    CloseKey,
    EnrolAuthor,
    EnrolKey,
    GrantBudget,
    RetireKey,
    RevokeKey,
    SetBudget,
    SetPolicy,
)
from sento_proto.governance.changing import Change, NotYetFit, Unfit
from sento_proto.governance.epoch_changes import BeginEpoch
from sento_proto.governance.erasure_changes import CarryOutErasure, Erase, EraseSubject, WithdrawErasure
from sento_proto.governance.gap_changes import SetGap
from sento_proto.governance.ledger_changes import SetRecoveryKey, SetRules, Unlock
from sento_proto.governance.officer_changes import (
    EnrolOfficer,
    RetireOfficer,
    SetDeputy,
    SetThreshold,
    check_officers,
)
from sento_proto.governance.read_log_changes import (
    DelayReadLog,
    EndKeyAgent,
    ReleaseReadLog,
    RequireKeyAgent,
    check_key_agents,
)
from sento_proto.governance.reader_changes import (
    AddRegistry,
    CloseKeyEpoch,
    EnrolReader,
    Permit,
    ReplaceSealKey,
    RevokeReader,
    StartKeyEpoch,
    Withdraw,
    check_lost_readers,
)
from sento_proto.governance.site_changes import EnrolSite, RetireSite, RotateSiteKey, SetReceiptSet
from sento_proto.governance.site_place_changes import EnrolTieBreaker, SetSitePlace, SetSiteVotes
from sento_proto.governance.state import Governance
from sento_proto.header import ZERO16, ZERO32, Header
from sento_proto.keys import verifies
from sento_proto.rules import RULES
from sento_proto.strict_json import Fields, load
from sento_proto.submission import OfficerSignature, act_signed_bytes
from sento_proto.wire import Malformed

FORMAT = "sento-act-1"
REGISTRY = "governance"
KIND = "act"
SUBJECT = hashlib.sha256(b"sento governance").digest()
FACT = SUBJECT[:16]
OFFICERS_AUTHOR = "/officers"
"""Whose record ids acts have; no institution's name has a slash."""
CHANGES_MAX = 64
CHANGES: dict[str, type[Change]] = {
    change.DO: change
    for change in (
        EnrolAuthor, EnrolKey, RetireKey, CloseKey, RevokeKey, Permit, Withdraw, SetBudget, GrantBudget, SetPolicy,
        EnrolReader, RevokeReader, ReplaceSealKey, AddRegistry, StartKeyEpoch, CloseKeyEpoch,
        EnrolSite, RetireSite, RotateSiteKey, SetReceiptSet,
        EnrolOfficer, RetireOfficer, SetDeputy, SetThreshold,
        SetRules, Erase, SetRecoveryKey, Unlock,
        EraseSubject, CarryOutErasure, WithdrawErasure,
        DelayReadLog, ReleaseReadLog, RequireKeyAgent, EndKeyAgent,
        SetSitePlace, SetSiteVotes, EnrolTieBreaker, BeginEpoch, SetGap,
    )
}  # fmt: skip
"""Every change by its name in the act."""


class Act(NamedTuple):
    """What an act says."""

    reason: str
    changes: tuple[Change, ...]


class Judgement(NamedTuple):
    """What an act comes to: the governance after it, or the code and one sentence of why not."""

    code: Code
    why: str
    after: Governance


def decode_act(content: bytes) -> Act:
    """The act in clear content. Raises Malformed with the path of the field."""
    fields = load(content, "act")
    if fields.text("format") != FORMAT:
        raise Malformed(f"act: format must be {FORMAT}")
    act = Act(fields.text("reason"), fields.objects("changes", _read_change))
    fields.end()
    if not act.reason.strip():
        raise Malformed("act: reason must say why")
    if not 1 <= len(act.changes) <= CHANGES_MAX:
        raise Malformed(f"act: 1 to {CHANGES_MAX} changes")
    return act


def _read_change(fields: Fields) -> Change:
    return CHANGES[fields.choice("do", tuple(CHANGES))].read(fields)


def act_header(
    record_id: bytes,
    time_ms: int,
    content: bytes,
    previous: bytes,
    *,
    payload_bytes: int = 0,
    dek_commit: bytes = ZERO32,
) -> Header:
    """The header of an act that follows the act with record hash `previous` (zeros: the first)."""
    return Header(
        record_id=record_id,
        author_key_id=ZERO16,
        time_ms=time_ms,
        key_epoch=0,
        payload_bytes=payload_bytes,
        subject=SUBJECT,
        fact=FACT,
        previous=previous,
        group=ZERO16,
        dek_commit=dek_commit,
        registry=REGISTRY,
        compartment="",
        kind=KIND,
        content=content,
    )


def is_act_header(header: Header) -> bool:
    """Whether the header has every field of an act's where acts have no choice."""
    wanted = act_header(
        header.record_id,
        header.time_ms,
        header.content,
        header.previous,
        payload_bytes=header.payload_bytes,
        dek_commit=header.dek_commit,
    )
    return header == wanted._replace(suite=header.suite)


def act_signatures_refusal(
    governance: Governance, epoch: int, record_hash: bytes, officers: Sequence[OfficerSignature]
) -> Code | None:
    """Why the signatures under an act do not all verify, by keys that officers ever had; None when they do. Whether those are in office now is asked later."""
    message = act_signed_bytes(governance.ledger_id, epoch, record_hash)
    for officer_key_id, signature in officers:
        key = governance.officer_keys_ever.get(officer_key_id)
        if key is None:
            return Code.NOT_AN_OFFICER
        if not verifies(key, signature, message):
            return Code.BAD_SIGNATURE
    return None


def begun_epoch(content: bytes) -> BeginEpoch | None:
    """The change by which an act's content begins an epoch; None for every other act, and for what is not in form."""
    try:
        changes = decode_act(content).changes
    except Malformed:
        return None
    return next((change for change in changes if isinstance(change, BeginEpoch)), None)


def judge_act(
    governance: Governance,
    content: bytes,
    signers: Sequence[bytes],
    at: int,
    opens: int | None = None,
) -> Judgement:
    """What an act at position `at` comes to that names `governance.last_act` as its predecessor and whose signatures verified. `signers`: key ids.

    `opens`: the epoch whose first record this is to be, for which it was signed; None in an epoch that has begun, where no act begins another."""
    offices = [governance.office_of_key(key_id) for key_id in signers]
    if None in offices:
        why = "A signature is of a person who is not in office."
        return Judgement(Code.NOT_AN_OFFICER, why, governance)
    signed, needed = len(set(offices)), governance.officers.threshold
    if signed < needed or not needed:
        why = f"{signed} officers signed and {needed} are needed; an officer and the deputy count once."
        return Judgement(Code.TOO_FEW_OFFICERS, why, governance)
    try:
        act = decode_act(content)
        _check_opening(act, opens)
        return Judgement(Code.ACCEPTED, "", effect_of(governance, act, at))
    except Malformed as error:
        return Judgement(Code.ACT_REFUSED, f"{error}.", governance)
    except NotYetFit as error:
        return Judgement(Code.RULES_NOT_ANNOUNCED, str(error), governance)
    except Unfit as error:
        return Judgement(Code.ACT_REFUSED, str(error), governance)


def _check_opening(act: Act, opens: int | None) -> None:
    """Raises Unfit unless the act begins that epoch, or, in one that has begun, none."""
    begun = [change for change in act.changes if isinstance(change, BeginEpoch)]
    if opens is None and begun:
        raise Unfit(
            "An epoch is begun by the first record of a new ordering log, by a signed plan; no act does it within an epoch."
        )
    if opens is not None and (len(act.changes) != 1 or not begun or begun[0].epoch != opens):
        raise Unfit(f"The first record of epoch {opens} must begin it, and do nothing else.")


def effect_of(governance: Governance, act: Act, at: int) -> Governance:
    """The governance after all changes of an act at position `at`. Raises Unfit."""
    if governance.rules not in RULES:
        raise Unfit(f"The ledger is under rules {governance.rules}, which this release does not know.")
    _check_rules(governance, act)
    after = governance
    for number, change in enumerate(act.changes, 1):
        try:
            after = change.effect(after, at)
        except Unfit as error:
            raise type(error)(f"Change {number} ({change.DO}): {error}") from None
    check_officers(after)
    check_lost_readers(governance, after)
    check_key_agents(after)
    return after


def _check_rules(governance: Governance, act: Act) -> None:
    """Raises Unfit for what is newer than the rules in force. First of all: releases that know no newer rules refuse such an act before they look at any
    change, and must come to the same code."""
    for number, change in enumerate(act.changes, 1):
        exists_from = PLACE_RULES if isinstance(change, EnrolSite) and change.placed else change.RULES
        if governance.rules < exists_from:
            what = "the site's place" if exists_from != change.RULES else change.DO
            raise Unfit(
                f"Change {number} ({what}) exists from rules {exists_from} on; these are rules {governance.rules}."
            )


def with_act(after: Governance, record_hash: bytes, at: int) -> Governance:
    """`after` with the act noted as the newest."""
    return after.changed(acts=after.acts + 1, last_act=record_hash, last_act_at=at)
