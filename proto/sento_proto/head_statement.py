"""A head statement: a site's signed word on which record about a subject is the last one in the tree of a size.

    statement = u8 1 || body || u8 len, site || u8 n || n x (u8 suite || u16 len || signature)
    body      = ledger id 32 || u32 epoch || u64 size || root 32 || u8 len, registry || subject 32 || u8 has || u64 last position || link 32
    signed    = PAE("application/vnd.sento.head.v1", body), by the site's Ed25519 key, and by its ML-DSA-44 key where it has one

`has` is 1 where a record about the subject stands below `size`; where none does, it is 0 and last position and link are zeros. `link` is the subject's chain at
that record (`chain.py`), so that two sites that say the same link mean the same list. A proof shows that a record stands and can never show that none came
after it: this is the word that says so, and one that is false convicts its signer (`fraud.py`).

Signatures stand in rising order of suite, so there is one encoding of each statement. The site's name is not signed: a key belongs to one site.
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from sento_proto.chain import FIRST_LINK
from sento_proto.checkpoint import SiteKeys, SiteSigners
from sento_proto.header import check_name
from sento_proto.keys import Signature, verifies
from sento_proto.merkle import HASH_BYTES
from sento_proto.pae import TYPE_HEAD, pae
from sento_proto.submission import LEDGER_ID_BYTES, decode_signature, encode_signature
from sento_proto.wire import Malformed, Reader, u8, u32, u64

FORMAT_HEAD = 1
SUBJECT_BYTES = 32
STATEMENT_MAX_BYTES = 4096
"""An Ed25519 and an ML-DSA-44 signature with everything else take less than 2.8 KiB."""
_SIGNATURES_MAX = 2
_SIZE_MAX = 2**63 - 1
_SITE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Head(NamedTuple):
    """A subject's last record in a tree: its position, None where there is none, and the chain's link there."""

    last_position: int | None
    link: bytes


NO_HEAD = Head(None, FIRST_LINK)
"""What is said of a subject about whom nothing stands."""


class HeadStatement(NamedTuple):
    """A decoded statement. Whether its signatures hold is asked by `statement_holds`."""

    ledger_id: bytes
    epoch: int
    size: int
    root: bytes
    registry: str
    subject: bytes
    head: Head
    site: str
    signatures: tuple[Signature, ...] = ()

    @property
    def body(self) -> bytes:
        """What is signed, without its type."""
        last = self.head.last_position
        registry = self.registry.encode("ascii")
        return b"".join(
            (
                self.ledger_id,
                u32(self.epoch),
                u64(self.size),
                self.root,
                u8(len(registry)) + registry,
                self.subject,
                u8(last is not None),
                u64(last or 0),
                self.head.link,
            )
        )

    @property
    def about(self) -> tuple[bytes, int, int, bytes, str, bytes]:
        """What it speaks of: ledger, epoch, size, root, registry, subject. Two statements about one thing must say one head."""
        return self.ledger_id, self.epoch, self.size, self.root, self.registry, self.subject


def sign_head(statement: HeadStatement, signers: SiteSigners) -> HeadStatement:
    """The statement under every signature that the site's keys demand. Raises Malformed when a field is outside of the layout."""
    _check(statement)
    message = pae(TYPE_HEAD, statement.body)
    signatures = [signers.ed25519.sign(message)]
    if signers.ml_dsa_44 is not None:
        signatures.append(signers.ml_dsa_44.sign(message))
    return statement._replace(signatures=tuple(signatures))


def statement_holds(statement: HeadStatement, keys: SiteKeys) -> bool:
    """Whether exactly these keys signed the statement, with none left out."""
    wanted = [keys.ed25519] if keys.ml_dsa_44 is None else [keys.ed25519, keys.ml_dsa_44]
    if len(statement.signatures) != len(wanted):
        return False
    message = pae(TYPE_HEAD, statement.body)
    return all(
        verifies(key, signature, message) for key, signature in zip(wanted, statement.signatures, strict=True)
    )


def encode_statement(statement: HeadStatement) -> bytes:
    """The statement's bytes. Raises Malformed when a field is outside of the layout."""
    _check(statement)
    _check_signatures(statement.signatures)
    site = statement.site.encode("ascii")
    parts = [u8(FORMAT_HEAD), statement.body, u8(len(site)) + site, u8(len(statement.signatures))]
    return b"".join([*parts, *map(encode_signature, statement.signatures)])


def decode_statement(data: bytes) -> HeadStatement:
    """The statement in `data`, all of it; form only, no signature is verified. Raises Malformed."""
    if len(data) > STATEMENT_MAX_BYTES:
        raise Malformed(f"head statement: over {STATEMENT_MAX_BYTES} bytes")
    reader = Reader(data, "head statement")
    form = reader.u8("format")
    if form != FORMAT_HEAD:
        raise Malformed(f"head statement: unknown format {form}")
    ledger_id, epoch = reader.take(LEDGER_ID_BYTES, "ledger id"), reader.u32("epoch")
    size, root = reader.u64("size"), reader.take(HASH_BYTES, "root")
    registry = _ascii(reader.take(reader.u8("registry length"), "registry"), "registry")
    subject = reader.take(SUBJECT_BYTES, "subject")
    has, last = reader.u8("has"), reader.u64("last position")
    head = Head(last if has else None, reader.take(HASH_BYTES, "link"))
    if has > 1 or (not has and last):
        raise Malformed("head statement: it neither names a last record nor says that there is none")
    site = _ascii(reader.take(reader.u8("site length"), "site"), "site")
    signatures = tuple(decode_signature(reader) for _ in range(_count(reader)))
    reader.end()
    statement = HeadStatement(ledger_id, epoch, size, root, registry, subject, head, site, signatures)
    _check(statement)
    _check_signatures(signatures)
    return statement


def _count(reader: Reader) -> int:
    count = reader.u8("signature count")
    if not 1 <= count <= _SIGNATURES_MAX:
        raise Malformed(f"head statement: {count} signatures; 1 to {_SIGNATURES_MAX} are allowed")
    return count


def _ascii(data: bytes, field: str) -> str:
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise Malformed(f"head statement: the {field} is not ASCII") from None


def _check(statement: HeadStatement) -> None:
    """What must hold of a statement's fields, whoever made it."""
    check_name(statement.registry, "registry")
    if _SITE.fullmatch(statement.site) is None:
        raise Malformed("head statement: the site's name is none")
    if not (0 <= statement.epoch < 1 << 32 and 0 <= statement.size <= _SIZE_MAX):
        raise Malformed("head statement: epoch or size is out of range")
    sizes = {
        "ledger id": (statement.ledger_id, LEDGER_ID_BYTES),
        "root": (statement.root, HASH_BYTES),
        "subject": (statement.subject, SUBJECT_BYTES),
        "link": (statement.head.link, HASH_BYTES),
    }
    for field, (value, wanted) in sizes.items():
        if len(value) != wanted:
            raise Malformed(f"head statement: the {field} does not have {wanted} bytes")
    last = statement.head.last_position
    if last is None and statement.head != NO_HEAD:
        raise Malformed("head statement: where there is no last record the link is zeros")
    if last is not None and not 0 <= last < statement.size:
        raise Malformed("head statement: the last record is not in the tree")


def _check_signatures(signatures: tuple[Signature, ...]) -> None:
    suites = [signature.suite for signature in signatures]
    if not 1 <= len(suites) <= _SIGNATURES_MAX or any(
        later <= earlier for earlier, later in itertools.pairwise(suites)
    ):
        raise Malformed("head statement: signatures are not in their one order, or one stands twice")
