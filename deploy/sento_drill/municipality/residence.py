"""Residence record: the row that the register holds of one person, in the fields of the resident record standard.

Every change writes a whole new row with the next history number; nothing is overwritten. Source: Basic Resident
Registration Act (住民基本台帳法) article 7 and the standard specification of resident record systems.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sento_drill.municipality.people import (
    IIZUKA_CODE,
    LATE_STAGE_AGE_YEARS,
    REGISTER_DATE,
    Address,
    Resident,
    age_years,
)
from sento_drill.municipality.wareki import to_wareki


@dataclass(frozen=True, slots=True)
class ResidenceState:
    """What changes in a residence record: history number from 1, address, its date, and why and when it was written."""

    history_no: int
    address: Address
    address_since: date
    reason: str
    notified_on: date


def first_state(resident: Resident) -> ResidenceState:
    """The state in which the register is loaded first."""
    since = resident.address_since
    return ResidenceState(1, resident.address, since, resident.reason, since)


def residence_row(resident: Resident, state: ResidenceState) -> dict[str, object]:
    """The content of one row; dates as wareki text with the internal date beside the birth date."""
    return {
        "municipality_code": IIZUKA_CODE,
        "addressee_no": resident.addressee_no,
        "household_no": resident.household_no,
        "history_no": state.history_no,
        "name": resident.name,
        "name_kana": resident.name_kana,
        "kana_confirmed": True,
        "birth_date": {"text": to_wareki(resident.birth_date), "date": resident.birth_date.isoformat()},
        "sex": resident.sex,
        "head_name": resident.head_name,
        "relationship": resident.relationship,
        "domicile": resident.domicile,
        "family_head": resident.family_head,
        "resident_since": to_wareki(resident.resident_since),
        "reason": state.reason,
        "address": state.address.text,
        "building": state.address.building,
        "postal_code": state.address.postal_code,
        "address_since": to_wareki(state.address_since),
        "notification_date": to_wareki(state.notified_on),
        "previous_address": resident.previous_address,
        "my_number": resident.my_number,
        "juminhyo_code": resident.juminhyo_code,
        "domains": _domains(resident, max(state.notified_on, REGISTER_DATE)),
        "suppression": _suppression(resident),
        "remarks": "",
    }


def _domains(resident: Resident, on: date) -> dict[str, bool]:
    """Which registers of the city also hold this person, by age."""
    age = age_years(resident.birth_date, on)
    return {
        "electoral_roll": age >= 18,
        "national_health_insurance": age < LATE_STAGE_AGE_YEARS,
        "late_stage_elderly": age >= LATE_STAGE_AGE_YEARS,
        "long_term_care": age >= 65,
        "national_pension": 20 <= age < 60,
        "child_allowance": age < 18,
    }


def _suppression(resident: Resident) -> dict[str, object]:
    """Support measures (支援措置) run for one year and end by date; the end is a date to act on, not a lapse."""
    if resident.support_since is None:
        return {"support_measure": False}
    since = resident.support_since
    until = date.fromordinal(date(since.year + 1, since.month, since.day).toordinal() - 1)
    return {"support_measure": True, "since": to_wareki(since), "until": to_wareki(until)}
