"""A large ledger's tree in memory, and the checkpoints that a drill's sites would cosign over it, with or without their ML-DSA-44 keys.

Its leaves are random: who verifies a receipt without record never sees more of a record than its hash.
"""

from __future__ import annotations

import base64
import json
import os
import time
from functools import cached_property

from sento_drill.genesis_file import genesis_bytes
from sento_drill.keys import DevelopmentKeys, make_keys
from sento_drill.plan import WorldPlan
from sento_proto.checkpoint import Checkpoint, SiteSigners, cosign_all
from sento_proto.genesis import Genesis, decode_genesis
from sento_proto.governance.state import Governance, from_genesis
from sento_proto.merkle import HASH_BYTES, inclusion_proof, node_hash, range_root
from sento_proto.receipt import Receipt

LEDGER_RECORDS = 1 << 16
CREATED = "2026-01-01T00:00:00Z"


class MadeLedger:
    """`with_ml_dsa`: whether each of the three sites has an ML-DSA-44 key beside its Ed25519 one."""

    def __init__(self, *, with_ml_dsa: bool, records: int = LEDGER_RECORDS) -> None:
        plan = WorldPlan()
        self._keys: DevelopmentKeys = make_keys(plan, os.urandom)
        self.with_ml_dsa = with_ml_dsa
        self.genesis_bytes = _genesis(plan, self._keys, with_ml_dsa=with_ml_dsa)
        self.leaves = [os.urandom(HASH_BYTES) for _ in range(records)]
        self._nodes: dict[tuple[int, int], bytes] = {}

    @cached_property
    def genesis(self) -> Genesis:
        """Whose ledger it is."""
        return decode_genesis(self.genesis_bytes)

    @cached_property
    def governance(self) -> Governance:
        """Who counts."""
        return from_genesis(self.genesis)

    def checkpoint(self, size: int) -> Checkpoint:
        """The first `size` records under the cosignatures of all three sites, made now."""
        root = range_root(self._read, 0, size)
        plain = Checkpoint(self.genesis.ledger_id, 0, size, root)
        time_s = int(time.time())
        lines = [
            line
            for site in self.genesis.sites
            for line in cosign_all(plain, site.name, self._signers(site.name), time_s)
        ]
        return plain._replace(signatures=tuple(lines))

    def path(self, position: int, size: int) -> tuple[bytes, ...]:
        """The record's inclusion path in the tree of that size."""
        return tuple(inclusion_proof(self._read, position, size))

    def receipt(self, position: int, checkpoint: Checkpoint) -> Receipt:
        """Of one record, without the record."""
        path = self.path(position, checkpoint.size)
        return Receipt(self.genesis.ledger_id, position, self.leaves[position], path, checkpoint)

    def _signers(self, site: str) -> SiteSigners:
        signers = self._keys.site_signers(site)
        return signers if self.with_ml_dsa else signers._replace(ml_dsa_44=None)

    def _read(self, level: int, index: int) -> bytes:
        if not level:
            return self.leaves[index]
        found = self._nodes.get((level, index))
        if found is None:
            found = node_hash(self._read(level - 1, 2 * index), self._read(level - 1, 2 * index + 1))
            self._nodes[level, index] = found
        return found


def _genesis(plan: WorldPlan, keys: DevelopmentKeys, *, with_ml_dsa: bool) -> bytes:
    data = genesis_bytes(plan, keys, CREATED)
    if with_ml_dsa:
        return data
    document = json.loads(data)
    for site in document["sites"]:
        assert base64.b64decode(site.pop("ml_dsa_44")), "a drill's sites have both keys"
    return json.dumps(document).encode()
