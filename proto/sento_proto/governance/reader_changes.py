"""Changes to who reads, and to the registries and key epochs that reading hangs on.

A reader that loses a scope keeps what was sealed to it: its copies, and the keys of former key epochs. So an act that takes reading away must start a new key
epoch in the same registry, and says in words what stays readable. Who may see has headers shown; who may read has payloads released.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

from sento_proto.governance.author_changes import PermitWriting, WithdrawWriting, read_scopes
from sento_proto.governance.changing import (
    Unfit,
    check_scopes,
    list_scopes,
    with_entry,
    with_reader_scopes,
    with_rights,
    without,
)
from sento_proto.governance.parts import Reader, Scope, read_reader, read_seal_key
from sento_proto.governance.state import Governance, RegistryState
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.strict_json import Fields

MAY = ("write", "see", "read")
U32_MAX = 2**32 - 1
PREVIOUS = ("accepted", "closed")


@dataclass(frozen=True, slots=True)
class Permit:
    """An institution may write, see or read further scopes."""

    DO: ClassVar[str] = "permit"
    RULES: ClassVar[int] = 2
    institution: str
    may: str
    scopes: tuple[Scope, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("institution"), fields.choice("may", MAY), read_scopes(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.may == "write":
            return PermitWriting(self.institution, self.scopes).effect(governance)
        reader = _reader(governance, self.institution)
        check_scopes(governance, self.scopes)
        held = reader.may_read if self.may == "read" else reader.may_see
        doubled = tuple(scope for scope in self.scopes if scope in held)
        if doubled:
            raise Unfit(f"{self.institution} may {self.may} {list_scopes(doubled)} already.")
        return with_reader_scopes(governance, self.institution, **{f"may_{self.may}": held + self.scopes})

    def words(self, governance: Governance) -> str:
        keys = (
            " Its authors must seal their keys to it (sento keys reseal) before it can open anything."
            if self.may == "read"
            else ""
        )
        return f"{self.institution} may {self.may} {list_scopes(self.scopes)}.{keys}"


@dataclass(frozen=True, slots=True)
class Withdraw:
    """An institution may not write, see or read these scopes any more."""

    DO: ClassVar[str] = "withdraw"
    RULES: ClassVar[int] = 2
    institution: str
    may: str
    scopes: tuple[Scope, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("institution"), fields.choice("may", MAY), read_scopes(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.may == "write":
            return WithdrawWriting(self.institution, self.scopes).effect(governance)
        reader = _reader(governance, self.institution)
        held = reader.may_read if self.may == "read" else reader.may_see
        missing = tuple(scope for scope in self.scopes if scope not in held)
        if missing or not self.scopes:
            raise Unfit(
                f"{self.institution} has no permission to {self.may} {list_scopes(missing) or 'nothing'} that could be withdrawn."
            )
        left = tuple(scope for scope in held if scope not in self.scopes)
        return with_reader_scopes(governance, self.institution, **{f"may_{self.may}": left})

    def words(self, governance: Governance) -> str:
        return (
            f"{self.institution} may no longer {self.may} {list_scopes(self.scopes)}.{_stays(self.institution)}"
            if self.may == "read"
            else f"{self.institution} may no longer {self.may} {list_scopes(self.scopes)}."
        )


@dataclass(frozen=True, slots=True)
class EnrolReader:
    """A new institution that reads."""

    DO: ClassVar[str] = "enrol-reader"
    RULES: ClassVar[int] = 2
    reader: Reader

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(read_reader(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        reader = self.reader
        if reader.name in governance.readers:
            raise Unfit(f"{reader.name} is a reader already.")
        for scopes in (reader.may_read, reader.may_see):
            if scopes:
                check_scopes(governance, scopes)
        return governance.changed(readers=with_entry(governance.readers, reader.name, reader))

    def words(self, governance: Governance) -> str:
        reader = self.reader
        may_read = list_scopes(reader.may_read) or "nothing"
        may_see = f" and see headers of {list_scopes(reader.may_see)}" if reader.may_see else ""
        return (
            f"{reader.name} is enrolled as a reader and may read {may_read}{may_see}. "
            "Authors must seal their keys to it (sento keys reseal) before it can open anything."
        )


@dataclass(frozen=True, slots=True)
class RevokeReader:
    """An institution reads nothing any more."""

    DO: ClassVar[str] = "revoke-reader"
    RULES: ClassVar[int] = 2
    name: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("name"))

    def effect(self, governance: Governance, at: int) -> Governance:
        _reader(governance, self.name)
        return governance.changed(readers=without(governance.readers, self.name))

    def words(self, governance: Governance) -> str:
        reader = governance.readers.get(self.name)
        lost = "" if reader is None else f" (so far {list_scopes(reader.may_read) or 'nothing'})"
        return f"{self.name} may no longer read anything{lost}.{_stays(self.name)}"


@dataclass(frozen=True, slots=True)
class ReplaceSealKey:
    """An institution's KEKs are sealed to another key from now on."""

    DO: ClassVar[str] = "replace-seal-key"
    RULES: ClassVar[int] = 2
    institution: str
    seal_key: bytes

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("institution"), read_seal_key(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        name = self.institution
        if name not in governance.readers and name not in governance.authors:
            raise Unfit(f"{name} is neither an author nor a reader.")
        if name in governance.authors:
            governance = with_rights(governance, name, seal_key=self.seal_key)
        if name in governance.readers:
            reader = replace(governance.readers[name], seal_key=self.seal_key)
            governance = governance.changed(readers=with_entry(governance.readers, name, reader))
        return governance

    def words(self, governance: Governance) -> str:
        return (
            f"Keys for {self.institution} are sealed to another key from then on; authors must seal theirs again (sento keys reseal). "
            "Whoever has the former key still opens what was sealed to it."
        )


@dataclass(frozen=True, slots=True)
class AddRegistry:
    """A new registry, empty, with its first key epoch."""

    DO: ClassVar[str] = "add-registry"
    RULES: ClassVar[int] = 2
    registry: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.name("registry"))

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.registry in governance.registries or self.registry in CLEAR_CONTENT_REGISTRIES:
            raise Unfit(f"There is a registry {self.registry} already.")
        return governance.changed(
            registries=with_entry(governance.registries, self.registry, RegistryState())
        )

    def words(self, governance: Governance) -> str:
        return f"There is a registry {self.registry}; nobody may write it yet."


