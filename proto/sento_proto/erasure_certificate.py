"""An erasure certificate: a site's signed word that the payloads an order names are on its disks no more, and which copies outside of it still hold them.

    file    a site's word (`site_word.py`) of format "sento-erasure-certificate-1", signed as "application/vnd.sento.erasure-certificate.v1"
    body    JSON: ledger_id, epoch, site, order and carried_out (positions of the two acts), records (their hashes), payloads_destroyed, segments_rewritten,
            ordering_log (what was done there, in words), volumes (copies outside of the site that hold one of the payloads), time_s (by the site's clock)

That something is gone cannot be proven: the certificate makes the site answer for it,
and a site that gives out a payload after it is convicted by its own word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from sento_proto import strict_json
from sento_proto.checkpoint import SiteKeys, SiteSigners
from sento_proto.keys import Signature
from sento_proto.merkle import HASH_BYTES
from sento_proto.pae import TYPE_ERASURE_CERTIFICATE
from sento_proto.site_word import Kind, decode_word, sign_word, word_holds
from sento_proto.strict_json import Fields
from sento_proto.submission import LEDGER_ID_BYTES
from sento_proto.wire import Malformed

FORMAT = "sento-erasure-certificate-1"
VOLUME_KINDS = ("courier", "backup")
VOLUME_STATES = ("made", "destroyed", "reimported")
CERTIFICATE_MAX_BYTES = 32 * 1024 * 1024
NUMBER_MAX_CHARACTERS = 64
_NUMBER_MAX = 2**63 - 1
_KIND = Kind("erasure certificate", FORMAT, TYPE_ERASURE_CERTIFICATE, CERTIFICATE_MAX_BYTES)


class Volume(NamedTuple):
    """A copy of the ledger outside of a site: its number on the label, what it is, what became of it, and how many records it holds, from the first."""

    number: str
    kind: str
    state: str
    size: int


class ErasureCertificate(NamedTuple):
    """What a site certifies of one order. `records` are hashes; `order` and `carried_out` are positions of acts."""

    ledger_id: bytes
    epoch: int
    site: str
    order: int
    carried_out: int
    records: tuple[bytes, ...]
    payloads_destroyed: int
    segments_rewritten: int
    ordering_log: str
    volumes: tuple[Volume, ...]
    time_s: int


class SignedCertificate(NamedTuple):
    """A decoded certificate with the bytes that were signed. Whether its signatures hold is asked by `certificate_holds`."""

    content: ErasureCertificate
    body: bytes
    signatures: tuple[Signature, ...]


def sign_certificate(content: ErasureCertificate, signers: SiteSigners) -> bytes:
    """The certificate's file, under every signature that the site's keys demand."""
    return sign_word(_KIND, content.ledger_id, content.site, _encode_body(content), signers)


def decode_certificate(data: bytes) -> SignedCertificate:
    """The certificate in `data`; form only, no signature is verified. Raises Malformed."""
    word = decode_word(_KIND, data)
    content = _decode_body(word.body)
    if content.site != word.site:
        raise Malformed("erasure certificate: the file names another site than what was signed")
    return SignedCertificate(content, word.body, word.signatures)


def certificate_holds(signed: SignedCertificate, ledger_id: bytes, keys: Iterable[SiteKeys]) -> bool:
    """Whether the certificate is of this ledger and exactly one of these sets of keys (those the site has or had) signed it, with no signature left out."""
    return signed.content.ledger_id == ledger_id and word_holds(
        _KIND, ledger_id, signed.body, signed.signatures, keys
    )


def volume_object(volume: Volume) -> dict[str, object]:
    """A volume as JSON."""
    return dict(volume._asdict())


def check_volume(volume: Volume) -> None:
    """Raises Malformed unless the volume can stand in a certificate."""
    read_volume(Fields(volume_object(volume), "", "volume"))


def read_volume(fields: Fields) -> Volume:
    """A volume from JSON. Raises Malformed."""
    number = fields.text("number")
    if not 0 < len(number) <= NUMBER_MAX_CHARACTERS:
        raise fields.wrong("number", f"must have 1 to {NUMBER_MAX_CHARACTERS} characters")
    return Volume(
        number,
        fields.choice("kind", VOLUME_KINDS),
        fields.choice("state", VOLUME_STATES),
        fields.number("size", 0, _NUMBER_MAX),
    )


def _encode_body(content: ErasureCertificate) -> bytes:
    value = content._asdict() | {
        "ledger_id": content.ledger_id.hex(),
        "records": [record.hex() for record in content.records],
        "volumes": [volume_object(volume) for volume in content.volumes],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _decode_body(body: bytes) -> ErasureCertificate:
    fields = strict_json.load(body, "erasure certificate's body")
    content = ErasureCertificate(
        ledger_id=fields.hex("ledger_id", LEDGER_ID_BYTES),
        epoch=fields.number("epoch", 0, 2**32 - 1),
        site=fields.institution("site"),
        order=fields.number("order", 0, _NUMBER_MAX),
        carried_out=fields.number("carried_out", 0, _NUMBER_MAX),
        records=fields.hexes("records", HASH_BYTES),
        payloads_destroyed=fields.number("payloads_destroyed", 0, _NUMBER_MAX),
        segments_rewritten=fields.number("segments_rewritten", 0, _NUMBER_MAX),
        ordering_log=fields.text("ordering_log"),
        volumes=fields.objects("volumes", read_volume),
        time_s=fields.number("time_s", 0, _NUMBER_MAX),
    )
    fields.end()
    return content
