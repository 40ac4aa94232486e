"""Bad input at a real site: each kind gives its stable code and words, and changes nothing; the same record again gets the same position.

"Changes nothing" is looked at in two places: the ledger's size and root before and after, and at the end everything on the disk, which must verify.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from live_sites import AUDITOR, AUTHOR, ONE_SITE, LiveSites, paused_member, running_sites
from raw_calls import Author, WriteStream, codes, ledger_of
from sento_node.intake.queues import AUTHOR_QUEUE_MAX_BYTES
from sento_node.ledger.verify import Verification
from sento_proto import limits
from sento_proto.errors import TABLE, Code, Standing
from sento_proto.keys import Ed25519Signer
from sento_proto.record import Record
from sento_proto.submission import FORMAT_SUBMISSION, encode_submission, group_value

QUEUE_OVERFLOW = AUTHOR_QUEUE_MAX_BYTES // (48 * limits.KIB) + 8
"""Submissions of three large records each: a line full of them, those in the blocks under way, and one too many."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites(ONE_SITE) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stream(sites: LiveSites) -> AsyncIterator[WriteStream]:
    async with sites.caller(AUTHOR) as caller, WriteStream(caller) as open_stream:
        yield open_stream


@pytest.fixture(scope="module")
def city(sites: LiveSites) -> Author:
    return sites.author()


@contextlib.asynccontextmanager
async def nothing_changes(sites: LiveSites) -> AsyncIterator[None]:
    """Size and root of the flushed ledger are the same after the block as before it."""
    site = sites.names[0]
    await sites.wait_status(site, lambda status: status.applied_size == status.flushed_size, "the flush")
    async with sites.caller(AUDITOR) as auditor:
        before = await ledger_of(auditor)
        yield
        await sites.wait_status(
            site,
            lambda status: status.applied_block == status.flushed_block == status.ordered_block,
            "all that was ordered is flushed",
        )
        assert await ledger_of(auditor) == before


def flipped(data: bytes, at: int) -> bytes:
    """`data` with one bit another."""
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# Refused whole, before anything is ordered.


def bad_signature(city: Author) -> bytes:
    data = city.submission(city.record())
    return flipped(data, len(data) - 1)


def altered_payload(city: Author) -> bytes:
    data = city.submission(city.record())
    return flipped(data, len(data) - 80)


def unknown_author(city: Author) -> bytes:
    stranger = Author(city.ledger_id, Ed25519Signer(os.urandom(32)))
    return stranger.submission(stranger.record())


def other_ledgers_submission(city: Author) -> bytes:
    elsewhere = Author(os.urandom(32), city.signer)
    return elsewhere.submission(elsewhere.record())


def unknown_format(city: Author) -> bytes:
    return bytes([FORMAT_SUBMISSION + 8]) + city.submission(city.record())[1:]


def truncated(city: Author) -> bytes:
    return city.submission(city.record())[:-40]


def with_something_after_it(city: Author) -> bytes:
    return city.submission(city.record()) + b"\0"


def unsigned_by_hand(city: Author, *records: Record) -> bytes:
    """Records that no encoder of ours would put together, under a signature that nobody looks at: the form is refused first."""
    signature = city.signer.sign(b"")
    return encode_submission(city.ledger_id, city.signer.public_key.key_id, records, [signature])


def two_registries(city: Author) -> bytes:
    return unsigned_by_hand(
        city, city.record(), city.record(registry="tax", compartment="income", kind="tax/assessment")
    )


def split_group(city: Author) -> bytes:
    ids = [city.record().header.record_id for _ in range(2)]
    return unsigned_by_hand(city, city.record(record_id=ids[0], group=group_value(ids)))


def nothing_at_all(_: Author) -> bytes:
    return b""


def oversized(_: Author) -> bytes:
    return bytes(limits.SUBMISSION_MAX_BYTES + 1)


def records_over_the_limit(city: Author) -> bytes:
    return unsigned_by_hand(city, *city.records(4, content_bytes=16_000))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (bad_signature, Code.BAD_SIGNATURE),
        (altered_payload, Code.BAD_SIGNATURE),
        (unknown_author, Code.UNKNOWN_AUTHOR),
        (other_ledgers_submission, Code.WRONG_LEDGER),
        (unknown_format, Code.MALFORMED),
        (truncated, Code.MALFORMED),
        (with_something_after_it, Code.MALFORMED),
        (two_registries, Code.MALFORMED),
        (split_group, Code.MALFORMED),
        (nothing_at_all, Code.MALFORMED),
        (oversized, Code.TOO_LARGE),
        (records_over_the_limit, Code.TOO_LARGE),
    ],
)
async def test_a_bad_submission_is_refused_whole_by_its_code_and_changes_nothing(
    sites: LiveSites, stream: WriteStream, city: Author, make: Callable[[Author], bytes], code: Code
) -> None:
    async with nothing_changes(sites):
        assert await stream.refused(make(city)) is code
    assert TABLE[code].standing in (Standing.FINAL, Standing.NOT_YET, Standing.FIX_CALL)


# Refused record by record.


