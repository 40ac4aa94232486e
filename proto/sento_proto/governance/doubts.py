"""What a recovered epoch leaves in doubt: places of the former epoch where its sites may have come to other records than the copy that the ledger went on from.

    0 .. agreed_size        a quorum of the former epoch is known to have cosigned this: what its sites vouched for stays good
    agreed_size .. fork     one survivor's copy: what they vouched for is good only where it is shown to stand in the ledger that goes on
    fork ..                 lost with the epoch (`Governance.lost_with`)

Pure.
"""

from __future__ import annotations

from sento_proto.governance.epoch_parts import Epoch
from sento_proto.governance.state import Governance


def doubted_by(governance: Governance, epoch: int, size: int) -> Epoch | None:
    """The later epoch that goes on from a copy of `epoch` which nobody is known to have agreed on up to `size` records: what stood there may stand or be lost,
    and only the ledger itself can tell. None where it stays good, and where it is lost."""
    if governance.lost_with(epoch, size) is not None:
        return None
    later = [begun for begun in governance.epochs if begun.number > epoch and begun.agreed_size < size]
    return min(later, key=lambda begun: begun.agreed_size, default=None)


def sure_size(governance: Governance, epoch: int, size: int) -> int:
    """How many of the first `size` records of `epoch` stay good whatever its sites came to behind them."""
    return min([size, *(begun.agreed_size for begun in governance.epochs if begun.number > epoch)])
