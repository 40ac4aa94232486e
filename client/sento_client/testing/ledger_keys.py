"""KEKs of a registry in memory whose officers govern: they stand in its ledger, as everywhere, and a test may open all of them.

The test holds every author's seal key, so it opens what each author could open, and makes an author's KEK where `Registry.put` needs one that nobody made yet.
"""

from __future__ import annotations

from sento_client.kek_keeping.recipients import recipients_of
from sento_client.kek_keeping.seal_records import seal_record_of, sealed_parts
from sento_client.kek_keeping.standing_kek import (
    SealRecord,
    StandingKek,
    open_standing,
    standing_kek,
    subject_of_scope,
)
from sento_client.recovery.standing import KekScope
from sento_client.setup_errors import Setup, SetupError
from sento_client.testing.served import ServedLedger
from sento_client.testing.world import World, derived
from sento_proto.ids import uuid7
from sento_proto.kek_record import REGISTRY
from sento_proto.seal import XWingOpener
from sento_proto.submission import sign_submission


class LedgerKeys:
    """The KEKs in a ledger in memory. Keys made here belong to `key_name`."""

    def __init__(self, world: World, ledger: ServedLedger, key_name: str) -> None:
        self._world = world
        self._ledger = ledger
        self._key_name = key_name

    def standing(self, scope: KekScope) -> StandingKek | None:
        """What the ledger says of a KEK."""
        positions = self._ledger.records_of_subject(REGISTRY, subject_of_scope(scope))
        placed = (self._ledger.records[position] for position in positions)
        return standing_kek(
            scope, (SealRecord(one.position, one.author, one.record.header) for one in placed)
        )

    def kek(self, scope: KekScope) -> bytes:
        """The KEK as its author opens it. Raises SetupError NO_KEK."""
        opener = XWingOpener(self._world.seal_secrets[scope.author])
        opened = open_standing(self._world.ledger_id, self.standing(scope), opener)
        if opened.kek is None:
            raise SetupError(Setup.NO_KEK, scope.words)
        return opened.kek

    def kek_to_write(
        self, author: str, registry: str, compartment: str, time_ms: int
    ) -> tuple[KekScope, bytes]:
        """The KEK of the key epoch in force, made where there is none. Raises SetupError NO_KEK for a registry that governance does not know."""
        state = self._ledger.governance.registries.get(registry)
        if state is None:
            raise SetupError(
                Setup.NO_KEK, f"author {author}, registry {registry}, compartment '{compartment}'"
            )
        scope = KekScope(author, registry, compartment, state.key_epoch)
        if self.standing(scope) is None:
            self._make(scope, time_ms)
        return scope, self.kek(scope)

    def _make(self, scope: KekScope, time_ms: int) -> None:
        kek = derived(self._key_name, "kek", *map(str, scope))
        recipients = recipients_of(self._ledger.governance, scope.author, scope.registry, scope.compartment)
        signer = self._world.author_signers[scope.author]
        for part in sealed_parts(self._world.ledger_id, scope, kek, recipients, 0):
            record_id = uuid7(
                time_ms, derived(self._key_name, "part", *map(str, scope), str(part.part), size=10)
            )
            record = seal_record_of(scope.author, signer.public_key.key_id, record_id, time_ms, part)
            self._ledger.take(sign_submission(self._world.ledger_id, [record], signer))
