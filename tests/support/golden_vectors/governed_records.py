"""What governs, as records: an officers' act with its content and its officers' signatures, a KEK's seals, a site's announcement and its records of releases;
how acts name delayed cases; and P-256 signatures.

P-256 signatures are made by RFC 6979, so that the same bytes come out each time.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from golden_vectors.ground import (
    KEK,
    LEDGER_ID,
    OFFICERS,
    SITES,
    TIME_MS,
    Group,
    Vector,
    digest,
    hexed,
    record_id,
)
from sento_proto.access_record import AccessRecord, access_header, encode_access
from sento_proto.governance.acts import act_header
from sento_proto.governance.site_rules import SiteRules, site_rules_header
from sento_proto.governance.state import delayed_case, subject_of_delay
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.keys import PublicKey, Signature, Signer, Suite
from sento_proto.record import make_record
from sento_proto.sealing import seal_record
from sento_proto.software_signers import EcdsaP256Signer
from sento_proto.submission import act_signed_bytes, sign_act
from sento_proto.suites.ecdsa_p256 import ORDER, low_s_of_der

FIRST, LATER = bytes(32), digest("the act before")
AUTHOR_NAME = "iizuka-city"


class SteadyP256Signer:
    """Signs by RFC 6979: no chance in it."""

    def __init__(self, label: str) -> None:
        scalar = int.from_bytes(digest(label), "big") % (ORDER - 1) + 1
        self._private = ec.derive_private_key(scalar, ec.SECP256R1())
        self._public = EcdsaP256Signer(self._private).public_key

    @property
    def public_key(self) -> PublicKey:
        """The compressed point."""
        return self._public

    def sign(self, message: bytes) -> Signature:
        """r || s with the lower s."""
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        return Signature(Suite.ECDSA_P256, low_s_of_der(self._private.sign(message, algorithm)))


TOKEN_OFFICER = SteadyP256Signer("an officer with a token")


def _act(name: str, epoch: int, previous: bytes, changes: list[Vector], officers: list[Signer]) -> Vector:
    content = {"format": "sento-act-1", "reason": f"{name}, 2026年", "changes": changes}
    clear = json.dumps(content, ensure_ascii=False).encode()
    record = make_record(act_header(record_id(900 + epoch), TIME_MS, clear, previous), b"")
    return {
        "name": name,
        "bytes": hexed(sign_act(LEDGER_ID, epoch, record, officers)),
        "ledger_id": hexed(LEDGER_ID),
        "epoch": epoch,
        "previous": hexed(previous),
        "content": content,
        "record_hash": hexed(record.record_hash),
        "signed": hexed(act_signed_bytes(LEDGER_ID, epoch, record.record_hash)),
        "officers": [
            {"suite": key.suite, "public_key": hexed(key.data), "key_id": hexed(key.key_id)}
            for key in sorted((officer.public_key for officer in officers), key=lambda key: key.key_id)
        ],
    }


def act_contents() -> Group:
    """Acts with what they say and who signed: Ed25519 alone, and together with an officer whose key lives in a token."""
    threshold: Vector = {"do": "set-threshold", "threshold": 2}
    registry: Vector = {"do": "add-registry", "registry": "libraries"}
    erases: list[Vector] = [
        {
            "do": "erase-subject",
            "registry": "health",
            "subject": hexed(digest("a subject")),
            "legal_basis": "health act, article 12",
            "wait": "30 days",
        },
        {"do": "carry-out-erasure", "order": 41},
        {"do": "withdraw-erasure", "order": 57},
        {"do": "release-read-log", "name": "inv-7"},
        {"do": "end-key-agent", "registry": "health", "compartment": ""},
    ]
    return [
        _act("the first act", 1, FIRST, [threshold], list(OFFICERS[:2])),
        _act("an act of rules 4", 3, LATER, erases, list(OFFICERS)),
        _act("a later act of two changes", 2, LATER, [registry, threshold], [*OFFICERS, TOKEN_OFFICER]),
    ]


def kek_records() -> Group:
    """Headers that carry a KEK's seals, with every field of the content."""
    group: Group = []
    site = "/sites/" + "a-site-of-the-longest-name-there-is"[:32]
    for n, (author, registry, compartment, key_epoch, part, sizes) in enumerate(
        [
            (AUTHOR_NAME, "residency", "", 1, 0, [1168]),
            (AUTHOR_NAME, "health", "psychiatry", 3, 2, [131, 1168, 131]),
            (site, "health", "access", 2, 0, [1168]),
        ]
    ):
        seals = tuple(digest(f"seal {n} {at}", size) for at, size in enumerate(sizes))
        kek = KekSeals(digest(f"kek commitment {n}"), registry, compartment, key_epoch, part, seals)
        header = kek_seals_header(record_id(950 + n), author, digest("a key id", 16), TIME_MS, kek)
        group.append(
            {
                "name": f"{len(seals)} seals, part {part}, of {registry}",
                "header": hexed(make_record(header, b"").header_bytes),
                "author": author,
                "commitment": hexed(kek.commitment),
                "registry": registry,
                "compartment": compartment,
                "key_epoch": key_epoch,
                "part": part,
                "seals": [hexed(seal) for seal in seals],
                "subject": hexed(header.subject),
                "fact": hexed(header.fact),
            }
        )
    return group


