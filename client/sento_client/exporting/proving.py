"""What an export must prove while it is written: record after record in order, each one verified, and at the end the very tree that a quorum cosigned.

Pure: records in, what goes into the file out. Memory is the tree's right edge and a root for each checkpoint, whatever the size of the ledger. A record that
does not verify ends the export: a file that is not proven is never finished.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sento_client.asker import damaged
from sento_client.record_objects import object_of
from sento_client.trust import Trust
from sento_client.verifying import Stored, Verdict, check_hidden, check_record
from sento_proto.checkpoint import Checkpoint
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.merkle import Frontier
from sento_proto.record_object import RecordObject


class ExportedLedger:
    """A ledger up to `checkpoint`, as it goes into a file. `registries`: whose records are shown, all when empty; governance and keys always are.

    `older`: checkpoints of former sizes that the same records must lead to."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        older: Iterable[Checkpoint] = (),
        registries: Collection[str] = (),
        *,
        with_payloads: bool = False,
    ) -> None:
        self._checkpoint = checkpoint
        self._older = sorted(older, key=lambda each: each.size)
        self._registries = frozenset(registries) | CLEAR_CONTENT_REGISTRIES if registries else frozenset()
        self._with_payloads = with_payloads
        self._sizes = {each.size for each in self._older}
        self._tree = Frontier()
        self._roots = {0: self._tree.root()}
        self.hidden = 0
        self.payloads = 0

    @property
    def next_position(self) -> int:
        """The position that must come next."""
        return self._tree.size

    @property
    def is_whole(self) -> bool:
        """Whether every record below the checkpoint's size was taken."""
        return self._tree.size == self._checkpoint.size

    def take(self, stored: Stored, site: str, trust: Trust) -> RecordObject:
        """The next record, verified, as the file has it. Raises SentoError DAMAGED, which names the site."""
        if stored.position != self.next_position:
            raise damaged(site, f"position {stored.position} came where {self.next_position} must stand")
        if stored.hidden:
            finding = check_hidden(stored)
            if finding.verdict is Verdict.FAILS:
                raise damaged(site, finding.why)
            shown = False
        else:
            header, findings = check_record(stored, trust)
            if header is None or not findings.ok:
                raise damaged(site, f"position {stored.position}: {findings.why}")
            shown = not self._registries or header.registry in self._registries
        self._tree.append(stored.record_hash)
        if self._tree.size in self._sizes:
            self._roots[self._tree.size] = self._tree.root()
        return self._object(stored, shown=shown)

    def _object(self, stored: Stored, *, shown: bool) -> RecordObject:
        if not shown:
            self.hidden += 1
            return object_of(stored._replace(hidden=True), with_chain=True)
        record = object_of(stored, with_chain=True)
        if not (self._with_payloads and stored.payload):
            return record
        self.payloads += 1
        return record._replace(payload=stored.payload)

    def prove(self) -> tuple[Checkpoint, ...]:
        """The older checkpoints, once all records were taken. Raises SentoError DAMAGED when a tree is another than the one that a quorum cosigned."""
        if not self.is_whole or self._tree.root() != self._checkpoint.root:
            raise damaged(
                "the sites that answered",
                f"their records do not make the tree of size {self._checkpoint.size} that a quorum cosigned",
            )
        for each in self._older:
            if self._roots[each.size] != each.root:
                raise damaged(
                    "the sites that answered",
                    f"a quorum cosigned another tree of size {each.size} before: one of two histories is false",
                )
        return tuple(self._older)
