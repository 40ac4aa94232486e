"""Who may ask what: the rules of a node's service, so that a program's test meets the refusals that the program will meet.

An institution reads what it may read and what it may write. One that may read nothing of a registry is refused its lists; a record of a compartment
that is closed to it comes in lists as a header alone, and not at all by name.
"""

from __future__ import annotations

from sento_proto.errors import Code, SentoError
from sento_proto.genesis import Genesis, Scope
from sento_proto.submission import decode_submission
from sento_proto.v1 import common_pb2
from sento_proto.wire import Malformed

PURPOSE_MAX_CHARACTERS = 200


class Access:
    """What one institution may ask of a ledger. `institution` None: whoever asks is let through, because somebody else has looked."""

    def __init__(self, genesis: Genesis, institution: str | None) -> None:
        self._institution = institution
        self._author_of_key = {key.key_id: author.name for author in genesis.authors for key in author.keys}
        self._is_author = institution in self._author_of_key.values()
        scopes: list[Scope] = []
        for author in genesis.authors:
            scopes += author.may_write if author.name == institution else ()
        for reader in genesis.readers:
            scopes += reader.may_read if reader.name == institution else ()
        self._scopes = scopes

    def may_read(self, registry: str, compartment: str) -> bool:
        """Whether records from there are given out."""
        return self._institution is None or any(scope.covers(registry, compartment) for scope in self._scopes)

    def require_registry(self, registry: str) -> None:
        """Raises SentoError NOT_PERMITTED unless something of the registry may be read."""
        if self._institution is not None and all(scope.registry != registry for scope in self._scopes):
            raise SentoError(Code.NOT_PERMITTED, "this institution may not read that registry")

    def require_author(self) -> None:
        """Raises SentoError IDENTITY_REFUSED for an institution that only reads."""
        if self._institution is not None and not self._is_author:
            raise SentoError(Code.IDENTITY_REFUSED, "no author of that name is enrolled")

    def require_own_name(self, author: str) -> None:
        """Raises SentoError IDENTITY_REFUSED when the record asked after is another author's."""
        if self._institution not in (None, author):
            raise SentoError(Code.IDENTITY_REFUSED, "an author asks for the outcomes of its own records")

    def require_own_submission(self, data: bytes) -> None:
        """Raises SentoError IDENTITY_REFUSED for what another author signed. What nobody signed passes: the ledger says what it is."""
        try:
            signer = self._author_of_key.get(decode_submission(data).author_key_id, self._institution)
        except Malformed:
            return
        if self._institution not in (None, signer):
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