def site_rules() -> Group:
    """Headers of sites' announcements."""
    group: Group = []
    for n, (site, signer) in enumerate(SITES.items()):
        announced = SiteRules(site, (1, 2, 3)[: n + 1], f"0.{n}.0")
        key = signer.public_key
        header = site_rules_header(
            record_id(970 + n), key.key_id, TIME_MS + n, announced, digest(site) if n else FIRST
        )
        group.append(
            {
                "name": f"{site} announces",
                "header": hexed(make_record(header, b"").header_bytes),
                "site": site,
                "rules": list(announced.rules),
                "release": announced.release,
                "site_public_key": hexed(key.data),
                "previous": hexed(header.previous),
                "subject": hexed(header.subject),
            }
        )
    return group


def access_records() -> Group:
    """Sites' records of a release, of a refused attempt, and of a release under a delay: header and what is sealed in it."""
    plain = AccessRecord(
        "jp-fukuoka", "relief-desk", "reader", "治療", "2026-17", "subject", (digest("a"), digest("b")), 3, "released", 0, TIME_MS
    )  # fmt: skip
    group: Group = []
    for n, (access, subject) in enumerate(
        [
            (plain, digest("a subject")),
            (replace(plain, records=(), more=0, outcome="NOT_PERMITTED", refused_before=12), digest("a subject")),
            (replace(plain, subject=digest("a subject"), delay="inv-7"), subject_of_delay("inv-7")),
        ]
    ):  # fmt: skip
        content = encode_access(access)
        header = access_header(
            record_id(990 + n), SITES[access.site].public_key.key_id, TIME_MS + n,
            registry="health", key_epoch=2, subject=subject, kind=access.kind,
        )  # fmt: skip
        record = seal_record(header, content, dek=digest(f"access dek {n}"), kek=KEK)
        group.append(
            {
                "name": access.kind,
                "header": hexed(record.header_bytes),
                "payload": hexed(record.payload),
                "kek": hexed(KEK),
                "site_public_key": hexed(SITES[access.site].public_key.data),
                "subject": hexed(subject),
                "content": json.loads(content),
            }
        )
    return group


def delayed_cases() -> Group:
    """How an act names a case whose releases are delayed, and the subject that they stand under meanwhile."""
    return [
        {
            "name": f"{delay}, case {case}",
            "salt": hexed(digest(delay, 16)),
            "case_number": case,
            "case": hexed(delayed_case(digest(delay, 16), case)),
            "delay": delay,
            "subject": hexed(subject_of_delay(delay)),
        }
        for delay, case in (("inv-7", "2026-17"), ("inv-8", "令和八年第3号"))
    ]


def _with_s(signature: bytes, s: int) -> bytes:
    return signature[:32] + s.to_bytes(32, "big")


def p256_signatures() -> Group:
    """Signatures over SHA-256 of a message: good ones, and forms that a lax verifier takes."""
    signer, message = SteadyP256Signer("p-256"), b"what was signed"
    good = signer.sign(message).data
    s = int.from_bytes(good[32:], "big")
    point = signer.public_key.data
    other_parity = bytes([5 - point[0]]) + point[1:]
    cases: list[tuple[str, bytes, bytes, bytes, bool]] = [
        ("the lower s", point, message, good, True),
        ("an empty message", point, b"", signer.sign(b"").data, True),
        ("the higher s", point, message, _with_s(good, ORDER - s), False),
        ("s and the order", point, message, _with_s(good, (s + ORDER) % 2**256), False),
        ("s of zero", point, message, _with_s(good, 0), False),
        ("r of zero", point, message, bytes(32) + good[32:], False),
        ("r at the order", point, message, ORDER.to_bytes(32, "big") + good[32:], False),
        ("a byte short", point, message, good[:-1], False),
        ("a byte more", point, message, good + b"\0", False),
        ("another message", point, message + b".", good, False),
        ("the message's hash instead", point, hashlib.sha256(message).digest(), good, False),
        ("the other point of this x", other_parity, message, good, False),
        ("an uncompressed prefix", b"\4" + point[1:], message, good, False),
        ("a point off the curve", b"\2" + _off_curve(), message, good, False),
    ]
    return [
        {
            "name": name,
            "public_key": hexed(key),
            "message": hexed(said),
            "signature": hexed(signature),
            "holds": holds,
        }
        for name, key, said, signature, holds in cases
    ]


def _off_curve() -> bytes:
    """The smallest x from 1 on of which no point of P-256 is."""
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x = next(x for x in range(1, 99) if pow(x**3 - 3 * x + b, (prime - 1) // 2, prime) == prime - 1)
    return x.to_bytes(32, "big")
