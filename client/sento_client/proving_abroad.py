"""Without an outbox nobody looks abroad beside the caller: this is the caller's own look, once, within its deadline."""

from __future__ import annotations

from collections.abc import Sequence

from sento_client.composing import Ports
from sento_client.outbox.keeping import Run
from sento_client.proving import Prover
from sento_client.results import Abroad, Acknowledgement
from sento_proto.errors import SentoError
from sento_proto.limits import LIST_PAGE_MAX

RUNS_AT_ONCE = LIST_PAGE_MAX // 2


async def prove_abroad(
    prover: Prover, stands: Sequence[Acknowledgement], timeout_ms: int, ports: Ports
) -> dict[bytes, Abroad]:
    """Records, by hash, that a quorum's checkpoint covers which a site abroad cosigned, each proven under it; the others are pending."""
    if not stands:
        return {}
    end_ms = ports.steady_ms() + timeout_ms
    found: dict[bytes, Abroad] = {}
    try:
        checkpoint, site = await prover.checkpoint_abroad(max(one.position for one in stands) + 1, timeout_ms)
        runs = [Run(0, one.position, (one.record_hash,)) for one in stands if one.epoch == checkpoint.epoch]
        for start in range(0, len(runs), RUNS_AT_ONCE):
            part = runs[start : start + RUNS_AT_ONCE]
            held = await prover.prove_runs(part, checkpoint, max(1, end_ms - ports.steady_ms()))
            for run, proof in zip(part, held, strict=True):
                if proof is not None:
                    found[run.record_hashes[0]] = Abroad(True, site, checkpoint.size)
    except SentoError:
        # Pending is an answer: the record stands at home, and the caller may look again.
        return found
    return found
