"""Who may ask what: the rules of a node's service, so that a program's test meets the refusals that the program will meet.

An institution reads what it may read and what it may write. One that may see nothing of a registry is refused its lists; a record of a compartment
that it may only see comes in lists as a header alone, one that it may not even see as a hidden entry. Acts and KEK seals have nothing closed: every
institution may read them.
"""

from __future__ import annotations

from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import Governance
from sento_proto.header import Header
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.submission import decode_submission
from sento_proto.v1 import common_pb2
from sento_proto.wire import Malformed

PURPOSE_MAX_CHARACTERS = 200


class Access:
    """What one institution may ask of a ledger. `institution` None: whoever asks is let through, because somebody else has looked."""

    def __init__(self, governance: Governance, institution: str | None) -> None:
        self._governance = governance
        self._institution = institution

    def may_read(self, registry: str, compartment: str, author: str) -> bool:
        """Whether records of that author from there are given out."""
        if self._institution is None or registry in CLEAR_CONTENT_REGISTRIES:
            return True
        return self._governance.may_read(self._institution, registry, compartment, author)

    def may_see(self, registry: str, compartment: str, author: str) -> bool:
        """Whether headers of that author from there are shown."""
        if self._institution is None or registry in CLEAR_CONTENT_REGISTRIES:
            return True
        return self._governance.may_see(self._institution, registry, compartment, author)

    def is_withheld(self, record_hash: bytes, header: Header, position: int) -> bool:
        """Whether an order says that the payload of the record at this position is to be destroyed."""
        order = self._governance.withheld_by(record_hash, header.registry, header.subject, position)
        return order is not None

    def require_registry(self, registry: str) -> None:
        """Raises SentoError NOT_PERMITTED unless something of the registry may be seen."""
        if self._institution is None or registry in CLEAR_CONTENT_REGISTRIES:
            return
        if all(scope.registry != registry for scope in self._governance.visible(self._institution)):
            raise SentoError(Code.NOT_PERMITTED, "this institution may see nothing of that registry")

    def require_author(self) -> None:
        """Raises SentoError IDENTITY_REFUSED for an institution that only reads."""
        if self._institution is not None and self._institution not in self._governance.authors:
            raise SentoError(Code.IDENTITY_REFUSED, "no author of that name is enrolled")

    def require_own_name(self, author: str) -> None:
        """Raises SentoError IDENTITY_REFUSED when the record asked after is another author's."""
        if self._institution not in (None, author):
            raise SentoError(Code.IDENTITY_REFUSED, "an author asks for the outcomes of its own records")

    def require_own_submission(self, data: bytes) -> None:
        """Raises SentoError IDENTITY_REFUSED for what another author signed. What nobody signed passes: the ledger says what it is."""
        try:
            known = self._governance.author_keys.get(decode_submission(data).author_key_id)
        except Malformed:
            return
        if known is not None and self._institution not in (None, known.author):
            raise SentoError(Code.IDENTITY_REFUSED, "an author submits what it signed itself")


def require_purpose(purpose: common_pb2.Purpose) -> None:
    """Raises SentoError PURPOSE_MISSING or BAD_REQUEST."""
    for words in (purpose.purpose, purpose.case_number):
        if not words.strip():
            raise SentoError(Code.PURPOSE_MISSING)
        if len(words) > PURPOSE_MAX_CHARACTERS:
            raise SentoError(
                Code.BAD_REQUEST, f"purpose and case number have at most {PURPOSE_MAX_CHARACTERS} characters"
            )


def require_bytes(field: str, value: bytes, size: int) -> None:
    """Raises SentoError BAD_REQUEST unless the field has exactly that many bytes."""
    if len(value) != size:
        raise SentoError(Code.BAD_REQUEST, f"{field} must have {size} bytes")
