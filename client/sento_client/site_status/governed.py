"""Which sites there are, which of them vote, and whose cosignatures count: as acts made it, in the form of the genesis file that the judgement starts from.

After a relocation or a recovery the genesis file names sites that vote no more; a sentence about majorities must not count them. Pure.
"""

from __future__ import annotations

from dataclasses import replace

from sento_proto.genesis import Genesis
from sento_proto.governance.state import Governance


def governed(genesis: Genesis, governance: Governance) -> Genesis:
    """The genesis with sites and receipt set of this governance."""
    return replace(genesis, sites=tuple(governance.sites.values()), receipt_set=governance.receipt_set)
