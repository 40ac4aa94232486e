"""Exporting, as a program calls it: the whole ledger into one file, every record of it verified on the way.

Records come in order from one site and from the next where that one fails; who gives them does not matter, because the tree that they make must be the one
that a quorum cosigned. What this institution may not see stands in the file with its hash alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from sento_client.asker import Asker, Terms, damaged
from sento_client.exporting.export_file import ExportFile, export_file
from sento_client.exporting.proving import ExportedLedger
from sento_client.messages import purpose_of, stored_of
from sento_client.session import Session
from sento_client.transport import CHANGES
from sento_client.verifying import Verdict
from sento_proto.checkpoint import Checkpoint
from sento_proto.errors import Code, SentoError
from sento_proto.governance.epoch_parts import Gap
from sento_proto.governance.gaps import open_gaps
from sento_proto.v1 import client_pb2

OLDER_CHECKPOINTS = 8
"""How many checkpoints of former sizes are asked of the sites; those that this computer kept come on top."""
PROGRESS_EVERY_RECORDS = 500


class Exported(NamedTuple):
    """What was written. `hidden`: records of which only the hash is there; `payloads`: how many came with theirs; `gaps`: those that a recovery
    left and that are open, which the file says in its first line."""

    path: Path
    checkpoint: Checkpoint
    hidden: int
    payloads: int
    older_checkpoints: int
    certificates: int
    frauds: int
    size_bytes: int
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to export: registries by name (all when empty), with payloads or headers alone, and what is put in at the end."""

    purpose: str
    case_number: str
    registries: Collection[str] = ()
    with_payloads: bool = False
    certificates: Sequence[object] = ()


class ExportingFace(Session):
    """The call that exports."""

    async def export_ledger(
        self,
        path: str | Path,
        wanted: Wanted,
        *,
        on_progress: Callable[[int, int], None] = lambda done, records: None,
        deadline_ms: int | None = None,
    ) -> Exported:
        """Write the ledger up to the newest quorum checkpoint to `path` (compressed where it ends in `.gz`), proven; a file there is replaced when all is
        written. `on_progress`: records written, and of how many. The deadline is for each answer, not for the whole.

        With payloads, each release is recorded by the sites under purpose and case number like any other. Raises SentoError DAMAGED when no site gives
        records that verify, OSError when the file cannot be written."""
        timeout_ms, path = self._deadline(deadline_ms), Path(path)
        checkpoint = await self._prover.checkpoint(0, timeout_ms)
        await self._follower.refresh(timeout_ms)
        self._require_registries(wanted.registries)
        older = await self._older_checkpoints(checkpoint, timeout_ms)
        ledger = ExportedLedger(checkpoint, older, wanted.registries, with_payloads=wanted.with_payloads)
        gaps = open_gaps(self._follower.followed.at(checkpoint.size))
        frauds = [] if self._archive is None else [json.loads(data) for _, data in self._archive.frauds()]
        with export_file(path) as file:
            file.begin(self._installation.genesis_bytes, checkpoint, self._ports.wall_ms(), gaps)
            await self._put_records(file, ledger, wanted, checkpoint.size, timeout_ms, on_progress)
            proven = ledger.prove()
            file.end(checkpoint.size, proven, wanted.certificates, frauds)
        return Exported(
            path,
            checkpoint,
            ledger.hidden,
            ledger.payloads,
            len(proven),
            len(wanted.certificates),
            len(frauds),
            path.stat().st_size,
            gaps,
        )

    def _require_registries(self, registries: Collection[str]) -> None:
        unknown = sorted(set(registries) - set(self._follower.followed.governance.registries))
        if unknown:
            raise SentoError(Code.BAD_REQUEST, f"there is no registry {unknown[0]}")

    async def _older_checkpoints(self, newest: Checkpoint, timeout_ms: int) -> list[Checkpoint]:
        """Quorum checkpoints of former sizes, spread over the ledger, and those under which this computer holds receipts."""
        found = {each.size: each for each in ([] if self._archive is None else self._archive.seen())}
        for part in range(OLDER_CHECKPOINTS):
            try:
                older = await self._prover.checkpoint(newest.size * part // OLDER_CHECKPOINTS, timeout_ms)
            except SentoError as error:
                if error.code not in (Code.NOT_FOUND, Code.OUT_OF_RANGE):
                    raise
                continue
            found.setdefault(older.size, older)
        return [
            each
            for each in found.values()
            if 0 < each.size < newest.size
            and each.epoch == newest.epoch
            and self._prover.checked(each).verdict is Verdict.HOLDS
        ]

    async def _put_records(
        self,
        file: ExportFile,
        ledger: ExportedLedger,
        wanted: Wanted,
        size: int,
        timeout_ms: int,
        on_progress: Callable[[int, int], None],
    ) -> None:
        """Every record below `size`, from whichever site gives them."""
        asker = Asker(self._transport, self._ports)
        terms = Terms(wanted.purpose, wanted.case_number, timeout_ms=timeout_ms)
        plan = asker.plan(terms)
        request = client_pb2.ChangesRequest(
            purpose=purpose_of(wanted.purpose, wanted.case_number),
            header_only=not wanted.with_payloads,
            with_hidden=True,
        )
        while not ledger.is_whole:
            site = await asker.next_site(plan)
            request.from_position = ledger.next_position
            try:
                async for message in asker.stream(site, CHANGES, request, endless=False):
                    file.put(ledger.take(stored_of(message), site, self._follower.trust))
                    plan = asker.plan(terms)
                    if ledger.next_position % PROGRESS_EVERY_RECORDS == 0 or ledger.is_whole:
                        on_progress(ledger.next_position, size)
                    if ledger.is_whole:
                        return
            except SentoError as error:
                plan.failed(error)
                continue
            plan.failed(damaged(site, f"it gave no record at position {ledger.next_position}"))
