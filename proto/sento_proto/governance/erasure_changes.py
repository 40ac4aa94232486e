"""Changes that have payloads destroyed: an order, and after its waiting period a second act that carries it out or withdraws it.

From the order on the payloads are given out no more, so that a mistake does harm that can be undone; only the second act destroys, and nothing brings them
back. Headers, hashes and proofs stay. What one act orders is one order, named by the act's position; the same act can never carry it out. No clock counts
the waiting period: the order says it in words, and officers end it by signing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from sento_proto.governance.changing import Unfit, with_entry, without
from sento_proto.governance.state import ErasureOrder, Governance
from sento_proto.limits import CLEAR_CONTENT_REGISTRIES
from sento_proto.strict_json import Fields

HASH_BYTES = 32
POSITION_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Erase:
    """Payloads of single records are to be destroyed everywhere."""

    DO: ClassVar[str] = "erase"
    RULES: ClassVar[int] = 2
    records: tuple[bytes, ...]
    legal_basis: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.hexes("records", HASH_BYTES), fields.text("legal_basis"))

    def effect(self, governance: Governance, at: int) -> Governance:
        if not self.records or len(set(self.records)) != len(self.records):
            raise Unfit("No record is named, or one twice.")
        if any(record in governance.erasures for record in self.records):
            raise Unfit("One of the records is ordered to be erased already.")
        if not self.legal_basis.strip():
            raise Unfit("An erasure names its legal basis.")
        order = _order_at(governance, at, self.legal_basis)
        return governance.changed(
            erasures={**governance.erasures, **dict.fromkeys(self.records, at)},
            erasure_orders=with_entry(
                governance.erasure_orders, at, order._replace(records=order.records + self.records)
            ),
        )

    def words(self, governance: Governance) -> str:
        return f"The payloads of {len(self.records)} records are given out no more and are to be destroyed ({self.legal_basis})."


@dataclass(frozen=True, slots=True)
class EraseSubject:
    """Payloads of all records about one subject in a registry are to be destroyed everywhere; `wait`: the waiting period, in words."""

    DO: ClassVar[str] = "erase-subject"
    RULES: ClassVar[int] = 4
    registry: str
    subject: bytes
    legal_basis: str
    wait: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(
            fields.name("registry"),
            fields.hex("subject", HASH_BYTES),
            fields.text("legal_basis"),
            fields.text("wait"),
        )

    def effect(self, governance: Governance, at: int) -> Governance:
        if self.registry not in governance.registries or self.registry in CLEAR_CONTENT_REGISTRIES:
            raise Unfit(f"There is no registry {self.registry} with payloads of persons.")
        if not self.legal_basis.strip() or not self.wait.strip():
            raise Unfit("An erasure names its legal basis and its waiting period.")
        about = (self.registry, self.subject)
        earlier = governance.subject_erasures.get(about, ())
        if earlier and governance.erasure_orders[earlier[-1]].carried_out_at is None:
            raise Unfit(
                f"The subject is ordered to be erased in {self.registry} already, by the act at {earlier[-1]}."
            )
        order = _order_at(governance, at, self.legal_basis, self.wait)
        return governance.changed(
            subject_erasures=with_entry(governance.subject_erasures, about, (*earlier, at)),
            erasure_orders=with_entry(
                governance.erasure_orders, at, order._replace(subjects=(*order.subjects, about))
            ),
        )

    def words(self, governance: Governance) -> str:
        return (
            f"The payloads of all records about subject {self.subject.hex()} in {self.registry} are given out no more; after {self.wait} "
            f"officers may have them destroyed, and until then those that come in are withheld too ({self.legal_basis})."
        )


@dataclass(frozen=True, slots=True)
class _OneOrder:
    """A change to one order; `order` is the position of its act."""

    order: int

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.number("order", 0, POSITION_MAX))

    def _open(self, governance: Governance, at: int) -> ErasureOrder:
        order = governance.erasure_orders.get(self.order)
        if order is None:
            raise Unfit(f"The act at position {self.order} ordered no erasure.")
        if order.position == at:
            raise Unfit("An erasure is ordered by one act and ended by another.")
        if order.withdrawn_at is not None:
            raise Unfit(f"The order of position {self.order} was withdrawn at {order.withdrawn_at}.")
        if order.carried_out_at is not None:
            raise Unfit(f"The order of position {self.order} was carried out at {order.carried_out_at}.")
        return order


@dataclass(frozen=True, slots=True)
class CarryOutErasure(_OneOrder):
    """The waiting period is over: every site destroys what the order covers, for ever."""

    DO: ClassVar[str] = "carry-out-erasure"
    RULES: ClassVar[int] = 4

    def effect(self, governance: Governance, at: int) -> Governance:
        order = self._open(governance, at)._replace(carried_out_at=at)
        return governance.changed(erasure_orders=with_entry(governance.erasure_orders, self.order, order))

    def words(self, governance: Governance) -> str:
        return (
            f"Every site destroys the payloads that {_covers(governance, self.order)}; nothing brings them back. "
            "Headers and proofs stay, and each site certifies what it destroyed."
        )


@dataclass(frozen=True, slots=True)
class WithdrawErasure(_OneOrder):
    """The order is taken back before it was carried out; what it covered is given out again."""

    DO: ClassVar[str] = "withdraw-erasure"
    RULES: ClassVar[int] = 4

    def effect(self, governance: Governance, at: int) -> Governance:
        order = self._open(governance, at)
        erasures = {record: by for record, by in governance.erasures.items() if by != self.order}
        subjects = dict(governance.subject_erasures)
        for about in order.subjects:
            left = tuple(by for by in subjects[about] if by != self.order)
            subjects = with_entry(subjects, about, left) if left else without(subjects, about)
        return governance.changed(
            erasures=erasures,
            subject_erasures=subjects,
            erasure_orders=with_entry(governance.erasure_orders, self.order, order._replace(withdrawn_at=at)),
        )

    def words(self, governance: Governance) -> str:
        return f"The payloads that {_covers(governance, self.order)} are given out again; the order is withdrawn."


def _order_at(governance: Governance, at: int, legal_basis: str, wait: str = "") -> ErasureOrder:
    """The order that the act at this position makes, as far as its earlier changes made it."""
    order = governance.erasure_orders.get(at) or ErasureOrder(at, (), (), legal_basis)
    bases, waits = order.legal_basis.split("; "), order.wait.split("; ") if order.wait else []
    return order._replace(
        legal_basis=order.legal_basis if legal_basis in bases else f"{order.legal_basis}; {legal_basis}",
        wait=order.wait if not wait or wait in waits else "; ".join((*waits, wait)),
    )


def _covers(governance: Governance, position: int) -> str:
    order = governance.erasure_orders.get(position)
    if order is None:
        return f"the act at position {position} ordered to be destroyed"
    counts = [f"{len(order.records)} records"] if order.records else []
    counts += [
        f"all records of subject {subject.hex()} in {registry}" for registry, subject in order.subjects
    ]
    return (
        f"the act at position {position} ordered to be destroyed ({', '.join(counts)}; {order.legal_basis})"
    )
