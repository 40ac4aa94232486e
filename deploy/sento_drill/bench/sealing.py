"""How fast one core seals and signs: what a ministry's program does before anything is sent, in batches of 40 records as submissions have them.

    python -m sento_drill.bench.sealing --config sento.toml      one line of JSON: records a second of each round

A program of its own, bound to one core, because the bench's own process is busy with other things.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from sento_client import SentoClient
from sento_client.opening import open_installation
from sento_drill.bench.calls import LoadFailed
from sento_drill.bench.programs import finish_load, start_load
from sento_drill.bench.works import CONTENT_BYTES, drafts
from sento_proto.submission import sign_submission

BATCH = 40
ROUNDS = 5
ROUND_S = 1.5


async def measure_sealing(config: Path) -> dict[str, object]:
    """For bench.json. `config`: a client's configuration; no site is asked. Raises LoadFailed."""
    command = [sys.executable, "-m", "sento_drill.bench.sealing", "--config", str(config)]
    printed = await finish_load(await start_load(command), deadline_s=60.0 + ROUNDS * ROUND_S)
    try:
        rounds = [float(rate) for rate in json.loads(printed)]
        return {
            "records_per_s": round(median(rounds)),
            "rounds": [round(rate) for rate in rounds],
            "batch": BATCH,
            "content_bytes": CONTENT_BYTES,
        }
    except (ValueError, TypeError) as error:
        raise LoadFailed(f"sealing printed no figures: {printed[:200]!r} ({error!r})") from None


def rounds_per_s(config: Path) -> list[float]:
    """Records a second of each round, after one that is not counted. Raises SetupError."""
    installation = open_installation(config)
    signer = installation.signer
    assert signer is not None, "the bench writes as an author"
    client = SentoClient(installation)
    ledger_id = installation.genesis.ledger_id
    source = drafts()

    def one_round(seconds: float) -> float:
        records, start_s = 0, time.perf_counter()
        while time.perf_counter() - start_s < seconds:
            sealed = [client.compose(next(source)) for _ in range(BATCH)]
            sign_submission(ledger_id, sealed, signer)
            records += BATCH
        return records / (time.perf_counter() - start_s)

    one_round(ROUND_S / 3)
    return [one_round(ROUND_S) for _ in range(ROUNDS)]


def main(words: Sequence[str]) -> None:
    """Print the rounds."""
    parser = argparse.ArgumentParser(prog="sealing", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    arguments = parser.parse_args(words)
    os.sched_setaffinity(0, [max(os.sched_getaffinity(0))])
    print(json.dumps([round(rate, 1) for rate in rounds_per_s(arguments.config)]))


if __name__ == "__main__":
    main(sys.argv[1:])
