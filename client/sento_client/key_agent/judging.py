"""Whether one record's key may be unwrapped for a caller: decided from what the caller hands over, by proofs alone. Pure.

The caller brings the record and the access record that a site wrote before it gave the payload out. The key is unwrapped only when

 1. the access record is a site's own, signed with a key that governance names, of a release (not of a refusal) in the record's registry, about its subject
 2. it stands: its path leads to the root of a checkpoint that a quorum of the receipt set cosigned
 3. it opens with the key that came along, and names this caller, and this record among those released
 4. the record is whole, its author's signature verifies, and it stands in a compartment that governance leaves to this agent
 5. the caller may still read there, and the pair was not used before

So whoever reads here leaves a record under the person's pseudonym for each opening, also with a site bought and with old copies in hand.
"""

from __future__ import annotations

from collections.abc import Container
from typing import NamedTuple

from sento_client.trust import Trust
from sento_client.verifying import Inclusion, Stored, Verdict, check_checkpoint, check_inclusion, check_record
from sento_proto.access_record import (
    COMPARTMENT,
    KIND_DELAYED,
    KIND_RELEASED,
    RELEASED,
    AccessRecord,
    decode_access,
)
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import site_of_author
from sento_proto.header import Header
from sento_proto.identity import Identity
from sento_proto.sealing import CannotOpen, open_with_dek
from sento_proto.wire import Malformed


class Asked(NamedTuple):
    """What a caller hands over: the record, the access record with its key, and the proof that it stands."""

    record: Stored
    access: Stored
    access_dek: bytes
    inclusion: Inclusion
    checkpoint: Checkpoint


class Allowed(NamedTuple):
    """What may be unwrapped: the record's header and author, the access record that is used up by it, and the caller's seal key."""

    header: Header
    author: str
    pair: bytes
    seal_key: bytes


def judge(asked: Asked, caller: Identity, agent: str, trust: Trust, used: Container[bytes]) -> Allowed:
    """What may be unwrapped for `caller`. `used`: pairs already served. Raises SentoError ACCESS_NOT_PROVEN, NOT_PERMITTED, WRONG_LEDGER, DAMAGED."""
    header, author = _checked(asked.record, trust, "record")
    _require_ours(header, agent, trust)
    governance = trust.governance
    if not governance.may_read(caller.name, header.registry, header.compartment, author):
        raise SentoError(Code.NOT_PERMITTED, "this institution may not read that record now")
    access = _standing_access(asked, trust, header)
    if (access.reader, access.role) != (caller.name, caller.role):
        raise _not_proven("the access record names another reader")
    if access.outcome != RELEASED or asked.record.record_hash not in access.records:
        raise _not_proven("the access record does not name this record as released")
    pair = asked.access.record_hash + asked.record.record_hash
    if pair in used:
        raise _not_proven("this access record was used for this record already")
    return Allowed(header, author, pair, _seal_key(caller, trust))


def _standing_access(asked: Asked, trust: Trust, record: Header) -> AccessRecord:
    """The access record's content, after it was shown to be a site's and to stand."""
    header, author = _checked(asked.access, trust, "access record")
    site = site_of_author(author)
    if site is None or header.compartment != COMPARTMENT or header.kind not in (KIND_RELEASED, KIND_DELAYED):
        raise _not_proven("what came as the access record is none of a site's releases")
    if check_checkpoint(asked.checkpoint, trust).verdict is not Verdict.HOLDS:
        raise _not_proven("no quorum of the receipt set cosigned the checkpoint")
    if check_inclusion(asked.access, asked.inclusion, asked.checkpoint).verdict is not Verdict.HOLDS:
        raise _not_proven("the access record is not shown to stand under the checkpoint")
    try:
        content = open_with_dek(asked.access.header_bytes, header, asked.access.payload, dek=asked.access_dek)
        access = decode_access(content)
    except (CannotOpen, Malformed) as error:
        raise _not_proven(f"the access record does not open: {error}") from None
    about = header.subject if header.kind == KIND_RELEASED else access.subject
    if (header.registry, about) != (record.registry, record.subject):
        raise _not_proven("the access record is about somebody else")
    return access


def _checked(stored: Stored, trust: Trust, what: str) -> tuple[Header, str]:
    """Header and author of a record whose hash, payload and signature verify."""
    header, findings = check_record(stored, trust)
    if header is None or not findings.ok:
        raise SentoError(Code.DAMAGED, f"{what}: {findings.why}")
    if not stored.payload:
        raise SentoError(Code.BAD_REQUEST, f"{what}: its payload was not handed over")
    return header, trust.author_name(header.author_key_id)


def _require_ours(header: Header, agent: str, trust: Trust) -> None:
    wanted = trust.governance.key_agent_of(header.registry, header.compartment)
    if wanted != agent:
        whose = "no key agent" if wanted is None else f"key agent {wanted}"
        raise SentoError(Code.NOT_PERMITTED, f"governance leaves that compartment to {whose}")


def _seal_key(caller: Identity, trust: Trust) -> bytes:
    governance = trust.governance
    known = governance.readers.get(caller.name) or governance.authors.get(caller.name)
    if known is None:
        raise SentoError(Code.IDENTITY_REFUSED, "governance knows no institution of that name")
    return known.seal_key


def _not_proven(why: str) -> SentoError:
    return SentoError(Code.ACCESS_NOT_PROVEN, why)
