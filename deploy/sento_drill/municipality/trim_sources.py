"""Trimming: makes the small tables of `data/` out of the upstream files that `data/NOTICE.md` names.

Run it again only when an upstream is renewed. Each argument is one upstream file; the order of rows is that of the
upstream, so that a renewal shows up as a readable difference:

    python -m sento_drill.municipality.trim_sources OUTPUT --names names.yml --towns 飯塚市.json \
        --postal postal_codes.csv.gz --municipalities localgovjp-utf8.csv --prescriptions MedicationRequest.ndjson
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

IIZUKA_JIS_CODE = "40205"
MALE_NAME_STEP = 4
FEMALE_NAME_STEP = 16
"""Every n-th given name is kept: some 650 of each sex are variety enough."""

_NAME_ROW = re.compile(r"\s*- \['(?P<kanji>[^']*)', '[^']*', '(?P<kana>[^']*)', '[^']*'\]")
_CHOME = re.compile(r"[一二三四五六七八九十]+丁目$")
_TAKEN_AT_HOME = re.compile(r"Oral (Tablet|Capsule|Solution|Suspension)|Inhalation|Mucosal Spray")


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def trim_names(source: Path, output: Path) -> None:
    """Family names whole, given names thinned out; kanji and katakana only."""
    section = ""
    names: dict[str, list[tuple[str, str]]] = {"male": [], "female": [], "last_name": []}
    for line in source.read_text(encoding="utf-8").splitlines():
        row = _NAME_ROW.match(line)
        if row is None:
            section = line.strip().rstrip(":")
        else:
            names[section].append((row["kanji"], row["kana"]))
    _write(output / "family_names.csv", ("kanji", "kana"), names["last_name"])
    given = [("男", *name) for name in names["male"][::MALE_NAME_STEP]]
    given += [("女", *name) for name in names["female"][::FEMALE_NAME_STEP]]
    _write(output / "given_names.csv", ("sex", "kanji", "kana"), given)


def trim_towns(towns: Path, postal: Path, output: Path) -> None:
    """Towns of Iizuka joined with their postal codes; a town that has no postal code of its own is left out."""
    with gzip.open(postal, mode="rt", encoding="utf-8", newline="") as stream:
        codes = {
            row["neighborhood"]: row["postal_code"]
            for row in csv.DictReader(stream)
            if row["jisx0402"] == IIZUKA_JIS_CODE and row["neighborhood"]
        }
    rows = []
    for town in json.loads(towns.read_text(encoding="utf-8")):
        code = codes.get(_CHOME.sub("", town["town"]))
        if code is not None:
            rows.append((town["town"] + town["koaza"], code))
    _write(output / "towns.csv", ("town", "postal_code"), rows)


def trim_municipalities(source: Path, output: Path) -> None:
    """Code, prefecture and name of every municipality; the upstream starts with a byte order mark."""
    with source.open(encoding="utf-8-sig", newline="") as stream:
        rows = [(row["lgcode"], row["pref"], row["city"].replace(" ", "")) for row in csv.DictReader(stream)]
    _write(output / "municipalities.csv", ("code", "prefecture", "name"), rows)


def trim_prescriptions(source: Path, output: Path) -> None:
    """Distinct drugs that a patient takes home, with dosage and how often each was prescribed.

    Patient, physician, diagnosis and dates are dropped; the generator makes its own.
    """
    counts: Counter[tuple[str, str, str, str, str, str]] = Counter()
    for line in source.read_text(encoding="utf-8").splitlines():
        request = json.loads(line)
        concept = request["medicationCodeableConcept"]
        if not _TAKEN_AT_HOME.search(concept["text"]):
            continue
        dosage = request.get("dosageInstruction", [{}])[0]
        repeat = dosage.get("timing", {}).get("repeat", {})
        dose = dosage.get("doseAndRate", [{}])[0].get("doseQuantity", {}).get("value", 1)
        counts[
            (
                concept["coding"][0]["code"],
                concept["text"],
                str(repeat.get("frequency", 1)),
                f"{float(repeat.get('period', 1)):g}{repeat.get('periodUnit', 'd')}",
                f"{float(dose):g}",
                "yes" if dosage.get("asNeededBoolean") else "no",
            )
        ] += 1
    header = ("rxnorm_code", "display", "frequency", "period", "dose", "as_needed", "weight")
    _write(output / "prescriptions.csv", header, [(*key, count) for key, count in counts.most_common()])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write all trimmed tables into the output directory."""
    parser = argparse.ArgumentParser(description="Make the tables of data/ from the upstream files.")
    parser.add_argument("output", type=Path)
    for name in ("names", "towns", "postal", "municipalities", "prescriptions"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    trim_names(chosen.names, chosen.output)
    trim_towns(chosen.towns, chosen.postal, chosen.output)
    trim_municipalities(chosen.municipalities, chosen.output)
    trim_prescriptions(chosen.prescriptions, chosen.output)


if __name__ == "__main__":
    main()
