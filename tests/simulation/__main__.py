"""`python -m tests.simulation --seeds 0:200`, or `--seed 17` to look at one world; exit code 1 names the seed that failed.

Also `--planted` (each planted bug against the seeds, as the table in README.md) and `--trace` (every line of one seed's trace).
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from tests.simulation.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
