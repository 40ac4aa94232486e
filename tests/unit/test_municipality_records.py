"""Records and events: what institutions write is well formed, sized as in life, the same everywhere, and searchable."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from itertools import islice

import pytest

from sento_drill.municipality import SCOPES, Event, Fact, Municipality, Scope, municipality

KIND = re.compile(r"[a-z0-9/-]{1,32}")
EVENTS = 3_000

DIGEST_PROGRAM = """
import hashlib
from itertools import islice
from sento_drill.municipality import municipality
town = municipality(60, seed=9)
digest = hashlib.sha256()
for fact in town.facts():
    digest.update(repr(fact).encode())
for event in islice(town.events(), 300):
    digest.update(repr(event).encode())
print(digest.hexdigest())
"""


@pytest.fixture(scope="module")
def town() -> Municipality:
    return municipality(300, seed=17)


@pytest.fixture(scope="module")
def facts(town: Municipality) -> list[Fact]:
    return list(town.facts())


@pytest.fixture(scope="module")
def events(town: Municipality) -> list[Event]:
    return list(islice(town.events(), EVENTS))


def place(fact: Fact) -> tuple[str, str, str]:
    return (fact.registry, fact.identifier, fact.natural_key)


def test_facts_and_events_are_the_same_in_a_process_with_other_hash_seeds() -> None:
    path = os.pathsep.join(sys.path)
    digests = {
        subprocess.run(
            [sys.executable, "-c", DIGEST_PROGRAM],
            env={"PYTHONPATH": path, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
        for hash_seed in ("1", "2")
    }
    digest = hashlib.sha256()
    here = municipality(60, seed=9)
    for fact in here.facts():
        digest.update(repr(fact).encode())
    for event in islice(here.events(), 300):
        digest.update(repr(event).encode())
    assert digests == {digest.hexdigest() + "\n"}


def test_each_resident_has_residency_tax_coverage_and_a_prescription(
    town: Municipality, facts: list[Fact]
) -> None:
    kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for fact in facts:
        kinds[fact.identifier][fact.kind] += 1
    assert kinds.keys() == {resident.my_number for resident in town.residents()}
    for counts in kinds.values():
        assert counts["residence/entry"] == counts["tax/assessment"] == counts["health/coverage"] == 1
        assert 1 <= counts["health/prescription"] <= 3


def test_every_fact_has_a_legal_kind_and_a_scope_that_is_announced(
    facts: list[Fact], events: list[Event]
) -> None:
    everything = [*facts, *(event.fact for event in events)]
    assert {fact.kind for fact in everything if not KIND.fullmatch(fact.kind)} == set()
    assert {Scope(fact.author, fact.registry, fact.compartment) for fact in everything} == set(SCOPES)
    family_of: dict[tuple[str, str, str], str] = {}
    for fact in everything:
        assert family_of.setdefault(place(fact), fact.kind.split("/")[0]) == fact.kind.split("/")[0]


def test_content_is_json_between_300_bytes_and_2_kib(facts: list[Fact], events: list[Event]) -> None:
    for fact in (*facts, *(event.fact for event in events)):
        encoded = fact.encoded()
        assert 300 <= len(encoded) <= 2_048
        assert json.loads(encoded) == fact.content


def test_first_load_writes_each_fact_once(facts: list[Fact]) -> None:
    assert len({place(fact) for fact in facts}) == len(facts)


def test_event_is_a_new_version_of_a_known_fact_or_a_fact_never_seen(
    facts: list[Fact], events: list[Event]
) -> None:
    known = {place(fact): fact.content for fact in facts}
    for event in events:
        where = place(event.fact)
        if event.is_new_version_of is None:
            assert where not in known
        else:
            assert event.is_new_version_of == event.fact.natural_key
            assert known[where] != event.fact.content
        known[where] = event.fact.content


def test_all_kinds_of_events_happen(events: list[Event]) -> None:
    kinds = {event.fact.kind for event in events}
    assert kinds == {
        "residence/move",
        "residence/cancellation",
        "tax/correction",
        "health/prescription",
        "health/cancellation",
        "health/coverage",
    }


def test_history_number_rises_by_one_with_every_row_of_a_person(
    facts: list[Fact], events: list[Event]
) -> None:
    rows: defaultdict[str, list[object]] = defaultdict(list)
    for fact in (*facts, *(event.fact for event in events)):
        if fact.registry == "residency":
            rows[fact.identifier].append(fact.content["history_no"])
    assert max(len(numbers) for numbers in rows.values()) > 2
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in rows.values())


def test_cancelled_move_restores_the_home_before_it(facts: list[Fact], events: list[Event]) -> None:
    homes: defaultdict[str, list[tuple[object, ...]]] = defaultdict(list)
    cancelled = 0
    for fact in (*facts, *(event.fact for event in events)):
        if fact.registry != "residency":
            continue
        home = tuple(fact.content[field] for field in ("address", "building", "postal_code", "address_since"))
        if fact.kind == "residence/cancellation":
            cancelled += 1
            assert home == homes[fact.identifier][-2]
        homes[fact.identifier].append(home)
    assert cancelled > 10


def test_content_keeps_hard_names_byte_for_byte(town: Municipality, facts: list[Fact]) -> None:
    names = {resident.my_number: resident.name.encode("utf-8") for resident in town.residents()}
    assert all(names[fact.identifier] in fact.encoded() for fact in facts)


def test_needles_find_every_fact_and_event_written_in_clear(
    town: Municipality, facts: list[Fact], events: list[Event]
) -> None:
    needles = town.needles()
    assert len(set(needles)) == len(needles)
    assert min(len(needle) for needle in needles) >= 9
    found = set(needles)
    for resident in town.residents():
        assert {
            resident.my_number.encode(),
            resident.juminhyo_code.encode(),
            resident.address.text.encode(),
        } <= found
    towns = [needle for needle in needles if needle.startswith("飯塚市".encode())]
    for fact in (*facts, *(event.fact for event in events[:200])):
        assert fact.registry != "residency" or fact.identifier.encode() in fact.encoded()
        if fact.registry == "residency":
            assert any(needle in fact.encoded() for needle in towns)


def test_prescription_is_a_medication_request_about_the_resident(
    town: Municipality, facts: list[Fact]
) -> None:
    residents = {resident.my_number: resident for resident in town.residents()}
    for fact in facts:
        if fact.kind != "health/prescription":
            continue
        content, resident = json.loads(fact.encoded()), residents[fact.identifier]
        patient = content["contained"][0]
        assert content["resourceType"] == "MedicationRequest"
        assert [name["text"] for name in patient["name"]] == [resident.name, resident.name_kana]
        assert patient["birthDate"] == resident.birth_date.isoformat()
        request_id = content["identifier"][2]["value"]
        assert fact.natural_key == f"prescription/{request_id}"
        assert re.fullmatch(r"\d{8}-\d{16}", request_id)
        assert content["dispenseRequest"]["quantity"]["value"] > 0


def test_protected_person_is_marked_with_the_end_of_the_measure(facts: list[Fact]) -> None:
    marked = [
        fact.content["suppression"]
        for fact in facts
        if fact.registry == "residency" and fact.content["suppression"] != {"support_measure": False}
    ]
    assert marked == [{"support_measure": True, "since": "令和8年4月1日", "until": "令和9年3月31日"}]
