"""Planted bugs in the rules by which payloads are erased and releases recorded: each is product code with one thing wrong.

They are put in as those of `planted_governance.py` are.
"""

from __future__ import annotations

from typing import ClassVar

from tests.simulation.planted_governance import Wrong, _Answering, _Replaced, _Site

from sento_proto.access_record import judge_access_record
from sento_proto.errors import Code
from sento_proto.governance.erasure_changes import CarryOutErasure, WithdrawErasure
from sento_proto.governance.state import ErasureOrder, Governance, covered
from sento_proto.header import Header

_OPEN = "sento_proto.governance.erasure_changes._OneOrder._open"
_find_open = CarryOutErasure._open


def _of_this_act_too(change: CarryOutErasure, governance: Governance, at: int) -> ErasureOrder:
    order = governance.erasure_orders.get(change.order)
    waits = order is not None and order.carried_out_at is None and order.withdrawn_at is None
    return order if order is not None and waits else _find_open(change, governance, at)


class _AtOnce(_Site):
    WRONG: ClassVar[Wrong] = {_OPEN: _of_this_act_too}


class ErasedByOneAct(_Replaced):
    """lets the act that orders an erasure carry it out too"""

    SITE = _AtOnce


def _destroyed_too(
    change: CarryOutErasure | WithdrawErasure, governance: Governance, at: int
) -> ErasureOrder:
    order = governance.erasure_orders.get(change.order)
    done = order is not None and order.carried_out_at is not None and isinstance(change, WithdrawErasure)
    return order if order is not None and done else _find_open(change, governance, at)


class _Reviving(_Site):
    WRONG: ClassVar[Wrong] = {_OPEN: _destroyed_too}


class CarriedOutErasureWithdrawn(_Replaced):
    """lets officers withdraw an erasure that was carried out"""

    SITE = _Reviving


class _ForEver(Governance):
    def destroyed_by(self, record_hash: bytes, registry: str, subject: bytes, position: int) -> int | None:
        return Governance.destroyed_by(self, record_hash, registry, subject, min(position, 0))


class LaterRecordsDestroyedToo(_Answering):
    """destroys what comes in about a subject after its erasure was carried out"""

    GOVERNANCE = _ForEver


class _AuthorsToo(Governance):
    def may_write(self, author: str, registry: str, compartment: str) -> bool:
        rights = self.authors.get(author)
        return rights is not None and covered(rights.may_write, registry, compartment)


class InstitutionsWriteAccessRecords(_Answering):
    """lets institutions with a scope of a whole registry write its access records and make their KEKs"""

    GOVERNANCE = _AuthorsToo


_JUDGE = "sento_proto.governance.site_records.judge_access_record"


def _any_key(governance: Governance, site: str, header: Header) -> Code | None:
    refusal = judge_access_record(governance, site, header)
    return None if refusal is Code.KEY_ENDED else refusal


class _Lenient(_Site):
    WRONG: ClassVar[Wrong] = {_JUDGE: _any_key}


class FormerSiteRecordsReleases(_Replaced):
    """takes access records of sites that are none any more"""

    SITE = _Lenient


def _closed_epochs_too(governance: Governance, site: str, header: Header) -> Code | None:
    refusal = judge_access_record(governance, site, header)
    return None if refusal is Code.KEY_EPOCH_CLOSED else refusal


class _Late(_Site):
    WRONG: ClassVar[Wrong] = {_JUDGE: _closed_epochs_too}


class ReleaseUnderAClosedKeyEpoch(_Replaced):
    """takes access records that are sealed under a closed key epoch"""

    SITE = _Late


def _any_delay(governance: Governance, registry: str, subject: bytes) -> bool:
    return any(delay.subject == subject for delay in governance.read_log_delays.values())


class _Elsewhere(_Site):
    WRONG: ClassVar[Wrong] = {"sento_proto.access_record._is_delayed": _any_delay}


class DelayHoldsEverywhere(_Replaced):
    """takes access records under a delay in registries that the delay does not name"""

    SITE = _Elsewhere
