"""From the begin of a write to its receipt on disk, at three sites under 1 and 64 callers: as receipts come by themselves, and as they come when asked for."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sento_client import SentoClient
from sento_drill.bench.calls import Calls, LoadFailed
from sento_drill.bench.programs import finish_load, start_load
from sento_drill.bench.proofs.parts import Found, Place, Row
from sento_drill.bench.proofs.receipt_load import ASKED, KEPT, STORED_WITHIN_S
from sento_drill.bench.proofs.running import AUTHOR, running_sites
from sento_drill.bench.works import Timing, drafts
from sento_proto.receipt import encode_receipt

CALLERS = (1, 64)
_WORDS = {KEPT: "by itself, behind the writing", ASKED: "asked for by each caller"}


async def measure_latency(place: Place) -> Found:
    """p50 and p99 of both ways under each number of callers, and the size of a receipt of such a ledger."""
    found = Found()
    async with running_sites(place.directory / "world") as cluster:
        config = cluster.world.institution(AUTHOR).config
        for callers in CALLERS:
            for way in (KEPT, ASKED):
                place.tell(f"from write to receipt: {callers} callers, {_WORDS[way]}")
                await _one(found, config, callers, way, place.sizes.latency)
        place.tell("the size of a receipt")
        await _live_sizes(found, config)
    return found


async def _one(found: Found, config: Path, callers: int, way: str, timing: Timing) -> None:
    command = [sys.executable, "-m", "sento_drill.bench.proofs.receipt_load", "--config", str(config)]
    command += ["--callers", str(callers), "--way", way]
    command += ["--warm-up", str(timing.warm_up_s), "--seconds", str(timing.seconds)]
    printed = await finish_load(await start_load(command), timing.deadline_s + STORED_WITHIN_S)
    written, stored, missing = decode_times(printed)
    figures = {
        "records_per_s": round(written.per_s, 1),
        "failed": written.failed,
        "missing": missing,
        "acknowledged_ms": _percentiles(written),
        "receipt_stored_ms": _percentiles(stored),
    }
    what = f"{callers} caller{'s' if callers > 1 else ''}, receipt {_WORDS[way]}"
    figure = f"p50 {stored.percentile_ms(50):,.0f} ms, p99 {stored.percentile_ms(99):,.0f} ms"
    note = f"acknowledged p50 {written.percentile_ms(50):,.0f} ms, p99 {written.percentile_ms(99):,.0f} ms; {written.per_s:,.0f} records/s"
    note += f"; {missing} receipts missing after {STORED_WITHIN_S:g} s" if missing else ""
    found.add(f"{callers}_callers_{way}", figures, Row(what, figure, note))


def decode_times(printed: str) -> tuple[Calls, Calls, int]:
    """What the load printed: acknowledgements, receipts, and how many receipts did not come. Raises LoadFailed."""
    try:
        fields = json.loads(printed)
        seconds, failed = float(fields["seconds"]), int(fields["failed"])
        written, stored = (
            Calls(0.0, seconds, failed, [int(us) for us in fields[name]])
            for name in ("written_us", "stored_us")
        )
        return written, stored, int(fields["missing"])
    except (ValueError, KeyError, TypeError) as error:
        raise LoadFailed(f"a load printed no figures: {printed[:200]!r} ({error!r})") from None


def _percentiles(calls: Calls) -> dict[str, float]:
    return {f"p{percent}": round(calls.percentile_ms(percent), 2) for percent in (50, 99)}


async def _live_sizes(found: Found, config: Path) -> None:
    """Of a receipt as the client gives it, alone and with header and signatures of its record."""
    async with SentoClient.open(config) as client:
        done = await client.write(**next(drafts())._asdict())
        alone = await client.receipt(done)
        whole = await client.receipt_of(
            done.position, with_record=True, purpose="bench", case_number="bench-1"
        )
    sizes = {name: len(encode_receipt(each)) for name, each in (("alone", alone), ("with_record", whole))}
    lines = len(alone.checkpoint.signatures)
    figures = {**sizes, "ledger_records": alone.checkpoint.size, "signature_lines": lines}
    figure = f"{sizes['alone']:,} bytes; with the record's header and signatures {sizes['with_record']:,}"
    found.add("live_receipt", figures, Row("receipt file of this ledger", figure, f"{lines} signature lines"))
