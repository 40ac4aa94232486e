"""Writes `ledger_rules_1.json` beside this file. Run it for a new rule number only: the file of an old one never changes."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from golden_ledger import make_golden_ledger

if __name__ == "__main__":
    Path(__file__).with_name("ledger_rules_1.json").write_text(make_golden_ledger(), encoding="utf-8")
