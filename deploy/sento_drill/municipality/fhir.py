"""FHIR shapes: insurance coverage and prescriptions of a resident, after HL7 FHIR R4 and the profiles of JP Core.

The drugs are those of the Synthea sample with their RxNorm codes, because the Japanese code lists may not be carried;
identifiers, groups and quantities follow JP_Coverage and JP_MedicationRequest. The physician and her hospital are
invented.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta

from sento_drill.municipality import reference
from sento_drill.municipality.people import LATE_STAGE_AGE_YEARS, REGISTER_DATE, Resident, age_years
from sento_drill.municipality.reference import Drug
from sento_drill.municipality.seeding import seeded

HOSPITAL_CODE = "4019999999"
_PATIENT_SYSTEM = f"urn:oid:1.2.392.100495.20.3.51.1{HOSPITAL_CODE}"
_MEMBER_SYSTEM = "http://jpfhir.jp/fhir/clins/Idsystem/JP_Insurance_memberID"
_RP_GROUP_SYSTEM = "urn:oid:1.2.392.100495.20.3.81"
_RP_ORDER_SYSTEM = "urn:oid:1.2.392.100495.20.3.82"
_REQUEST_SYSTEM = "http://jpfhir.jp/fhir/core/IdSystem/resourceInstance-identifier"
_NAME_KIND = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_UCUM = "http://unitsofmeasure.org"

_CHILD_AGE_YEARS = 6
_PENSIONER_AGE_YEARS = 70
LIMIT_CLASSES = ("ア", "イ", "ウ", "エ", "オ")


@dataclass(frozen=True, slots=True)
class Prescription:
    """One prescribed drug: `number` counts those of the resident from 1, `days` is the supply, `status` that of FHIR."""

    number: int
    drug: Drug
    prescribed_on: date
    days: int
    status: str = "active"

    def prescription_id(self, resident: Resident) -> str:
        """Date and a serial of sixteen digits, unique in the municipality."""
        serial = int(resident.addressee_no) * 100_000 + self.number
        return f"{self.prescribed_on:%Y%m%d}-{serial:016d}"


@dataclass(frozen=True, slots=True)
class CoverageState:
    """What changes in a coverage: the class of the limit amount (限度額) and since when it holds."""

    limit_class: str
    valid_from: date


def draw_prescription(rng: random.Random, number: int, prescribed_on: date) -> Prescription:
    """A prescription for 7 to 30 days of one drug, drawn as often as the sample had it."""
    drugs = reference.drugs()
    (drug,) = rng.choices(drugs, weights=[drug.weight for drug in drugs])
    return Prescription(number, drug, prescribed_on, rng.choice((7, 14, 28, 30)))


def prescriptions_of(resident: Resident, seed: int) -> tuple[Prescription, ...]:
    """One to three prescriptions of the three months before the register's date, more of them in old age."""
    rng = seeded(seed, "prescriptions", resident.addressee_no)
    most = 3 if age_years(resident.birth_date, REGISTER_DATE) >= 65 else 2
    count = rng.randint(1, most)
    days_before = sorted((rng.randint(1, 90) for _ in range(count)), reverse=True)
    return tuple(
        draw_prescription(rng, number, REGISTER_DATE - timedelta(days=days))
        for number, days in enumerate(days_before, start=1)
    )


def first_coverage(resident: Resident, seed: int) -> CoverageState:
    """The coverage in which the register is loaded first."""
    rng = seeded(seed, "coverage", resident.addressee_no)
    return CoverageState(rng.choice(LIMIT_CLASSES), max(resident.resident_since, date(2025, 8, 1)))


