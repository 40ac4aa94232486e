"""Whose keys are believed: everything that governance says of keys, as far as it was followed. `verifying` asks nothing else of whom to trust. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sento_proto.genesis import Genesis
from sento_proto.governance.acts import OFFICERS_AUTHOR
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.header import ZERO16
from sento_proto.keys import PublicKey
from sento_proto.record_object import signer_of


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose keys are believed: everything that governance says of keys, as far as it was followed."""

    governance: Governance

    @classmethod
    def of(cls, known: Governance | Genesis) -> Trust:
        """Trust in what was followed; in a genesis file: as of position 0."""
        return cls(from_genesis(known) if isinstance(known, Genesis) else known)

    @property
    def ledger_id(self) -> bytes:
        """Which ledger."""
        return self.governance.ledger_id

    def signer(self, key_id: bytes) -> tuple[str, tuple[PublicKey, ...]] | None:
        """Whose key it was at any time, and the keys that sign under it: itself, and its companion. A site is called `/sites/<name>`."""
        return signer_of(self.governance, key_id)

    def author_name(self, key_id: bytes) -> str:
        """The institution or site with that key, `/officers` for the zeros of an act; empty when nobody ever had it."""
        if key_id == ZERO16:
            return OFFICERS_AUTHOR
        signer = self.signer(key_id)
        return "" if signer is None else signer[0]
