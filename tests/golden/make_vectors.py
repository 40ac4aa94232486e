"""Writes `vectors.json` anew from this release's encoders and fixed keys: the same bytes each time.

A changed byte in the file is a changed format: sites and offices that run the release before would refuse what this one makes. `--check` writes
nothing and ends with 1 when the file differs. The vectors themselves are made by `tests/support/golden_vectors`.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VECTORS = HERE / "vectors.json"
_SUPPORT = HERE.parent / "support"


def main(arguments: list[str]) -> int:
    """Write, or compare with `--check`; the exit code."""
    sys.path.insert(0, str(_SUPPORT))
    from golden_vectors.assembly import vectors_bytes

    made = vectors_bytes()
    if arguments == ["--check"]:
        same = VECTORS.read_bytes() == made
        print("vectors.json is what this release makes" if same else "vectors.json differs from this release")
        return 0 if same else 1
    VECTORS.write_bytes(made)
    print(f"wrote {len(made)} bytes to {VECTORS.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