def coverage_resource(resident: Resident, state: CoverageState) -> dict[str, object]:
    """A Coverage with what an eligibility check answers: insurer, symbol, number, branch, burden and limit class."""
    return {
        "resourceType": "Coverage",
        "contained": [_patient(resident)],
        "identifier": [{"system": _MEMBER_SYSTEM, "value": resident.insurance.text}],
        "status": "active",
        "type": {"text": "国民健康保険" if resident.insurance.symbol else "後期高齢者医療"},
        "subscriberId": resident.insurance.number,
        "dependent": resident.insurance.branch,
        "beneficiary": {"reference": "#patient"},
        "period": {"start": state.valid_from.isoformat()},
        "payor": [{"identifier": {"value": resident.insurance.insurer}, "display": "飯塚市 保険課"}],
        "class": [{"type": {"text": "限度額適用区分"}, "value": state.limit_class}],
        "costToBeneficiary": [
            {
                "type": {"text": "負担割合"},
                "valueQuantity": {
                    "value": _burden_percent(resident, state.valid_from),
                    "unit": "%",
                    "system": _UCUM,
                },
            }
        ],
    }


def prescription_resource(resident: Resident, prescription: Prescription) -> dict[str, object]:
    """A MedicationRequest with group number, order in the group, dosage in words and numbers, and the supply."""
    drug = prescription.drug
    return {
        "resourceType": "MedicationRequest",
        "contained": [_patient(resident)],
        "identifier": [
            {"system": _RP_GROUP_SYSTEM, "value": "1"},
            {"system": _RP_ORDER_SYSTEM, "value": str(prescription.number)},
            {"system": _REQUEST_SYSTEM, "value": prescription.prescription_id(resident)},
        ],
        "status": prescription.status,
        "intent": "order",
        "medicationCodeableConcept": {
            "coding": [{"system": _RXNORM, "code": drug.rxnorm_code, "display": drug.display}],
            "text": drug.display,
        },
        "subject": {"reference": "#patient"},
        "authoredOn": f"{prescription.prescribed_on.isoformat()}T10:15:00+09:00",
        "requester": {"display": "架空総合病院 内科", "identifier": {"value": HOSPITAL_CODE}},
        "dosageInstruction": [_dosage(drug)],
        "dispenseRequest": {
            "quantity": {"value": prescription.days * _doses_a_day(drug) * drug.dose},
            "expectedSupplyDuration": {
                "value": prescription.days,
                "unit": "日",
                "system": _UCUM,
                "code": "d",
            },
        },
    }


def _patient(resident: Resident) -> dict[str, object]:
    return {
        "resourceType": "Patient",
        "id": "patient",
        "identifier": [{"system": _PATIENT_SYSTEM, "value": resident.addressee_no}],
        "name": [_name(resident.name, "IDE"), _name(resident.name_kana, "SYL")],
        "gender": "male" if resident.sex == "男" else "female",
        "birthDate": resident.birth_date.isoformat(),
    }


def _name(text: str, representation: str) -> dict[str, object]:
    return {"extension": [{"url": _NAME_KIND, "valueCode": representation}], "use": "official", "text": text}


def _burden_percent(resident: Resident, on: date) -> int:
    """What the patient pays: 20 % below school age and from 70, 10 % from 75, else 30 %; income classes left out."""
    age = age_years(resident.birth_date, on)
    if age >= LATE_STAGE_AGE_YEARS:
        return 10
    return 20 if age < _CHILD_AGE_YEARS or age >= _PENSIONER_AGE_YEARS else 30


def _period(drug: Drug) -> tuple[int, str]:
    return int(drug.period[:-1]), drug.period[-1]


def _doses_a_day(drug: Drug) -> int:
    count, unit = _period(drug)
    return drug.frequency if unit == "d" else max(1, drug.frequency * 24 // count)


def _dosage(drug: Drug) -> dict[str, object]:
    count, unit = _period(drug)
    text = "頓用" if drug.as_needed else f"1日{_doses_a_day(drug)}回、1回{drug.dose}"
    return {
        "text": text,
        "asNeededBoolean": drug.as_needed,
        "timing": {"repeat": {"frequency": drug.frequency, "period": count, "periodUnit": unit}},
        "doseAndRate": [{"doseQuantity": {"value": drug.dose}}],
    }
