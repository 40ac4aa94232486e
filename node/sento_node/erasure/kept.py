"""What a site keeps of erasures between lives: its certificates, the count of segments rewritten for each order, and the list of volumes outside of it.

    erasures                    {"certified": [order..], "segments": {order: n}}
    erasure-certificate/<order> the certificate's file
    volumes                     {"volumes": [volume..]}

All in the ledger's remembered facts, so it is flushed before anybody is told. The list of volumes is this site's own knowledge, from its operators; the ledger
does not hold it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from sento_node.ledger.store import LedgerStore
from sento_proto import strict_json
from sento_proto.erasure_certificate import Volume, read_volume, volume_object

ERASURES_NAME = "erasures"
CERTIFICATE_NAME = "erasure-certificate/"
VOLUMES_NAME = "volumes"


@dataclass(frozen=True, slots=True)
class KeptErasures:
    """Orders with a certificate, in the order of their signing, and segments rewritten by order."""

    certified: tuple[int, ...] = ()
    segments: dict[int, int] = field(default_factory=dict)


def recall_erasures(store: LedgerStore) -> KeptErasures:
    """What is kept. Raises Malformed."""
    data = store.recall(ERASURES_NAME)
    if data is None:
        return KeptErasures()
    fields = strict_json.load(data, "erasures")
    certified = fields.numbers("certified", 0, 2**63 - 1)
    segments = fields.raw("segments")
    fields.end()
    if not isinstance(segments, dict):
        raise fields.wrong("segments", "must be an object")
    return KeptErasures(certified, {int(order): int(count) for order, count in segments.items()})


def remember_erasures(store: LedgerStore, kept: KeptErasures) -> None:
    """Keep it, flushed. Raises LedgerFailed."""
    value = {"certified": list(kept.certified), "segments": kept.segments}
    store.remember(ERASURES_NAME, json.dumps(value).encode())


def recall_certificates(store: LedgerStore) -> list[bytes]:
    """The files of all certificates, oldest first."""
    found = (store.recall(CERTIFICATE_NAME + str(order)) for order in recall_erasures(store).certified)
    return [data for data in found if data is not None]


def remember_certificate(store: LedgerStore, order: int, data: bytes) -> None:
    """Keep an order's certificate in place of an earlier one, then that the order has one; flushed. Raises LedgerFailed."""
    store.remember(CERTIFICATE_NAME + str(order), data)
    kept = recall_erasures(store)
    if order not in kept.certified:
        remember_erasures(store, KeptErasures((*kept.certified, order), kept.segments))


def recall_volumes(store: LedgerStore) -> tuple[Volume, ...]:
    """The volumes that operators told this site of. Raises Malformed."""
    data = store.recall(VOLUMES_NAME)
    if data is None:
        return ()
    fields = strict_json.load(data, "volumes")
    volumes = fields.objects("volumes", read_volume)
    fields.end()
    return volumes


def remember_volumes(store: LedgerStore, volumes: tuple[Volume, ...]) -> None:
    """Keep the list, flushed. Raises LedgerFailed."""
    value = {"volumes": [volume_object(volume) for volume in volumes]}
    store.remember(VOLUMES_NAME, json.dumps(value, ensure_ascii=False).encode())
