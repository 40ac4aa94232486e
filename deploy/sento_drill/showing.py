"""Showing a few records as the offices see them: opened by those to whom they are sealed, closed to everybody else.

For the first people of the town, one record of each kind: its author opens it, the medical team opens what concerns health, the auditor, who verified
all of it, opens nothing. What is opened must be what was written, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sento_client.read_log.values import reading_words
from sento_drill.municipality import Fact
from sento_drill.offices import Offices
from sento_drill.plan import AUDITOR_BOARD, DISASTER_MEDICAL_TEAM, READ_LOG_DESK
from sento_drill.workload import FactName, Standing

PEOPLE_SHOWN = 2
READS_SHOWN = 3
_FIELDS: Mapping[tuple[str, str], tuple[tuple[str | int, ...], ...]] = {
    ("residency", "basic"): (("name",), ("birth_date", "text"), ("address",), ("reason",)),
    ("tax", "income"): (("name",), ("fiscal_year",), ("total_income",), ("annual",)),
    ("health", "coverage"): (("contained", 0, "name", 0, "text"), ("type", "text"), ("period", "start")),
    ("health", "prescription"): (
        ("contained", 0, "name", 0, "text"),
        ("medicationCodeableConcept", "text"),
        ("dosageInstruction", 0, "text"),
        ("status",),
    ),
}
"""What a person at the counter looks at first, as paths into the content, by registry and compartment."""


def facts_to_show(standing: Mapping[FactName, Standing]) -> list[Fact]:
    """The newest version of one fact of each kind for the first people, person by person."""
    people = list(dict.fromkeys(name.identifier for name in standing))[:PEOPLE_SHOWN]
    chosen: dict[tuple[int, str, str], Fact] = {}
    for name, stands in standing.items():
        if name.identifier in people:
            scope = (people.index(name.identifier), name.registry, stands.fact.compartment)
            chosen.setdefault(scope, stands.fact)
    return [chosen[scope] for scope in sorted(chosen)]


async def auditor_opens_nothing(offices: Offices, facts: Iterable[Fact], problems: list[str]) -> None:
    """Whoever audits holds no key, and sees headers; asked before the offices seal their keys anew, for then each reader whom officers let read gets one.

    Raises SentoError."""
    for fact in facts:
        version = await offices.read(fact.author, fact)
        seen = await offices.read_position(AUDITOR_BOARD.name, version.position)
        if seen.content is not None:
            problems.append(f"{AUDITOR_BOARD.name}, which holds no key, could open position {seen.position}")


async def show(offices: Offices, facts: Iterable[Fact], problems: list[str]) -> list[str]:
    """A line for each office that opens each fact; what is not as it must be goes into `problems`. Raises SentoError."""
    lines: list[str] = []
    for fact in facts:
        for office in _who_may_open(fact):
            version = await offices.read(office, fact)
            if version.content != fact.encoded():
                problems.append(f"{office} does not read position {version.position} as it was written")
            lines.append(f"{office} opens {fact.kind}: {summary(fact)}")
    return lines


async def show_reads(offices: Offices, identifier: str, problems: list[str]) -> list[str]:
    """Who read one resident's entries in residency just now, as the resident may see it. Raises SentoError."""
    log = await offices[READ_LOG_DESK.name].reads_of(
        identifier, registry="residency", purpose="own access log", case_number="demo", limit=READS_SHOWN
    )
    if not any(entry.released for entry in log.entries):
        problems.append("a resident's entries were read and the read log shows nobody")
    problems += [f"position {entry.position} is not proven" for entry in log.entries if not entry.findings.ok]
    return [f"read log of one resident: {reading_words(entry)}" for entry in log.entries]


def summary(fact: Fact) -> str:
    """The few fields of a fact's content that a person looks at first."""
    paths = _FIELDS.get((fact.registry, fact.compartment), ())
    return ", ".join(str(value) for value in _values(fact.content, paths))


def _values(content: Mapping[str, object], paths: Iterable[tuple[str | int, ...]]) -> Iterator[object]:
    for path in paths:
        # Content is whatever JSON holds; the paths above know where it is a list.
        value: Any = content
        for step in path:
            value = value[step]
        yield value


def _who_may_open(fact: Fact) -> list[str]:
    team = DISASTER_MEDICAL_TEAM
    may = any(scope.covers(fact.registry, fact.compartment) for scope in team.opens)
    return [fact.author, *([team.name] if may else [])]
