"""Changes to the ledger itself: the rules number, recovery keys and their use.

An unlocking changes nobody's permission: it stands so that everybody can see who opened what, and why. Shares of a recovery key are in the act's payload,
sealed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from sento_proto.governance.changing import NotYetFit, Unfit
from sento_proto.governance.parts import SEAL_KEY_BYTES, read_seal_key
from sento_proto.governance.state import Governance, RecoveryKey
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.strict_json import Fields

U32_MAX = 2**32 - 1
SHARES_MAX = 16
CEREMONY_BYTES = 16
HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class SetRules:
    """Blocks are applied by other rules, from the next block on."""

    DO: ClassVar[str] = "set-rules"
    RULES: ClassVar[int] = 2
    rules: int

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.number("rules", 1, U32_MAX))

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.rules <= governance.agreed_rules:
            raise Unfit(f"The ledger is under rules {governance.agreed_rules}; they are only ever raised.")
        late = [
            name
            for name in governance.receipt_set.sites
            if self.rules not in governance.site_rules.get(name, frozenset())
        ]
        if late:
            raise NotYetFit(
                f"{', '.join(late)} has not announced that it knows rules {self.rules}; install a release there that does."
            )
        return governance.changed(next_rules=self.rules)

    def words(self, governance: Governance) -> str:
        return (
            f"From the next block on, rules {self.rules} are in force instead of {governance.rules}; "
            "a site whose release does not know them stops before that block and says so."
        )


@dataclass(frozen=True, slots=True)
class SetRecoveryKey:
    """Keys are sealed to this recovery key from now on; `shares`: index, whose it is, and its commitment."""

    DO: ClassVar[str] = "set-recovery-key"
    RULES: ClassVar[int] = 2
    name: str
    public_key: bytes
    threshold: int
    ceremony: bytes
    shares: tuple[tuple[int, str, bytes], ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(
            fields.text("name"),
            read_seal_key(fields, "public_key"),
            fields.number("threshold", 1, SHARES_MAX),
            fields.hex("ceremony", CEREMONY_BYTES),
            fields.objects("shares", _read_share),
        )

    def effect(self, governance: Governance, at: int) -> Governance:
        if SEAL_KEY_BYTES[len(self.public_key)] != "X-Wing":
            raise Unfit("A recovery key is an X-Wing key: it must stay closed for decades.")
        if any(known.name == self.name for known in governance.recovery_keys):
            raise Unfit(f"There is a recovery key {self.name} already.")
        indexes = [index for index, _, _ in self.shares]
        if indexes != list(range(1, len(indexes) + 1)):
            raise Unfit("Shares are numbered 1, 2, 3 and so on.")
        if not len(indexes) // 2 < self.threshold <= len(indexes):
            raise Unfit("More than half of the shares must be needed, and no more than all.")
        for _, officer, _ in self.shares:
            if officer not in governance.officers.people:
                raise Unfit(f"{officer} is not an officer.")
        if len({officer for _, officer, _ in self.shares}) != len(self.shares):
            raise Unfit("One officer has two shares.")
        commitments = {index: (officer, commitment) for index, officer, commitment in self.shares}
        key = RecoveryKey(self.name, self.public_key, self.threshold, self.ceremony, commitments, at)
        return governance.changed(recovery_keys=(*governance.recovery_keys, key))

    def words(self, governance: Governance) -> str:
        return (
            f"Authors seal their keys to recovery key {self.name}, which opens with {self.threshold} of {len(self.shares)} shares; "
            "authors must seal the keys they have to it too (sento keys reseal)."
        )


def _read_share(fields: Fields) -> tuple[int, str, bytes]:
    return fields.number("index", 1, SHARES_MAX), fields.text("officer"), fields.hex("commitment", HASH_BYTES)


@dataclass(frozen=True, slots=True)
class Unlock:
    """Officers open keys of named registries and key epochs with a recovery key. Nobody's permission changes."""

    DO: ClassVar[str] = "unlock"
    RULES: ClassVar[int] = 2
    registries: tuple[str, ...]
    key_epochs: tuple[int, ...]
    recovery_key: str
    officers: tuple[str, ...]
    reason: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(
            fields.names("registries"),
            fields.numbers("key_epochs", 1, U32_MAX),
            fields.text("recovery_key"),
            fields.texts("officers"),
            fields.text("reason"),
        )

    def effect(self, governance: Governance, at: int) -> Governance:
        if not self.registries or not self.key_epochs or not self.reason.strip():
            raise Unfit("An unlocking names registries, key epochs and a reason.")
        for registry in self.registries:
            if registry not in governance.registries or registry in CLEAR_CONTENT_REGISTRIES:
                raise Unfit(f"There is no registry {registry} with keys to open.")
        key = next((known for known in governance.recovery_keys if known.name == self.recovery_key), None)
        if key is None:
            raise Unfit(f"There is no recovery key {self.recovery_key}.")
        holders = {officer for officer, _ in key.commitments.values()}
        for officer in self.officers:
            if officer not in holders:
                raise Unfit(f"{officer} holds no share of recovery key {self.recovery_key}.")
        if len(set(self.officers)) < key.threshold:
            raise Unfit(
                f"{key.threshold} holders of shares are needed, and {len(set(self.officers))} are named."
            )
        return governance

    def words(self, governance: Governance) -> str:
        epochs = ", ".join(str(epoch) for epoch in self.key_epochs)
        return (
            f"{', '.join(self.officers)} open the keys of {', '.join(self.registries)}, key epochs {epochs}, "
            f"with recovery key {self.recovery_key}, because: {self.reason}"
        )
