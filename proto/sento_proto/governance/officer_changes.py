"""Changes to the officers themselves: who is in office, who deputises, how many act together.

The act is signed by those in office before it. Between changes of one act the threshold may be out of proportion; after it, it must be more than half of the
officers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from sento_proto.governance.changing import Unfit, check_new_key, with_entry, without
from sento_proto.governance.parts import Deputy, Officer, Officers, read_deputy, read_officer
from sento_proto.governance.state import Governance
from sento_proto.keys import PublicKey
from sento_proto.strict_json import Fields

OFFICERS_MAX = 16
"""As many signatures as an act can carry."""


@dataclass(frozen=True, slots=True)
class EnrolOfficer:
    """A person takes office."""

    DO: ClassVar[str] = "enrol-officer"
    RULES: ClassVar[int] = 2
    officer: Officer

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.inner("officer", read_officer))

    def effect(self, governance: Governance, at: int) -> Governance:
        officer = self.officer
        _check_free(governance, officer.name)
        if officer.deputy is not None:
            _check_free(governance, officer.deputy.name)
            if officer.deputy.name == officer.name:
                raise Unfit(f"{officer.name} cannot be the own deputy.")
        if len(governance.officers.people) >= OFFICERS_MAX:
            raise Unfit(
                f"There are {OFFICERS_MAX} officers already, as many as an act can carry signatures of."
            )
        for key in officer.keys:
            governance = _with_key(governance, key)
        return _with_people(governance, with_entry(governance.officers.people, officer.name, officer))

    def words(self, governance: Governance) -> str:
        deputy = self.officer.deputy
        beside = "" if deputy is None else f", with {deputy.name} as deputy"
        return f"{self.officer.name} is an officer{beside}. Shares of the recovery key are given out at the next ceremony."


@dataclass(frozen=True, slots=True)
class RetireOfficer:
    """A person leaves office, and the deputy with it."""

    DO: ClassVar[str] = "retire-officer"
    RULES: ClassVar[int] = 2
    name: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.text("name"))

    def effect(self, governance: Governance, at: int) -> Governance:
        _officer(governance, self.name)
        return _with_people(governance, without(governance.officers.people, self.name))

    def words(self, governance: Governance) -> str:
        officer = governance.officers.people.get(self.name)
        deputy = None if officer is None else officer.deputy
        both = "" if deputy is None else f" and {deputy.name}, the deputy,"
        return f"{self.name}{both} signs no act any more. A share of the recovery key may still be in those hands: hold a new ceremony."


@dataclass(frozen=True, slots=True)
class SetDeputy:
    """Another deputy for an officer, or none."""

    DO: ClassVar[str] = "set-deputy"
    RULES: ClassVar[int] = 2
    name: str
    deputy: Deputy | None

    @classmethod
    def read(cls, fields: Fields) -> Self:
        name = fields.text("officer")
        return cls(name, fields.inner("deputy", read_deputy) if fields.has("deputy") else None)

    def effect(self, governance: Governance, at: int) -> Governance:
        officer = _officer(governance, self.name)
        if self.deputy is not None:
            _check_free(governance, self.deputy.name)
            governance = _with_key(governance, self.deputy.key)
        elif officer.deputy is None:
            raise Unfit(f"{self.name} has no deputy.")
        after = replace(officer, deputy=self.deputy)
        return _with_people(governance, with_entry(governance.officers.people, self.name, after))

    def words(self, governance: Governance) -> str:
        if self.deputy is None:
            return f"{self.name} has no deputy."
        return f"{self.deputy.name} acts for {self.name}; the two count once."


@dataclass(frozen=True, slots=True)
class SetThreshold:
    """How many officers act together."""

    DO: ClassVar[str] = "set-threshold"
    RULES: ClassVar[int] = 2
    threshold: int

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.number("threshold", 1, OFFICERS_MAX))

    def effect(self, governance: Governance, at: int) -> Governance:
        officers = Officers(self.threshold, governance.officers.people)
        return governance.changed(officers=officers)

    def words(self, governance: Governance) -> str:
        return f"{self.threshold} officers must sign an act."


def check_officers(governance: Governance) -> None:
    """After an act somebody is in office, and more than half must sign. Raises Unfit."""
    officers = governance.officers
    if not officers.people:
        raise Unfit("Nobody would be in office.")
    if not officers.is_majority:
        raise Unfit(
            f"{officers.threshold} of {len(officers.people)} officers: the threshold must be more than half of them, and no more than all."
        )


def _officer(governance: Governance, name: str) -> Officer:
    officer = governance.officers.people.get(name)
    if officer is None:
        raise Unfit(f"{name} is not an officer.")
    return officer


def _check_free(governance: Governance, name: str) -> None:
    for officer in governance.officers.people.values():
        if name == officer.name or (officer.deputy is not None and name == officer.deputy.name):
            raise Unfit(f"{name} is an officer or a deputy already.")


def _with_key(governance: Governance, key: PublicKey) -> Governance:
    check_new_key(governance, key)
    return governance.changed(officer_keys_ever=with_entry(governance.officer_keys_ever, key.key_id, key))


def _with_people(governance: Governance, people: Mapping[str, Officer]) -> Governance:
    return governance.changed(officers=Officers(governance.officers.threshold, people))