async def standing(stream: WriteStream, city: Author, record: Record) -> int:
    """The position that a good record gets."""
    ((code, position),) = await stream.outcomes(city.submission(record))
    assert code is Code.ACCEPTED
    return position


async def test_the_same_record_again_is_known_at_its_position_in_whatever_submission_it_comes(
    sites: LiveSites, stream: WriteStream, city: Author
) -> None:
    record = city.record()
    submission = city.submission(record)
    position = await standing(stream, city, record)
    async with nothing_changes(sites):
        for again in (submission, submission, city.submission(record)):
            assert await stream.outcomes(again) == [(Code.KNOWN, position)]


async def test_a_record_id_used_again_with_other_content_is_refused_for_good(
    sites: LiveSites, stream: WriteStream, city: Author
) -> None:
    record = city.record()
    await standing(stream, city, record)
    other = city.record(record_id=record.header.record_id)
    async with nothing_changes(sites):
        assert codes(await stream.outcomes(city.submission(other))) == [Code.RECORD_ID_REUSED]


async def test_a_record_for_a_registry_or_compartment_not_its_authors_is_refused(
    sites: LiveSites, stream: WriteStream, city: Author
) -> None:
    wrong_compartment = city.record(registry="health", compartment="prescription", kind="fhir/medication")
    wrong_registry = city.record(registry="unheard-of", compartment="", kind="x")
    async with nothing_changes(sites):
        for record in (wrong_compartment, wrong_registry):
            assert codes(await stream.outcomes(city.submission(record))) == [Code.NOT_PERMITTED]


async def test_a_version_after_an_older_one_and_a_second_first_one_are_stale(
    sites: LiveSites, stream: WriteStream, city: Author
) -> None:
    subject, fact = os.urandom(32), os.urandom(16)
    first = city.record(subject=subject, fact=fact)
    second = city.record(subject=subject, fact=fact, previous=first.record_hash)
    assert codes(await stream.outcomes(city.submission(first, second))) == [Code.ACCEPTED] * 2
    async with nothing_changes(sites):
        for previous in (first.record_hash, bytes(32)):
            late = city.record(subject=subject, fact=fact, previous=previous)
            assert codes(await stream.outcomes(city.submission(late))) == [Code.STALE]


async def test_a_missing_predecessor_is_not_yet_and_the_same_record_stands_once_it_has_come(
    sites: LiveSites, stream: WriteStream, city: Author
) -> None:
    subject, fact = os.urandom(32), os.urandom(16)
    first = city.record(subject=subject, fact=fact)
    second = city.submission(city.record(subject=subject, fact=fact, previous=first.record_hash))
    async with nothing_changes(sites):
        assert codes(await stream.outcomes(second)) == [Code.PREDECESSOR_MISSING]
    position = await standing(stream, city, first)
    assert await stream.outcomes(second) == [(Code.ACCEPTED, position + 1)]


async def test_a_group_with_one_bad_member_falls_whole_and_its_neighbour_stands(
    sites: LiveSites, stream: WriteStream, city: Author
) -> None:
    stale_fact, subject = os.urandom(16), os.urandom(32)
    await standing(stream, city, city.record(subject=subject, fact=stale_fact))
    ids = [city.record().header.record_id for _ in range(2)]
    good = city.record(record_id=ids[0], group=group_value(ids))
    bad = city.record(record_id=ids[1], group=group_value(ids), subject=subject, fact=stale_fact)
    async with nothing_changes(sites):
        assert codes(await stream.outcomes(city.submission(good, bad))) == [Code.GROUP_REFUSED, Code.STALE]
    neighbour = city.record()
    outcomes = await stream.outcomes(city.submission(good, neighbour, bad))
    assert codes(outcomes) == [Code.GROUP_REFUSED, Code.ACCEPTED, Code.STALE]


# Full queue.


async def test_a_full_line_refuses_its_author_with_queue_full_and_takes_the_same_records_later(
    sites: LiveSites, stream: WriteStream, city: Author
) -> None:
    big = [city.submission(*city.records(3, content_bytes=16_000)) for _ in range(QUEUE_OVERFLOW)]
    async with paused_member(sites):
        waiting = [await stream.send(submission) for submission in big]
        first_refused = await waiting[-1]
    assert first_refused.error.code == Code.QUEUE_FULL
    answers = [await answer for answer in waiting]
    told = {Code(answer.error.code) for answer in answers if answer.HasField("error")}
    assert told <= {Code.QUEUE_FULL, Code.NO_ORDERING}
    for submission, answer in zip(big, answers, strict=True):
        if answer.error.code == Code.QUEUE_FULL:
            assert codes(await stream.outcomes(submission)) == [Code.ACCEPTED] * 3


# After all of it.


async def test_everything_on_the_disk_verifies_after_all_that_was_refused(sites: LiveSites) -> None:
    site = sites.names[0]
    await sites.wait_status(site, lambda status: status.applied_size == status.flushed_size, "the flush")
    await asyncio.to_thread(sites.cluster.processes[site].stop)
    verification = Verification(sites.data(site) / "ledger", sites.world.genesis)
    assert list(verification.findings()) == []
    assert verification.summary.records > 0
