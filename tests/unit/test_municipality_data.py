"""Carried data: each file is credited, the folder stays small, and trimming keeps what it says it keeps."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from sento_drill import municipality
from sento_drill.municipality import reference
from sento_drill.municipality.check_digits import MUNICIPALITY_CODE
from sento_drill.municipality.trim_sources import main as trim

DATA = Path(municipality.__file__).parent / "data"


def test_every_data_file_is_named_in_the_notice_and_the_folder_is_small() -> None:
    notice = (DATA / "NOTICE.md").read_text(encoding="utf-8")
    carried = [path for path in DATA.iterdir() if path.name != "NOTICE.md"]
    assert [path.name for path in carried if f"`{path.name}`" not in notice] == []
    assert sum(path.stat().st_size for path in carried) < 1_500_000


def test_tables_hold_real_codes_towns_and_drugs() -> None:
    assert all(MUNICIPALITY_CODE.is_valid(row.code) for row in reference.municipalities())
    assert ("402052", "福岡県", "飯塚市") in {
        (row.code, row.prefecture, row.name) for row in reference.municipalities()
    }
    assert len(reference.towns()) == 98
    assert all(
        len(town.postal_code) == 7 and town.postal_code.startswith("820") for town in reference.towns()
    )
    assert all(drug.weight > 0 and drug.frequency > 0 for drug in reference.drugs())


def test_trimming_drops_persons_mark_and_strangers_and_keeps_glyphs(tmp_path: Path) -> None:
    (tmp_path / "names.yml").write_text(
        "first_name:\n  male:\n    - ['愛斗', 'あいと', 'アイト', 'Aito']\n  female:\n"
        "    - ['\ufa19奈', 'かな', 'カナ', 'Kana']\nlast_name:\n  - ['佐藤', 'さとう', 'サトウ', 'Satou']\n",
        encoding="utf-8",
    )
    towns = [
        {"town": "片島一丁目", "koaza": ""},
        {"town": "枝国", "koaza": "長浦"},
        {"town": "無番", "koaza": ""},
    ]
    (tmp_path / "towns.json").write_text(json.dumps(towns), encoding="utf-8")
    with gzip.open(tmp_path / "postal.csv.gz", "wt", encoding="utf-8") as stream:
        stream.write(
            "jisx0402,postal_code,neighborhood\n40205,8200068,片島\n40205,8200081,枝国\n40206,8250000,無番\n"
        )
    (tmp_path / "codes.csv").write_text(
        "pid,pref,city,lgcode\n40,福岡県,飯塚市,402052\n1,北海道,札幌市 中央区,011011\n", encoding="utf-8-sig"
    )
    requests = [
        {
            "medicationCodeableConcept": {"coding": [{"code": code}], "text": text},
            "subject": {"reference": "Patient/x"},
        }
        for code, text in (
            ("1", "A 1 MG Oral Tablet"),
            ("1", "A 1 MG Oral Tablet"),
            ("2", "B Intrauterine System"),
        )
    ]
    (tmp_path / "requests.ndjson").write_text("\n".join(map(json.dumps, requests)), encoding="utf-8")
    output = tmp_path / "out"
    output.mkdir()
    sources = {
        "names": "names.yml",
        "towns": "towns.json",
        "postal": "postal.csv.gz",
        "municipalities": "codes.csv",
        "prescriptions": "requests.ndjson",
    }
    trim(
        [
            str(output),
            *(part for name, file in sources.items() for part in (f"--{name}", str(tmp_path / file))),
        ]
    )
    written = {path.name: path.read_text(encoding="utf-8").splitlines()[1:] for path in output.iterdir()}
    assert written == {
        "family_names.csv": ["佐藤,サトウ"],
        "given_names.csv": ["男,愛斗,アイト", "女,\ufa19奈,カナ"],
        "towns.csv": ["片島一丁目,8200068", "枝国長浦,8200081"],
        "municipalities.csv": ["402052,福岡県,飯塚市", "011011,北海道,札幌市中央区"],
        "prescriptions.csv": ["1,A 1 MG Oral Tablet,1,1d,1,no,2"],
    }
