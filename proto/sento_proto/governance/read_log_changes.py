"""Changes to how releases are recorded: delays for investigations, and compartments whose keys are left to a key agent.

While a delay stands, releases for its cases are recorded as all others are, under a subject that is the delay's own and not the person's; the act that releases
it lets the person see them. The act names cases by a salted hash, so that the order itself tells no case number. A key agent opens one key for one
recorded release; without one a reader that holds old copies and keys can read them unrecorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from sento_proto.governance.changing import Unfit, with_entry, without
from sento_proto.governance.state import (
    ACCESS_COMPARTMENT,
    Governance,
    ReadLogDelay,
    covered,
    subject_of_delay,
)
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.strict_json import Fields

SALT_BYTES = 16
CASE_BYTES = 32


@dataclass(frozen=True, slots=True)
class DelayReadLog:
    """Releases for these cases are not shown to the persons yet. `cases`: `delayed_case` of each case number."""

    DO: ClassVar[str] = "delay-read-log"
    RULES: ClassVar[int] = 4
    name: str
    registries: tuple[str, ...]
    salt: bytes
    cases: tuple[bytes, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(
            fields.institution("name"),
            fields.names("registries"),
            fields.hex("salt", SALT_BYTES),
            fields.hexes("cases", CASE_BYTES),
        )

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.name in governance.read_log_delays:
            raise Unfit(f"There was a delay {self.name} before; a name is used once.")
        if not self.registries or len(set(self.registries)) != len(self.registries):
            raise Unfit("No registry is named, or one twice.")
        for registry in self.registries:
            if registry not in governance.registries or registry in CLEAR_CONTENT_REGISTRIES:
                raise Unfit(f"There is no registry {registry} with a read log.")
        if not self.cases or len(set(self.cases)) != len(self.cases):
            raise Unfit("No case is named, or one twice.")
        delay = ReadLogDelay(
            self.name, self.registries, self.salt, frozenset(self.cases), subject_of_delay(self.name), at
        )
        return governance.changed(read_log_delays=with_entry(governance.read_log_delays, self.name, delay))

    def words(self, governance: Governance) -> str:
        return (
            f"Releases for {len(self.cases)} cases in {', '.join(self.registries)} are recorded under delay {self.name}; "
            "the persons do not see them until an act releases it."
        )


@dataclass(frozen=True, slots=True)
class ReleaseReadLog:
    """The delay is over: the persons see what was recorded under it."""

    DO: ClassVar[str] = "release-read-log"
    RULES: ClassVar[int] = 4
    name: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.institution("name"))

    def effect(self, governance: Governance, at: int) -> Governance:
        delay = governance.read_log_delays.get(self.name)
        if delay is None:
            raise Unfit(f"There is no delay {self.name}.")
        if delay.released_at is not None:
            raise Unfit(f"The delay {self.name} was released at position {delay.released_at}.")
        return governance.changed(
            read_log_delays=with_entry(governance.read_log_delays, self.name, delay._replace(released_at=at))
        )

    def words(self, governance: Governance) -> str:
        return f"What was recorded under delay {self.name} is shown to the persons concerned from now on."


@dataclass(frozen=True, slots=True)
class RequireKeyAgent:
    """Keys of this compartment are opened by one agent alone, for other readers one recorded release at a time."""

    DO: ClassVar[str] = "require-key-agent"
    RULES: ClassVar[int] = 4
    registry: str
    compartment: str
    agent: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.name("registry"), _read_compartment(fields), fields.institution("agent"))

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.registry not in governance.registries or self.registry in CLEAR_CONTENT_REGISTRIES:
            raise Unfit(f"There is no registry {self.registry} with keys to leave to an agent.")
        if self.compartment == ACCESS_COMPARTMENT:
            raise Unfit("Reading access records is not itself recorded, so no agent stands before them.")
        agent = governance.key_agent_of(self.registry, self.compartment)
        if agent is not None:
            raise Unfit(f"{agent} is the key agent there already; end that first.")
        return governance.changed(
            key_agents=with_entry(governance.key_agents, (self.registry, self.compartment), self.agent)
        )

    def words(self, governance: Governance) -> str:
        return (
            f"Keys of {_place(self.registry, self.compartment)} are sealed to {self.agent} and no other reader, which opens one for each recorded "
            "release; keys that other readers hold already stay with them until a new key epoch begins."
        )


@dataclass(frozen=True, slots=True)
class EndKeyAgent:
    """Readers of this compartment open its keys themselves again."""

    DO: ClassVar[str] = "end-key-agent"
    RULES: ClassVar[int] = 4
    registry: str
    compartment: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.name("registry"), _read_compartment(fields))

    def effect(self, governance: Governance, at: int) -> Governance:
        if governance.key_agent_of(self.registry, self.compartment) is None:
            raise Unfit(f"There is no key agent for {_place(self.registry, self.compartment)}.")
        return governance.changed(
            key_agents=without(governance.key_agents, (self.registry, self.compartment))
        )

    def words(self, governance: Governance) -> str:
        return (
            f"Readers of {_place(self.registry, self.compartment)} open its keys themselves again, "
            "once authors sealed theirs to them (sento keys reseal)."
        )


def check_key_agents(governance: Governance) -> None:
    """Asked behind all changes of an act: raises Unfit where a key agent is no reader of its compartment, so that nobody could read there any more."""
    for (registry, compartment), agent in governance.key_agents.items():
        if not covered(governance.readable(agent), registry, compartment):
            raise Unfit(
                f"{agent} is the key agent for {_place(registry, compartment)} and must be a reader of it; end that first."
            )


def _read_compartment(fields: Fields) -> str:
    """A compartment's name, or empty for the open part of its registry."""
    compartment = fields.text("compartment")
    return fields.check_name(compartment, "compartment") if compartment else ""


def _place(registry: str, compartment: str) -> str:
    return f"{compartment} in {registry}" if compartment else f"the open part of {registry}"
