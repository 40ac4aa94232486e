"""What a ledger says about recovery, gathered record by record from whoever reads it and has verified it: a `Standing` and its `SealSource`.

    act in registry `governance`   set-recovery-key -> a ceremony with its payload, unlock -> an act that stands
    kek-seals in registry `keys`   the seals that are to one of the recovery keys, and the scope that the author has a KEK for
    any other record               the scope that it was sealed under

Only acts that stand are to be given: this does not judge them. A seal says to which key it is by its recipient's key id; one that an author meant for the
recovery key and made to another one cannot be told from a reader's, so it shows as a scope without a seal that opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sento_client.recovery.standing import (
    CommittedSeal,
    KekScope,
    StandingCeremony,
    UnlockAct,
    ceremony_of_change,
    check_payload,
)
from sento_proto.governance.acts import decode_act
from sento_proto.governance.ledger_changes import SetRecoveryKey, Unlock
from sento_proto.header import Header
from sento_proto.kek_record import KIND, REGISTRY, decode_kek_seals
from sento_proto.kek_seal import KekName
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.recovery import RecoveryPayload, decode_payload
from sento_proto.seal import SealSuite, recipient_key_id
from sento_proto.wire import Malformed

_RECIPIENT = slice(2, 18)
"""Where a seal names its recipient."""


class LedgerView:
    """One ledger, as far as it was given. Records may come in any order but acts in theirs."""

    def __init__(self, ledger_id: bytes, ledger_name: str) -> None:
        self._ledger_id = ledger_id
        self._ledger_name = ledger_name
        self._ceremonies: list[StandingCeremony] = []
        self._unlock_acts: list[UnlockAct] = []
        self._seals: dict[bytes, list[CommittedSeal]] = {}
        self._scopes: dict[KekScope, None] = {}

    @property
    def ledger_id(self) -> bytes:
        """32 bytes."""
        return self._ledger_id

    @property
    def ledger_name(self) -> str:
        """The genesis file's name for people."""
        return self._ledger_name

    @property
    def seal_source(self) -> LedgerView:
        """This view."""
        return self

    def ceremonies(self) -> Sequence[StandingCeremony]:
        """Oldest first."""
        return self._ceremonies

    def unlock_acts(self) -> Sequence[UnlockAct]:
        """Those that stand, oldest first."""
        return self._unlock_acts

    def scopes_with_records(self) -> Iterable[KekScope]:
        """Every scope with a record or a KEK of its author."""
        return self._scopes

    def seals(self, recovery_public: bytes) -> Iterator[CommittedSeal]:
        """The seals that are to this key."""
        return iter(self._seals.get(recipient_key_id(SealSuite.XWING, recovery_public), ()))

    def take_act(self, position: int, content: bytes, payload: bytes) -> None:
        """An act that stands, by its clear content. Raises Malformed when the content is no act, which no standing one's is.

        A payload that is no recovery payload leaves the ceremony without sealed shares: the act stands, and shares on paper still work."""
        for change in decode_act(content).changes:
            if isinstance(change, Unlock):
                self._unlock_acts.append(UnlockAct(change, position))
            elif isinstance(change, SetRecoveryKey):
                ceremony = ceremony_of_change(change)
                try:
                    sealed = decode_payload(payload)
                    check_payload(ceremony, sealed)
                except Malformed:
                    sealed = RecoveryPayload(ceremony.ceremony_id, ())
                self._ceremonies.append(StandingCeremony(ceremony, sealed))

    def take_record(self, author: str, header: Header) -> None:
        """A record of an author that stands; acts have a door of their own. Raises Malformed for KEK seals that are not in their form."""
        if header.registry == REGISTRY and header.kind == KIND:
            self._take_seals(author, header)
        elif header.registry not in CLEAR_CONTENT_REGISTRIES and header.payload_bytes:
            self._scopes[KekScope(author, header.registry, header.compartment, header.key_epoch)] = None

    def _take_seals(self, author: str, header: Header) -> None:
        found = decode_kek_seals(header.content)
        name = KekName(self._ledger_id, author, found.registry, found.compartment, found.key_epoch)
        self._scopes[KekScope.of(name)] = None
        for sealed in found.seals:
            self._seals.setdefault(sealed[_RECIPIENT], []).append(
                CommittedSeal(name, found.commitment, sealed)
            )
