"""The ceremony: each author makes its KEKs and seals them to those who may open them, the author first.

One KEK for each (author, registry, compartment, key epoch): who may write a compartment must not thereby read what another author wrote in it.
A seal is bound to the ledger id, so the ceremony comes after the genesis file is fixed byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping

from sento_client.keyfiles import SealedKek
from sento_drill.keys import DevelopmentKeys, Entropy
from sento_drill.plan import FIRST_KEY_EPOCH, AuthorPlan, WorldPlan
from sento_proto.genesis import Scope
from sento_proto.kek_seal import KekName, seal_kek
from sento_proto.sealing import KEK_BYTES

SealsOf = Mapping[str, list[SealedKek]]
"""Institution -> the seals made to it."""


def seal_keks(plan: WorldPlan, keys: DevelopmentKeys, ledger_id: bytes, entropy: Entropy) -> SealsOf:
    """All seals of the first key epoch, by recipient. The KEKs are forgotten: each recipient opens its seal when it needs the key."""
    seals: dict[str, list[SealedKek]] = {institution: [] for institution in keys.seal_secrets}
    for author in plan.authors:
        for scope in author.keks:
            kek = entropy(KEK_BYTES)
            name = KekName(ledger_id, author.name, scope.registry, scope.compartment, FIRST_KEY_EPOCH)
            for recipient in recipients_of(plan, author, scope):
                seal = seal_kek(kek, name, keys.seal_public(recipient))
                seals[recipient].append(
                    SealedKek(author.name, scope.registry, scope.compartment, FIRST_KEY_EPOCH, seal)
                )
    return seals


def recipients_of(plan: WorldPlan, author: AuthorPlan, scope: Scope) -> tuple[str, ...]:
    """Who opens what `author` writes in that scope: the author and each reader whom the plan lets open it."""
    readers = (reader.name for reader in plan.readers if reader.opens_scope(scope))
    return tuple(dict.fromkeys((author.name, *readers)))
