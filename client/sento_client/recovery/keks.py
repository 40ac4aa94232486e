"""Opening KEK seals with the recovery key: everything that was asked for either opens to the KEK that its author committed to, or is named.

Nothing is skipped in silence. A seal is bad when it is to another key, for another purpose, altered, opens to another KEK than its commitment, or to a second
KEK under a name that has one already; and a scope with records but without a good seal is missing. The rehearsal asks the same of all scopes, long before it
matters.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from sento_client.recovery.standing import CommittedSeal, KekScope
from sento_proto.kek_seal import kek_commit, open_kek
from sento_proto.seal import SealOpener
from sento_proto.sealing import CannotOpen


class Fault(StrEnum):
    """What is wrong with one scope. Programs compare them."""

    DOES_NOT_OPEN = "does not open"
    OTHER_KEK = "opens to another KEK than the one committed to"
    SECOND_KEK = "a second, different KEK under the same name"
    MISSING = "has records, and no seal for the recovery key opens"


class Tried(NamedTuple):
    """One seal after it was tried: the KEK, or why there is none."""

    scope: KekScope
    kek: bytes | None
    fault: Fault | None
    why: str


class Bad(NamedTuple):
    """One thing to mend, named by whom it concerns."""

    scope: KekScope
    fault: Fault
    why: str

    @property
    def of_seal(self) -> bool:
        """Whether it is about one seal, and not about one that nobody made."""
        return self.fault is not Fault.MISSING

    @property
    def words(self) -> str:
        """For people."""
        return f"{self.scope.words}: {self.fault}{f' ({self.why})' if self.why else ''}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which KEKs are asked for: those of these registries and key epochs; None stands for all."""

    registries: frozenset[str] | None = None
    key_epochs: frozenset[int] | None = None

    def has(self, registry: str, key_epoch: int) -> bool:
        """Whether a scope of this registry and epoch is asked for."""
        return (self.registries is None or registry in self.registries) and (
            self.key_epochs is None or key_epoch in self.key_epochs
        )


@dataclass(frozen=True, slots=True, repr=False)
class OpenedKeks:
    """`keks`: 32 bytes a scope, secret. `bad`: sorted. `tried`: how many seals were opened or found bad."""

    keks: dict[KekScope, bytes] = field(default_factory=dict)
    bad: tuple[Bad, ...] = ()
    tried: int = 0

    def __repr__(self) -> str:
        return f"OpenedKeks({len(self.keks)} KEKs, {len(self.bad)} bad, {self.tried} tried)"


def try_seal(sealed: CommittedSeal, opener: SealOpener) -> Tried:
    """Open one seal and compare what comes out with its commitment. Raises nothing for what stands in the seal."""
    scope = KekScope.of(sealed.name)
    try:
        kek = open_kek(sealed.seal, sealed.name, opener)
    except (CannotOpen, ValueError) as error:
        return Tried(scope, None, Fault.DOES_NOT_OPEN, str(error))
    if not hmac.compare_digest(kek_commit(kek), sealed.commitment):
        return Tried(scope, None, Fault.OTHER_KEK, "")
    return Tried(scope, kek, None, "")


def open_keks(
    seals: Iterable[CommittedSeal],
    opener: SealOpener,
    wanted: Wanted,
    scopes_with_records: Iterable[KekScope] = (),
) -> OpenedKeks:
    """The KEKs of what is wanted, and everything about them that is bad or missing; in this process."""
    chosen = choose(seals, wanted)
    return gather((try_seal(sealed, opener) for sealed in chosen), wanted, scopes_with_records)


def choose(seals: Iterable[CommittedSeal], wanted: Wanted) -> Iterator[CommittedSeal]:
    """The seals that are asked for, in their order."""
    return (sealed for sealed in seals if wanted.has(sealed.name.registry, sealed.name.key_epoch))


def gather(
    tried: Iterable[Tried],
    wanted: Wanted,
    scopes_with_records: Iterable[KekScope],
    *,
    keep: bool = True,
    seen: Callable[[int], None] = lambda count: None,
) -> OpenedKeks:
    """What all that was tried comes to. Without `keep` no KEK is in the result. `seen` is told the count after each seal."""
    keks: dict[KekScope, bytes] = {}
    # The commitment is enough to see a second KEK; a rehearsal holds no more than one KEK at a time.
    commitments: dict[KekScope, bytes] = {}
    bad: list[Bad] = []
    count = 0
    for scope, kek, fault, why in tried:
        count += 1
        seen(count)
        if kek is None:
            bad.append(Bad(scope, fault or Fault.DOES_NOT_OPEN, why))
            continue
        commitment = kek_commit(kek)
        if commitments.setdefault(scope, commitment) != commitment:
            bad.append(Bad(scope, Fault.SECOND_KEK, "the one that stands first was taken"))
        elif keep:
            keks[scope] = kek
    bad += [
        Bad(scope, Fault.MISSING, "")
        for scope in set(scopes_with_records)
        if wanted.has(scope.registry, scope.key_epoch) and scope not in commitments
    ]
    return OpenedKeks(keks, tuple(sorted(bad)), count)