@dataclass(frozen=True, slots=True)
class StartKeyEpoch:
    """Records of a registry are sealed under new keys from now on; late records of the former epoch are accepted, or not."""

    DO: ClassVar[str] = "start-key-epoch"
    RULES: ClassVar[int] = 2
    registry: str
    key_epoch: int
    previous: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(
            fields.name("registry"),
            fields.number("key_epoch", 2, U32_MAX),
            fields.choice("previous", PREVIOUS),
        )

    def effect(self, governance: Governance, at: int) -> Governance:
        state = _registry(governance, self.registry)
        if self.key_epoch != state.key_epoch + 1:
            raise Unfit(
                f"The next key epoch of {self.registry} is {state.key_epoch + 1}, not {self.key_epoch}."
            )
        oldest = self.key_epoch if self.previous == "closed" else state.oldest_open
        after = RegistryState(self.key_epoch, oldest)
        return governance.changed(registries=with_entry(governance.registries, self.registry, after))

    def words(self, governance: Governance) -> str:
        late = (
            "records sealed under a former one are refused"
            if self.previous == "closed"
            else "late records of the former one are accepted until an act closes it"
        )
        return (
            f"Records of {self.registry} are sealed under key epoch {self.key_epoch}; {late}. "
            "Each author needs a new key (sento keys make). No record that stands is touched."
        )


@dataclass(frozen=True, slots=True)
class CloseKeyEpoch:
    """Late records of former key epochs are not accepted any more."""

    DO: ClassVar[str] = "close-key-epoch"
    RULES: ClassVar[int] = 2
    registry: str
    key_epoch: int

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.name("registry"), fields.number("key_epoch", 1, U32_MAX))

    def effect(self, governance: Governance, at: int) -> Governance:
        state = _registry(governance, self.registry)
        if not state.oldest_open <= self.key_epoch < state.key_epoch:
            raise Unfit(
                f"Key epoch {self.key_epoch} of {self.registry} is closed already, or is the one in use."
            )
        after = RegistryState(state.key_epoch, self.key_epoch + 1)
        return governance.changed(registries=with_entry(governance.registries, self.registry, after))

    def words(self, governance: Governance) -> str:
        return f"No record of {self.registry} sealed under key epoch {self.key_epoch} or before is accepted any more."


def check_lost_readers(before: Governance, after: Governance) -> None:
    """An act that takes reading away starts a new key epoch wherever it does. Raises Unfit."""
    for name, reader in before.readers.items():
        left = after.readers.get(name)
        lost = set(reader.may_read) - set(() if left is None else left.may_read)
        for registry in sorted({scope.registry for scope in lost} - CLEAR_CONTENT_REGISTRIES):
            if after.registries[registry].key_epoch == before.registries[registry].key_epoch:
                raise Unfit(
                    f"{name} loses reading in {registry}: start key epoch {before.registries[registry].key_epoch + 1} of {registry} in the same act."
                )


def _reader(governance: Governance, name: str) -> Reader:
    reader = governance.readers.get(name)
    if reader is None:
        raise Unfit(f"{name} is not a reader; enrol it first.")
    return reader


def _registry(governance: Governance, registry: str) -> RegistryState:
    state = governance.registries.get(registry)
    if state is None or registry in CLEAR_CONTENT_REGISTRIES:
        raise Unfit(f"There is no registry {registry} with key epochs.")
    return state


def _stays(name: str) -> str:
    return (
        f" What was sealed under former key epochs stays readable to {name} where it holds a copy of the record: "
        "sites release no further payload to it, and what is written under the new epoch is not sealed to it."
    )
