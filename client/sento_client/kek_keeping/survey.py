"""What `sento keys show`, `make` and `reseal` say of an author's KEKs: which stand, who holds a seal, who should and does not. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from sento_client.kek_keeping.recipients import Recipient, missing, recipients_of
from sento_client.kek_keeping.standing_kek import StandingKek
from sento_client.recovery.standing import KekScope
from sento_proto.governance.state import Governance
from sento_proto.seal import recipient_key_id, seal_suite_of

FORMER_KEY = "a former key"
SITES = "/sites/"
"""What the names of sites as authors begin with; no institution has such a name."""


class KekState(NamedTuple):
    """One KEK: the names of who holds a seal of it, and the recipients that lack one."""

    standing: StandingKek
    sealed_to: tuple[str, ...]
    lacking: tuple[Recipient, ...]

    @property
    def scope(self) -> KekScope:
        """What it is for."""
        return self.standing.scope

    @property
    def only_in_file(self) -> bool:
        """Whether no record of it stands: whoever lacks a seal lacks the key."""
        return not self.standing.next_part

    @property
    def of_site(self) -> bool:
        """Whether a site made it, for what it writes into the read log."""
        return self.scope.author.startswith(SITES)


class Selection(NamedTuple):
    """Which KEKs are meant; None stands for all."""

    author: str | None = None
    registry: str | None = None
    compartment: str | None = None
    key_epoch: int | None = None

    def has(self, scope: KekScope) -> bool:
        """Whether the KEK is meant."""
        return all(wanted in (None, given) for wanted, given in zip(self, scope, strict=True))


def states_of(
    governance: Governance, standing: Iterable[StandingKek], selection: Selection, again: Collection[str] = ()
) -> list[KekState]:
    """The chosen KEKs. Institutions in `again` count as lacking a seal wherever they should hold one."""
    names = _names(governance)
    found = []
    for kek in standing:
        if not selection.has(kek.scope):
            continue
        wanted = recipients_of(governance, kek.scope.author, kek.scope.registry, kek.scope.compartment)
        forced = {one.key_id for one in wanted if one.name in again}
        holders = dict.fromkeys(names.get(key_id, FORMER_KEY) for key_id in kek.seals)
        found.append(KekState(kek, tuple(holders), missing(wanted, kek.seals.keys() - forced)))
    return found


def grants_words(states: Sequence[KekState]) -> list[str]:
    """For each recipient what it will be able to open, said before it is sealed to it: one sentence a recipient, scopes and key epochs in it."""
    epochs: dict[tuple[Recipient, str, str, str], list[int]] = {}
    for state in states:
        author, registry, compartment, key_epoch = state.scope
        for one in state.lacking:
            epochs.setdefault((one, author, registry, compartment), []).append(key_epoch)
    parts: dict[tuple[Recipient, str], list[str]] = {}
    for (one, author, registry, compartment), numbers in epochs.items():
        parts.setdefault((one, author), []).append(part_words(registry, compartment, numbers))
    return [
        f"{one.words} opens all that {author} wrote in {'; in '.join(each)}: nothing finer."
        for (one, author), each in parts.items()
    ]


def part_words(registry: str, compartment: str, key_epochs: Sequence[int]) -> str:
    """`prescription of health in key epochs 1, 2`."""
    part = f"{compartment} of {registry}" if compartment else f"the open part of {registry}"
    numbers = sorted(set(key_epochs))
    return f"{part} in key epoch{'' if len(numbers) == 1 else 's'} {', '.join(map(str, numbers))}"


def _names(governance: Governance) -> dict[bytes, str]:
    keys = [(rights.seal_key, name) for name, rights in governance.authors.items()]
    keys += [(reader.seal_key, name) for name, reader in governance.readers.items()]
    keys += [(known.public_key, f"recovery key {known.name}") for known in governance.recovery_keys]
    return {recipient_key_id(seal_suite_of(public), public): name for public, name in keys}
