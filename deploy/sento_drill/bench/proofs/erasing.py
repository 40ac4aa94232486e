"""Erasure from end to end: from the act that carries an order out to the certificates of all three sites, and what of it is the ordering log's part.

Records are written, an order stands, then the second act; from there every site is asked ten times a second whether its certificate is there. When a site had
destroyed the payloads on its own disk, trimmed, filled up, and rolled the log, its own log says. Nobody writes meanwhile.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from pathlib import Path
from statistics import median

from sento_client import SentoClient, SentoError
from sento_client.erasures import ask_erasures
from sento_drill.bench.proofs.acts import Enacted, enact
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.running import AUTHOR, fill_records, running_sites, wait_all_flushed
from sento_drill.bench.works import drafts
from sento_drill.cluster import LocalCluster
from sento_drill.waiting import until

ACT_MAX_HASHES = 200
LOOK_EVERY_S = 0.1
CERTIFIED_WITHIN_S = 180.0
ASK_TIMEOUT_MS = 5_000
CERTIFIED = "erasure certified"
STAGES = {
    "payloads erased": "payloads_destroyed",
    "erased blocks are trimmed": "blocks_trimmed",
    "filler written": "filler_written",
    "ordering log's files are rolled and its database rewritten": "log_rolled",
    CERTIFIED: "certified",
}
"""What a site says in its log, and how it is called here; of one that comes again, the last counts."""
Figures = dict[str, object]


async def measure_erasure(place: Place) -> Found:
    """Seconds of each stage at each site, for each order."""
    sizes, found, runs = place.sizes, Found(), list[Figures]()
    async with (
        running_sites(place.directory / "world") as cluster,
        SentoClient.open(cluster.world.institution(AUTHOR).config) as client,
    ):
        for number in range(1, sizes.erasures + 1):
            runs.append(await _one(cluster, client, sizes.erased_records))
            place.tell(f"erasure {number}: every site certified after {runs[-1]['all_certified_s']} s")
    found.add("orders", runs)
    found.rows += _rows(runs, sizes.erased_records)
    return found


async def _one(cluster: LocalCluster, client: SentoClient, records: int) -> Figures:
    await fill_records(client, 10 * records)
    hashes = await _written_hashes(client, min(records, ACT_MAX_HASHES))
    await wait_all_flushed(cluster)
    order = await enact(
        cluster.world, "the law", {"do": "erase", "records": hashes, "legal_basis": "Residents Act 22"}
    )
    since = {site: processes.log_file.stat().st_size for site, processes in cluster.processes.items()}
    carried_out = await enact(
        cluster.world, "the wait is over", {"do": "carry-out-erasure", "order": order.position}
    )
    certified_s = await _wait_certified(cluster, client, order.position, carried_out)
    stages = {
        site: stages_of(_said_since(processes.log_file, since[site]), carried_out.stood_s)
        for site, processes in cluster.processes.items()
    }
    return {
        "records": len(hashes),
        "order_took_s": round(order.stood_s - order.sent_s, 3),
        "carry_out_took_s": round(carried_out.stood_s - carried_out.sent_s, 3),
        "certified_s": certified_s,
        "all_certified_s": max(certified_s.values()),
        "stages_s": stages,
    }


async def _written_hashes(client: SentoClient, records: int) -> list[str]:
    """Record hashes of fresh records, as the order names them."""
    source = drafts()
    results = await client.write_many([next(source) for _ in range(records)])
    hashes: list[str] = []
    for result in results:
        if isinstance(result, SentoError):
            raise result
        hashes.append(result.record_hash.hex())
    return hashes


async def _wait_certified(
    cluster: LocalCluster, client: SentoClient, order: int, carried_out: Enacted
) -> dict[str, float]:
    """Seconds from the act standing until each site's certificate was there and verified. Raises TooLate."""
    governance = await client.governance()
    found: dict[str, float] = {}

    async def look() -> bool:
        answers = await ask_erasures(
            client,
            governance,
            timeout_ms=ASK_TIMEOUT_MS,
            sites=[site for site in client.sites if site not in found],
        )
        now_s = time.time()
        for answer in answers:
            good = [one for one in answer.certificates if one.content is not None and not one.why]
            if any(one.content is not None and one.content.order == order for one in good):
                found[answer.site] = round(now_s - carried_out.stood_s, 2)
        return len(found) == len(cluster.processes)

    await until(look, deadline_s=CERTIFIED_WITHIN_S, what="not every site has certified", poll_s=LOOK_EVERY_S)
    return found


def _said_since(log_file: Path, offset: int) -> list[str]:
    with log_file.open("rb") as file:
        file.seek(offset)
        return file.read().decode("utf-8", "replace").splitlines()


def stages_of(lines: list[str], since_s: float) -> dict[str, float]:
    """Seconds from `since_s` (since 1970) until the site said each stage, from the lines of its log: JSON objects, and others that are left out. Pure."""
    found: dict[str, float] = {}
    for line in lines:
        try:
            said = json.loads(line)
            stage, at_s = STAGES.get(said["event"]), datetime.fromisoformat(said["timestamp"]).timestamp()
        except (ValueError, KeyError, TypeError):
            continue
        if stage is not None:
            found[stage] = round(at_s - since_s, 2)
    return found


def _rows(runs: list[Figures], asked: int) -> list[Row]:
    every = [run["stages_s"] for run in runs]
    sites = [stages for run in every if isinstance(run, dict) for stages in run.values()]
    ends = [float(str(run["all_certified_s"])) for run in runs]
    own = [stages["payloads_destroyed"] for stages in sites if "payloads_destroyed" in stages]
    log = [
        stages["log_rolled"] - stages["payloads_destroyed"]
        for stages in sites
        if {"log_rolled", "payloads_destroyed"} <= stages.keys()
    ]
    note = f"{len(runs)} orders of {min(asked, ACT_MAX_HASHES)} records; longest {max(ends):.1f} s"
    rows = [Row("from the act standing to three certificates", f"{median(ends):.1f} s", note)]
    if own:
        rows.append(
            Row(
                "to the payloads being gone from a site's segments", f"{median(own):.2f} s", "median of sites"
            )
        )
    if log:
        words = "median of sites; trimming, filler of some 70 MB a member, database rewritten"
        rows.append(Row("of it the ordering log's part", f"{median(log):.1f} s", words))
    took = [float(str(run[name])) for run in runs for name in ("order_took_s", "carry_out_took_s")]
    rows.append(
        Row(
            "an officers' act, from sending it to standing",
            f"{median(took) * 1000:,.0f} ms",
            f"{len(took)} acts",
        )
    )
    return rows
