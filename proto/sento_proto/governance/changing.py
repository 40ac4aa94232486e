"""What every change in an act is: read from JSON, put into effect on a governance, said in words.

A change either fits the governance that it meets or raises `Unfit` with the reason; an act of which one change does not fit changes nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Protocol, Self, TypeVar

from sento_proto.governance.parts import Scope
from sento_proto.governance.state import AuthorRights, Governance
from sento_proto.keys import PublicKey
from sento_proto.strict_json import Fields

_K = TypeVar("_K")
_V = TypeVar("_V")


class Unfit(Exception):
    """The change does not fit the governance that it follows. The text says why, in one sentence."""


class NotYetFit(Unfit):
    """The change does not fit yet: it waits for what sites announce."""


class Change(Protocol):
    """One change. `DO` is its name in the act; `RULES` the rules number from which it exists."""

    DO: ClassVar[str]
    RULES: ClassVar[int]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """The change in a JSON object of which `do` was taken. Raises Malformed."""
        ...

    def effect(self, governance: Governance, at: int) -> Governance:
        """The governance after it, in an act at position `at`. Raises Unfit."""
        ...

    def words(self, governance: Governance) -> str:
        """One sentence for people: what holds from then on. `governance` is the one before."""
        ...


def with_entry(mapping: Mapping[_K, _V], key: _K, value: _V) -> dict[_K, _V]:
    """A copy with one entry set."""
    return {**mapping, key: value}


def without(mapping: Mapping[_K, _V], key: _K) -> dict[_K, _V]:
    """A copy without one entry."""
    return {name: value for name, value in mapping.items() if name != key}


def rights_of_author(governance: Governance, author: str) -> AuthorRights:
    """What the author may do. Raises Unfit when there is none of that name."""
    rights = governance.authors.get(author)
    if rights is None:
        raise Unfit(f"{author} is not an author.")
    return rights


def check_scopes(governance: Governance, scopes: tuple[Scope, ...]) -> None:
    """Raises Unfit for a registry that does not exist, for a scope that stands twice, and for none at all."""
    if not scopes:
        raise Unfit("No scope is named.")
    if len(set(scopes)) != len(scopes):
        raise Unfit("A scope stands twice.")
    for scope in scopes:
        if scope.registry not in governance.registries:
            raise Unfit(f"There is no registry {scope.registry}.")


def check_new_key(governance: Governance, key: PublicKey) -> None:
    """A key is enrolled once, for one holder, ever: raises Unfit when it was."""
    key_id = key.key_id
    companions = (
        known.signing.companion.key_id
        for known in governance.author_keys.values()
        if known.signing.companion is not None
    )
    if (
        key_id in governance.author_keys
        or key_id in governance.site_keys_ever
        or key_id in governance.officer_keys_ever
        or key_id in companions
    ):
        raise Unfit(f"The key {key_id.hex()} was enrolled before; keys are never enrolled twice.")


def list_scopes(scopes: tuple[Scope, ...]) -> str:
    """For people."""
    return ", ".join(scope.words for scope in scopes)


def with_rights(governance: Governance, author: str, **fields: object) -> Governance:
    """The governance with some of an author's rights set."""
    rights = rights_of_author(governance, author)._replace(**fields)  # type: ignore[arg-type]  # named by our changes
    return governance.changed(authors=with_entry(governance.authors, author, rights))


def with_reader_scopes(governance: Governance, reader: str, **fields: tuple[Scope, ...]) -> Governance:
    """The governance with a reader's scopes set."""
    entry = replace(governance.readers[reader], **fields)  # type: ignore[arg-type]  # named by our changes
    return governance.changed(readers=with_entry(governance.readers, reader, entry))
