"""People: the residents and households of a synthetic Iizuka (402052), the same ones for the same seed.

Names and towns are real lists, their combination is drawn. A part of the names is hard on purpose: a glyph outside the
basic plane, a compatibility ideograph, a variation sequence. They are carried byte for byte: NFC and NFKC would turn
U+FA19 into another letter, so nothing here normalizes a name. Foreign residents are not modelled yet.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from sento_drill.municipality import reference
from sento_drill.municipality.check_digits import INSURER_NUMBER, JUMINHYO_CODE
from sento_drill.municipality.households import FEMALE, MALE, Role, draw_roles
from sento_drill.municipality.numbers import NumberDesk
from sento_drill.municipality.reference import MunicipalityName, NamePart, Town
from sento_drill.municipality.relationships import HEAD
from sento_drill.municipality.seeding import seeded

IIZUKA_CODE = "402052"
IIZUKA = "福岡県飯塚市"
REGISTER_DATE = date(2026, 6, 1)
"""The day whose register is loaded first; every event of `events` comes after it."""

LATE_STAGE_AGE_YEARS = 75
NATIONAL_HEALTH_INSURER = INSURER_NUMBER.complete("0040999")
LATE_STAGE_INSURER = INSURER_NUMBER.complete("3940999")
"""Insurers that do not exist: 999 is no insurer of Fukuoka."""

HARD_FAMILY_NAMES = (
    NamePart("\U00020bb7田", "ヨシダ"),
    NamePart("\ufa19谷", "カミヤ"),
    NamePart("斉\U000e0104藤", "サイトウ"),
    NamePart("\u9ad9橋", "タカハシ"),
    NamePart("山\ufa11", "ヤマサキ"),
)
"""U+20BB7, U+FA19, an ideographic variation sequence, U+9AD9 and U+FA11, in this order."""

_HARD_NAME_SHARE = 0.03
_LONGEST_STAY_YEARS = 40
_BORN_BEFORE = date(2025, 12, 31)
"""Everybody was born and lived in Iizuka on 1 January 2026: so it is Iizuka that taxes all of them for that year."""
_BUILDINGS = ("ひかりハイツ", "コーポ遠賀川", "メゾン嘉穂", "市営第二団地")
_FULL_WIDTH = str.maketrans("0123456789-", "０１２３４５６７８９－")


@dataclass(frozen=True, slots=True)
class Address:
    """An address in Iizuka: the text of the register, the building (方書) apart, the postal code of seven digits."""

    text: str
    building: str
    postal_code: str


@dataclass(frozen=True, slots=True)
class InsuranceId:
    """What an insurer knows a person by; symbol and number in full-width digits, as cards print them."""

    insurer: str
    symbol: str
    number: str
    branch: str

    @property
    def text(self) -> str:
        """The form of JP Core's Coverage: insurer, symbol, number and branch, joined by colons."""
        return f"{self.insurer}:{self.symbol}:{self.number}:{self.branch}"


@dataclass(frozen=True, slots=True)
class Resident:
    """One resident as the register of `REGISTER_DATE` knows her; `sex` is 男 or 女, names byte-exact."""

    addressee_no: str
    household_no: str
    my_number: str
    juminhyo_code: str
    name: str
    name_kana: str
    birth_date: date
    sex: str
    head_name: str
    relationship: str
    family_head: str
    address: Address
    domicile: str
    resident_since: date
    address_since: date
    reason: str
    previous_address: str
    insurance: InsuranceId
    support_since: date | None = None


@dataclass(frozen=True, slots=True)
class Household:
    """People at one address, head first."""

    household_no: str
    members: tuple[Resident, ...]


