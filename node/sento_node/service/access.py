"""Who may call what: a caller's role against the method, decided before the method does anything.

    Registry.Write                     authors, for themselves
    Registry reads                     authors and readers: headers of what governance lets them see, payloads of what it lets them read; operators see none
    Registry.Proof, Checkpoint         any of ours
    Governance.SubmitAct, Usage        officers and operators
    Governance.Acts                    any of ours
    Admin                              operators and sites
    Sync                               sites; Plan and FetchChunk, by which copies are made, operators too

Requests for records carry a purpose and a case number; a request without either is refused. A connection outlives no certificate: once the caller's has ended,
every further call and every further submission on an open stream is refused, and a stream that follows ends.
"""

from __future__ import annotations

from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.header import Header
from sento_proto.identity import Identity
from sento_proto.keys import KEY_ID_BYTES
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.submission import LEDGER_ID_BYTES
from sento_proto.v1 import common_pb2

PURPOSE_MAX_CHARACTERS = 200
_AUTHOR_KEY_ID = slice(1 + LEDGER_ID_BYTES, 1 + LEDGER_ID_BYTES + KEY_ID_BYTES)
"""Where a submission names its author's key; an act has other bytes there, which no author's key has for its id."""


def require_role(caller: Identity | None, *roles: str) -> Identity:
    """The caller, if it has one of the roles. Raises SentoError IDENTITY_REFUSED."""
    if caller is None:
        raise SentoError(Code.IDENTITY_REFUSED, "the certificate carries no Sento identity")
    if caller.role not in roles:
        raise SentoError(Code.IDENTITY_REFUSED, f"role {caller.role} is not one of {', '.join(roles)}")
    return caller


def require_unexpired(end_s: int | None, now_ms: int) -> None:
    """Raises SentoError IDENTITY_EXPIRED when the caller's certificate, which holds through the second `end_s`, has ended by the site's clock."""
    if end_s is not None and now_ms >= (end_s + 1) * 1000:
        raise SentoError(
            Code.IDENTITY_EXPIRED, f"it ended {now_ms // 1000 - end_s} s ago by this site's clock"
        )


def require_author(caller: Identity, governance: Governance) -> str:
    """The author's name, if governance knows it. Raises SentoError IDENTITY_REFUSED."""
    if caller.name not in governance.authors:
        raise SentoError(Code.IDENTITY_REFUSED, "no author of that name is enrolled")
    return caller.name


def require_own(author: str, submission: bytes, governance: Governance) -> None:
    """Raises SentoError IDENTITY_REFUSED for a submission that another author signed. One by nobody we know passes: ingress says what it is."""
    known = governance.author_keys.get(submission[_AUTHOR_KEY_ID])
    if known is not None and known.author != author:
        raise SentoError(Code.IDENTITY_REFUSED, "an author submits what it signed itself")


def require_bytes(field: str, value: bytes, size: int) -> None:
    """Raises SentoError BAD_REQUEST unless the field has exactly that many bytes."""
    if len(value) != size:
        raise SentoError(Code.BAD_REQUEST, f"{field} must have {size} bytes")


def require_purpose(purpose: common_pb2.Purpose) -> None:
    """Raises SentoError PURPOSE_MISSING or BAD_REQUEST."""
    if not purpose.purpose.strip() or not purpose.case_number.strip():
        raise SentoError(Code.PURPOSE_MISSING)
    if max(len(purpose.purpose), len(purpose.case_number)) > PURPOSE_MAX_CHARACTERS:
        raise SentoError(
            Code.BAD_REQUEST, f"purpose and case number have at most {PURPOSE_MAX_CHARACTERS} characters"
        )


def may_read(caller: Identity, governance: Governance, header: Header, author: str) -> bool:
    """Whether the payload of a record by `author` may be released to this caller. What has no payload, acts and seals, anybody enrolled may read."""
    return header.registry in CLEAR_CONTENT_REGISTRIES or governance.may_read(
        caller.name, header.registry, header.compartment, author
    )


def may_see(caller: Identity, governance: Governance, header: Header, author: str) -> bool:
    """Whether the header of a record by `author` may be shown to this caller."""
    return header.registry in CLEAR_CONTENT_REGISTRIES or governance.may_see(
        caller.name, header.registry, header.compartment, author
    )


def require_registry(caller: Identity, governance: Governance, registry: str) -> None:
    """Raises SentoError NOT_PERMITTED unless the caller may see something of the registry; what it may not read there is withheld record by record."""
    scopes = governance.visible(caller.name)
    if registry not in CLEAR_CONTENT_REGISTRIES and not any(scope.registry == registry for scope in scopes):
        raise SentoError(Code.NOT_PERMITTED, "this institution may see nothing of that registry")
