"""Access records and seals of their KEKs for tests, signed by sites as they would be, or with something in them that may not be."""

from __future__ import annotations

from genesis_builder import SITES
from ledger_driver import LedgerDriver, subject
from sento_proto.access_record import KIND_RELEASED, AccessRecord, access_header, encode_access
from sento_proto.governance.state import site_author
from sento_proto.kek_record import KekSeals, kek_seals_header
from sento_proto.record import Record, make_record
from sento_proto.sealing import seal_record
from sento_proto.submission import sign_submission

SITE = SITES[0]


def said(site: str = SITE, /, **fields: object) -> AccessRecord:
    """What an access record says; `fields` are said otherwise."""
    access = AccessRecord(
        site=site,
        reader="relief-desk",
        role="reader",
        purpose="treatment",
        case_number="2026-17",
        method="subject",
        records=(bytes([1]) * 32,),
        more=0,
        outcome="released",
        refused_before=0,
        asked_at_ms=1_767_225_600_000,
    )
    parts = {name: getattr(access, name) for name in AccessRecord.__dataclass_fields__}
    return AccessRecord(**(parts | fields))


def access_record(
    driver: LedgerDriver,
    site: str = SITE,
    *,
    registry: str = "health",
    about: bytes | None = None,
    kind: str = KIND_RELEASED,
    key_epoch: int = 1,
    content: bytes | None = None,
    **fields: object,
) -> Record:
    """A record of a release about one subject; `fields`: the header's, set otherwise than an access record's may be."""
    numbers = driver.world.numbers
    header = access_header(
        numbers.record_id(),
        driver.world.site_signers[site].public_key.key_id,
        numbers.next_time_ms(),
        registry=registry,
        key_epoch=key_epoch,
        subject=subject("patient") if about is None else about,
        kind=kind,
    )._replace(**fields)  # type: ignore[arg-type]
    if content == b"":
        return make_record(header, b"")
    return seal_record(
        header, content or encode_access(said(site)), dek=numbers.take(32), kek=driver.world.kek
    )


def access_bytes(driver: LedgerDriver, site: str = SITE, /, **fields: object) -> bytes:
    """The submission of one such record, signed by the site."""
    record = access_record(driver, site, **fields)  # type: ignore[arg-type]
    return sign_submission(driver.world.ledger_id, [record], driver.world.site_signers[site])


def site_kek(
    driver: LedgerDriver,
    site: str = SITE,
    registry: str = "health",
    key_epoch: int = 1,
    compartment: str = "access",
    author: str | None = None,
    **fields: object,
) -> bytes:
    """A record of KEK seals by a site, or in the name of `author` under the site's signature."""
    seals = KekSeals(b"\7" * 32, registry, compartment, key_epoch, 0, (b"a seal" * 20,))
    numbers, signer = driver.world.numbers, driver.world.site_signers[site]
    header = kek_seals_header(
        numbers.record_id(),
        author or site_author(site),
        signer.public_key.key_id,
        numbers.next_time_ms(),
        seals,
    )
    record = make_record(header._replace(**fields), b"")  # type: ignore[arg-type]
    return sign_submission(driver.world.ledger_id, [record], signer)