@dataclass(frozen=True, slots=True)
class _Person:
    """Somebody who has a name and numbers and not yet a household; `insurance` is None where the household gives it."""

    addressee_no: str
    my_number: str
    juminhyo_code: str
    family: NamePart
    given: NamePart
    sex: str
    relationship: str
    birth_date: date
    insurance: InsuranceId | None = None
    support_since: date | None = None

    @property
    def name(self) -> str:
        return f"{self.family.kanji} {self.given.kanji}"


_KNOWN_HOUSEHOLDS = (
    (
        _Person(
            addressee_no="000000019",
            my_number="900000000010",
            juminhyo_code=JUMINHYO_CODE.complete("9000000001"),
            family=HARD_FAMILY_NAMES[0],
            given=NamePart("花子", "ハナコ"),
            sex=FEMALE,
            relationship=HEAD,
            birth_date=date(1945, 5, 3),
            insurance=InsuranceId(NATIONAL_HEALTH_INSURER, "飯", "１２３", "00"),
        ),
        _Person(
            addressee_no="000000027",
            my_number="900000000028",
            juminhyo_code=JUMINHYO_CODE.complete("9000000002"),
            family=HARD_FAMILY_NAMES[0],
            given=NamePart("一郎", "イチロウ"),
            sex=MALE,
            relationship="子",
            birth_date=date(1970, 11, 23),
        ),
    ),
    (
        _Person(
            addressee_no="000000108",
            my_number="900000000036",
            juminhyo_code=JUMINHYO_CODE.complete("9000000010"),
            family=HARD_FAMILY_NAMES[1],
            given=NamePart("美咲", "ミサキ"),
            sex=FEMALE,
            relationship=HEAD,
            birth_date=date(1991, 8, 14),
            support_since=date(2026, 4, 1),
        ),
    ),
)
"""People whom the acceptance scenarios name: the same in every municipality, whatever the seed. The last one is under
support measures against violence at home; her address must never come out."""

_RESERVED = frozenset(
    number
    for household in _KNOWN_HOUSEHOLDS
    for person in household
    for number in (person.addressee_no, person.my_number, person.juminhyo_code)
)


def generate_households(residents: int, seed: int) -> tuple[Household, ...]:
    """Households with exactly so many residents; the known people come first, the last household may be cut short.

    Raises ValueError for fewer than one resident.
    """
    if residents < 1:
        raise ValueError("A municipality needs people. Ask for at least 1 resident.")
    generator = _Generator(seeded(seed, "people"))
    households: list[Household] = []
    missing = residents
    for household in generator.households():
        kept = household.members[:missing]
        households.append(replace(household, members=kept))
        missing -= len(kept)
        if missing == 0:
            break
    return tuple(households)


def age_years(birth_date: date, on: date) -> int:
    """Age in completed years on a day."""
    birthday_passed = (on.month, on.day) >= (birth_date.month, birth_date.day)
    return on.year - birth_date.year - (0 if birthday_passed else 1)


def draw_address(rng: random.Random, town: Town | None = None) -> Address:
    """An address in Iizuka, in that town or in any; lot and building are invented."""
    chosen = town or rng.choice(reference.towns())
    lot = f"{rng.randint(1, 1999)}番地{rng.randint(1, 30)}".translate(_FULL_WIDTH)
    building = ""
    if rng.random() < 0.25:
        building = f"{rng.choice(_BUILDINGS)}{rng.randint(1, 4)}0{rng.randint(1, 9)}号".translate(_FULL_WIDTH)
    return Address(f"{IIZUKA}{chosen.name}{lot}", building, chosen.postal_code)


