"""Household shapes: who lives together, as a table of relationships and ages relative to the head.

The shapes give every kind of relationship that the residence record knows a place in the demo; their weights follow
the look of a Japanese town and are no statistic of Iizuka.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from sento_drill.municipality.relationships import HEAD, KINSMAN, LODGER

OLDEST_YEARS = 104
MALE = "男"
FEMALE = "女"

_SPOUSE = "配偶者"
_PARTNER = "配偶者(未届)"
_SEX_OF = dict.fromkeys(("夫", "夫(未届)", "父", "兄", "弟"), MALE) | dict.fromkeys(
    ("妻", "妻(未届)", "母", "姉", "妹", "子の妻"), FEMALE
)


@dataclass(frozen=True, slots=True)
class Role:
    """One member to be: relationship, sex and age in years."""

    relationship: str
    sex: str
    age_years: int
    shares_family_name: bool


@dataclass(frozen=True, slots=True)
class _Other:
    """A member besides the head: relationship or placeholder, age minus the head's in years, sex where only one fits."""

    relationship: str
    youngest: int
    oldest: int
    sex: str | None = None


@dataclass(frozen=True, slots=True)
class _Shape:
    weight: int
    youngest_head: int
    oldest_head: int
    others: tuple[_Other, ...] = ()


_SPOUSES = _Other(_SPOUSE, -6, 6)
_CHILD = _Other("子", -38, -24)

_SHAPES = (
    _Shape(36, 19, 95),
    _Shape(20, 24, 90, (_SPOUSES,)),
    _Shape(9, 25, 62, (_SPOUSES, _CHILD)),
    _Shape(10, 27, 60, (_SPOUSES, _CHILD, _CHILD)),
    _Shape(4, 29, 58, (_SPOUSES, _CHILD, _CHILD, _CHILD)),
    _Shape(5, 24, 70, (_CHILD,)),
    _Shape(3, 26, 60, (_CHILD, _CHILD)),
    _Shape(3, 35, 62, (_SPOUSES, _CHILD, _Other("母", 22, 38))),
    _Shape(2, 35, 60, (_SPOUSES, _CHILD, _Other("父", 24, 38), _Other("母", 22, 38))),
    _Shape(3, 66, 88, (_Other("子", -34, -26, MALE), _Other("子の妻", -36, -28), _Other("子の子", -64, -56))),
    _Shape(1, 20, 80, (_Other("兄", 1, 8),)),
    _Shape(1, 20, 80, (_Other("姉", 1, 8), _Other("弟", -2, -1), _Other("妹", -2, -1))),
    _Shape(1, 22, 60, (_Other(_PARTNER, -4, 4),)),
    _Shape(1, 22, 70, (_Other(LODGER, -4, 20),)),
    _Shape(1, 40, 85, (_Other(KINSMAN, -20, 10),)),
)
_WEIGHTS = tuple(shape.weight for shape in _SHAPES)


def draw_roles(rng: random.Random) -> tuple[Role, ...]:
    """Draw one household, head first, ages between 0 and 104 years."""
    (shape,) = rng.choices(_SHAPES, weights=_WEIGHTS)
    head = Role(HEAD, rng.choice((MALE, FEMALE)), rng.randint(shape.youngest_head, shape.oldest_head), True)
    return (head, *(_draw_other(other, head, rng) for other in shape.others))


def _draw_other(other: _Other, head: Role, rng: random.Random) -> Role:
    relationship = _resolve(other.relationship, head.sex)
    age_years = head.age_years + rng.randint(other.youngest, other.oldest)
    return Role(
        relationship=relationship,
        sex=other.sex or _SEX_OF.get(relationship) or rng.choice((MALE, FEMALE)),
        age_years=min(max(age_years, 0), OLDEST_YEARS),
        shares_family_name=relationship not in (LODGER, KINSMAN) and other.relationship != _PARTNER,
    )


def _resolve(relationship: str, head_sex: str) -> str:
    """Turn the placeholders for a spouse into the word for the sex that the head is not."""
    spouse = "妻" if head_sex == MALE else "夫"
    return {_SPOUSE: spouse, _PARTNER: f"{spouse}(未届)"}.get(relationship, relationship)
