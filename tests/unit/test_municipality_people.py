"""People: the same from the same seed, valid and unique numbers, allowed relationships, names byte for byte."""

from __future__ import annotations

import unicodedata

import pytest

from sento_drill.municipality import Household, Resident, municipality
from sento_drill.municipality.check_digits import ADDRESSEE_NUMBER, INSURER_NUMBER, JUMINHYO_CODE, MY_NUMBER
from sento_drill.municipality.people import HARD_FAMILY_NAMES, REGISTER_DATE
from sento_drill.municipality.reference import towns
from sento_drill.municipality.relationships import HEAD, is_allowed

RESIDENTS = 2_000


@pytest.fixture(scope="module")
def households() -> tuple[Household, ...]:
    return municipality(RESIDENTS, seed=17).households


@pytest.fixture(scope="module")
def residents(households: tuple[Household, ...]) -> list[Resident]:
    return [member for household in households for member in household.members]


@pytest.mark.parametrize("wanted", [1, 2, 3, 4, 50, 51])
def test_municipality_has_exactly_the_residents_asked_for(wanted: int) -> None:
    assert len(list(municipality(wanted, seed=3).residents())) == wanted


def test_municipality_without_people_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 resident"):
        municipality(0, seed=3)


def test_another_seed_gives_other_people() -> None:
    names = [{resident.name for resident in municipality(200, seed).residents()} for seed in (1, 2)]
    assert len(names[0] & names[1]) < 30


def test_more_residents_begin_with_the_same_people() -> None:
    fewer = municipality(40, seed=5).households[:-1]
    assert municipality(200, seed=5).households[: len(fewer)] == fewer


def test_every_number_is_valid_and_belongs_to_one_person(residents: list[Resident]) -> None:
    assert len(residents) == RESIDENTS
    for resident in residents:
        assert MY_NUMBER.is_valid(resident.my_number)
        assert JUMINHYO_CODE.is_valid(resident.juminhyo_code)
        assert ADDRESSEE_NUMBER.is_valid(resident.addressee_no)
        assert INSURER_NUMBER.is_valid(resident.insurance.insurer)
    assert len({resident.my_number for resident in residents}) == RESIDENTS
    assert len({resident.juminhyo_code for resident in residents}) == RESIDENTS
    assert len({resident.addressee_no for resident in residents}) == RESIDENTS
    assert len({resident.insurance.text for resident in residents}) == RESIDENTS


def test_household_has_one_head_one_address_and_only_allowed_relationships(
    households: tuple[Household, ...],
) -> None:
    assert len({household.household_no for household in households}) == len(households)
    for household in households:
        head, *others = household.members
        assert head.relationship == HEAD
        for member in household.members:
            assert is_allowed(member.relationship)
            assert member.household_no == household.household_no
            assert member.head_name == head.name
            assert member.address == head.address
        assert HEAD not in {member.relationship for member in others}


def test_dates_of_a_residence_stand_in_order(residents: list[Resident]) -> None:
    for resident in residents:
        assert resident.birth_date <= resident.resident_since <= resident.address_since < REGISTER_DATE
        moved_in = resident.reason == "国内転入"
        assert bool(resident.previous_address) is moved_in
        assert not moved_in or resident.address_since == resident.resident_since


def test_address_is_a_real_town_with_its_postal_code(residents: list[Resident]) -> None:
    known = {(town.name, town.postal_code) for town in towns()}
    for resident in residents:
        address = resident.address
        assert any(
            address.text.startswith(f"福岡県飯塚市{name}") and address.postal_code == code
            for name, code in known
        )


def test_hard_names_are_carried_byte_for_byte(residents: list[Resident]) -> None:
    seen = {resident.name.split(" ")[0] for resident in residents}
    assert {name.kanji for name in HARD_FAMILY_NAMES} <= seen
    assert "𠮷田".encode() == b"\xf0\xa0\xae\xb7\xe7\x94\xb0"
    exact = {name.kanji.encode("utf-8") for name in HARD_FAMILY_NAMES}
    assert b"\xf0\xa0\xae\xb7\xe7\x94\xb0" in exact
    assert b"\xef\xa8\x99\xe8\xb0\xb7" in exact
    assert b"\xe6\x96\x89\xf3\xa0\x84\x84\xe8\x97\xa4" in exact
    changed_by_nfc = [name for name in seen if unicodedata.normalize("NFC", name) != name]
    assert "\ufa19谷" in changed_by_nfc


def test_people_of_the_acceptance_scenarios_are_there_for_every_seed() -> None:
    for seed in (1, 2):
        hanako, ichiro, protected = municipality(3, seed).residents()
        assert (hanako.name, hanako.name_kana) == ("𠮷田 花子", "ヨシダ ハナコ")
        assert (hanako.addressee_no, hanako.my_number) == ("000000019", "900000000010")
        assert (hanako.juminhyo_code, hanako.insurance.text) == ("90000000018", "00409995:飯:１２３:00")
        assert hanako.birth_date.isoformat() == "1945-05-03"
        assert "新立岩" in hanako.address.text
        assert (ichiro.addressee_no, ichiro.my_number, ichiro.relationship) == (
            "000000027",
            "900000000028",
            "子",
        )
        assert (protected.addressee_no, protected.my_number) == ("000000108", "900000000036")
        assert protected.support_since is not None


@pytest.mark.parametrize(
    "relationship",
    [
        "世帯主",
        "夫",
        "妻(未届)",
        "子",
        "子の子",
        "父の父",
        "子(子の妻)",
        "子の子の子の子",
        "縁故者",
        "同居人",
        "妻の母",
    ],
)
def test_relationship_of_the_standard_is_allowed(relationship: str) -> None:
    assert is_allowed(relationship)


@pytest.mark.parametrize(
    "relationship",
    [
        "孫",
        "祖父",
        "おじ",
        "子の孫",
        "子の子の子の子の子",
        "子の",
        "の子",
        "世帯主の子",
        "同居人の子",
        "子(の子",
        "",
        "妻 ",
    ],
)
def test_relationship_outside_the_standard_is_refused(relationship: str) -> None:
    assert not is_allowed(relationship)
