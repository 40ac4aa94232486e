"""The rules by which blocks are applied have a number that is part of the ledger's state; this says what each number means.

    1   the genesis file governs alone: officers' acts have no power, authors sign with Ed25519
    2   officers' acts govern; key epochs and sites' announcements count; authors sign with Ed25519 or ECDSA P-256
    3   as 2, and a key may have a companion of ML-DSA-65: then both sign, and neither signature can be left out
    4   as 3, and releases of payloads are recorded by the sites; payloads are erased after two acts; read logs may be delayed, keys left to an agent
    5   as 4, and acts say where sites are reached and which of them vote, enrol tie-breakers, begin a new epoch,
        and open and close the gap that a recovery left

Officers raise the number once every site of the receipt set has announced that it knows the new one. Old numbers stay, with a golden ledger each, because
a ledger is applied again from its first block. A ledger under rules 1 stays under them: nobody has the power to raise it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sento_proto.keys import Suite


class Rules(NamedTuple):
    """What one number means. `acts`: officers govern; `suites`: what authors may sign with; `companions`: ML-DSA-65 beside it; `read_log`: sites record
    releases, and erasure takes two acts; `epochs`: acts begin epochs, place sites, and say of gaps."""

    number: int
    acts: bool
    suites: frozenset[int]
    companions: bool
    read_log: bool = False
    epochs: bool = False


RULES: Mapping[int, Rules] = {
    1: Rules(1, acts=False, suites=frozenset({Suite.ED25519}), companions=False),
    2: Rules(2, acts=True, suites=frozenset({Suite.ED25519, Suite.ECDSA_P256}), companions=False),
    3: Rules(3, acts=True, suites=frozenset({Suite.ED25519, Suite.ECDSA_P256}), companions=True),
    4: Rules(
        4, acts=True, suites=frozenset({Suite.ED25519, Suite.ECDSA_P256}), companions=True, read_log=True
    ),
    5: Rules(
        5,
        acts=True,
        suites=frozenset({Suite.ED25519, Suite.ECDSA_P256}),
        companions=True,
        read_log=True,
        epochs=True,
    ),
}
RULES_KNOWN = tuple(RULES)
"""What this release can apply, rising."""
NEWEST_RULES = RULES_KNOWN[-1]
