"""Writes the golden ledgers that are not there yet beside this file. The file of a rules number never changes: one that stands is left alone."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from golden_ledger import GOLDEN_LEDGERS

if __name__ == "__main__":
    for name, make in GOLDEN_LEDGERS.items():
        path = Path(__file__).with_name(f"{name}.json")
        if path.exists():
            print(f"{path.name} stands")
        else:
            path.write_text(make(), encoding="utf-8")
            print(f"wrote {path.name}")