class _Generator:
    """Draws households without end; all randomness comes from one generator, in a fixed order."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._desk = NumberDesk(rng, _RESERVED)

    def households(self) -> Iterator[Household]:
        home_town = next(town for town in reference.towns() if town.name == "新立岩")
        for people in _KNOWN_HOUSEHOLDS:
            yield self._settle(people, draw_address(self._rng, home_town))
        while True:
            yield self._settle(self._draw_people(), draw_address(self._rng))

    def _draw_people(self) -> tuple[_Person, ...]:
        roles = draw_roles(self._rng)
        shared = self._family_name()
        return tuple(
            self._draw_person(role, shared if role.shares_family_name else self._family_name())
            for role in roles
        )

    def _draw_person(self, role: Role, family: NamePart) -> _Person:
        return _Person(
            addressee_no=self._desk.addressee_number(),
            my_number=self._desk.my_number(),
            juminhyo_code=self._desk.juminhyo_code(),
            family=family,
            given=self._rng.choice(reference.given_names(role.sex)),
            sex=role.sex,
            relationship=role.relationship,
            birth_date=self._birth_date(role.age_years),
        )

    def _settle(self, people: Sequence[_Person], address: Address) -> Household:
        """Give people a household: one address, one head, and when and from where they came to live there."""
        household_no = self._desk.household_number()
        years = min(_LONGEST_STAY_YEARS, max(1, REGISTER_DATE.year - people[0].birth_date.year))
        home = _Home(
            household_no=household_no,
            head=people[0],
            address=address,
            domicile=draw_address(self._rng).text,
            settled_on=REGISTER_DATE - timedelta(days=self._rng.randrange(180, 365 * years)),
            origin=self._rng.choice(reference.municipalities()) if self._rng.random() < 0.5 else None,
        )
        return Household(
            household_no, tuple(_reside(person, home, place) for place, person in enumerate(people))
        )

    def _family_name(self) -> NamePart:
        hard = self._rng.random() < _HARD_NAME_SHARE
        return self._rng.choice(HARD_FAMILY_NAMES if hard else reference.family_names())

    def _birth_date(self, age_years: int) -> date:
        """A day that makes a person so old on the register's day, and never after the tax day."""
        birthday = date(REGISTER_DATE.year - age_years, REGISTER_DATE.month, REGISTER_DATE.day)
        return min(birthday - timedelta(days=self._rng.randrange(365)), _BORN_BEFORE)


@dataclass(frozen=True, slots=True)
class _Home:
    """What the members of a household share; `origin` is None where they already lived in Iizuka."""

    household_no: str
    head: _Person
    address: Address
    domicile: str
    settled_on: date
    origin: MunicipalityName | None


def _reside(person: _Person, home: _Home, place: int) -> Resident:
    """The register's view of one member; who was born after the others settled was born into the household."""
    address_since = max(person.birth_date, home.settled_on)
    born_there = address_since == person.birth_date
    origin = None if born_there else home.origin
    return Resident(
        addressee_no=person.addressee_no,
        household_no=home.household_no,
        my_number=person.my_number,
        juminhyo_code=person.juminhyo_code,
        name=person.name,
        name_kana=f"{person.family.kana} {person.given.kana}",
        birth_date=person.birth_date,
        sex=person.sex,
        head_name=home.head.name,
        relationship=person.relationship,
        family_head=home.head.name if person.family == home.head.family else person.name,
        address=home.address,
        domicile=home.domicile,
        resident_since=address_since if origin else person.birth_date,
        address_since=address_since,
        reason="出生" if born_there else "国内転入" if origin else "転居",
        previous_address=f"{origin.prefecture}{origin.name}" if origin else "",
        insurance=person.insurance or _insure(person, home.household_no, place),
        support_since=person.support_since,
    )


def _insure(person: _Person, household_no: str, place: int) -> InsuranceId:
    """National health insurance by household and branch, from 75 years the late-stage scheme by person."""
    if age_years(person.birth_date, REGISTER_DATE) >= LATE_STAGE_AGE_YEARS:
        return InsuranceId(LATE_STAGE_INSURER, "", person.addressee_no[1:].translate(_FULL_WIDTH), "00")
    number = household_no[:-1].lstrip("0").translate(_FULL_WIDTH)
    return InsuranceId(NATIONAL_HEALTH_INSURER, "飯", number, f"{place:02d}")
