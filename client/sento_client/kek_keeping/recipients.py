"""Who should hold a seal of an author's KEK, by governance: the author itself, each reader of the compartment, and the recovery key in force.

Where governance leaves a compartment to a key agent, the agent alone gets the readers' seal: it unwraps for them, one record at a time.
An institution that may write the same compartment is not among them: who may write must not thereby read what others wrote. Two roles with one key get one
seal. Pure.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from sento_client.recovery.standing import KekScope
from sento_proto.governance.parts import Scope
from sento_proto.governance.state import Governance, covered
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.seal import recipient_key_id, seal_suite_of

OPEN_PART = ""
ANY = "*"


class Role(StrEnum):
    """Why somebody gets a seal."""

    AUTHOR = "author"
    READER = "reader"
    RECOVERY = "recovery key"


class Recipient(NamedTuple):
    """Who gets a seal: an institution's name, or that of a recovery key; its X-Wing or P-256 public key, and the id by which seals name it."""

    role: Role
    name: str
    public_key: bytes
    key_id: bytes

    @property
    def words(self) -> str:
        """For people."""
        return f"recovery key {self.name}" if self.role is Role.RECOVERY else self.name


def recipients_of(
    governance: Governance, author: str, registry: str, compartment: str
) -> tuple[Recipient, ...]:
    """All who should hold a seal of this author's KEK now; nobody for an author that is not enrolled.

    Author and recovery key come first: they are in the first part, so that a maker that dies behind it leaves a KEK that can be opened."""
    rights = governance.authors.get(author)
    if rights is None:
        return ()
    found = [_recipient(Role.AUTHOR, author, rights.seal_key)]
    recovery = governance.recovery_key
    if recovery is not None:
        found.append(_recipient(Role.RECOVERY, recovery.name, recovery.public_key))
    agent = governance.key_agent_of(registry, compartment)
    found += [
        _recipient(Role.READER, reader.name, reader.seal_key)
        for reader in governance.readers.values()
        if covered(reader.may_read, registry, compartment) and agent in (None, reader.name)
    ]
    return tuple({one.key_id: one for one in reversed(found)}.values())[::-1]


def missing(wanted: Sequence[Recipient], sealed_to: Container[bytes]) -> tuple[Recipient, ...]:
    """Those for whom no seal stands. `sealed_to`: recipient key ids."""
    return tuple(one for one in wanted if one.key_id not in sealed_to)


def own_scopes(governance: Governance, author: str, known: Iterable[KekScope]) -> tuple[KekScope, ...]:
    """Every (registry, compartment) that the author may write, in the key epoch to write under now.

    Where it may write any compartment, those are meant for which it has had a KEK, and the open part."""
    rights = governance.authors.get(author)
    if rights is None:
        return ()
    used = [(scope.registry, scope.compartment) for scope in known if scope.author == author]
    pairs: dict[tuple[str, str], None] = {}
    for scope in rights.may_write:
        for compartment in _compartments(scope, used):
            pairs[scope.registry, compartment] = None
    return tuple(
        KekScope(author, registry, compartment, governance.registries[registry].key_epoch)
        for registry, compartment in sorted(pairs)
        if registry in governance.registries and registry not in CLEAR_CONTENT_REGISTRIES
    )


def _compartments(scope: Scope, used: Iterable[tuple[str, str]]) -> list[str]:
    if scope.compartment != ANY:
        return [scope.compartment]
    return [OPEN_PART, *(compartment for registry, compartment in used if registry == scope.registry)]


def _recipient(role: Role, name: str, public_key: bytes) -> Recipient:
    return Recipient(role, name, public_key, recipient_key_id(seal_suite_of(public_key), public_key))
