"""What becomes an entry of a person's read log, and what does not: others' readings under the same delay, and what a site wrote wrongly."""

from __future__ import annotations

from dataclasses import replace

from sento_client.read_log.values import entry_of, is_access_record, reading_words
from sento_client.results import AsOf, Version
from sento_client.verifying import Findings, Stored
from sento_proto.access_record import KIND_DELAYED, KIND_RELEASED, AccessRecord, access_header, encode_access
from sento_proto.governance.state import site_author, subject_of_delay
from sento_proto.record_object import SubmissionPath

PERSON, ANOTHER = bytes([7]) * 32, bytes([8]) * 32
ID = bytes.fromhex("018f0000000070008000000000000000")
SAID = AccessRecord(
    "jp-a", "clinic", "author", "care", "C-1", "read", (bytes(32),), 2, "released", 3, 1_700_000_000_000
)


def version(access: AccessRecord | None, subject: bytes, kind: str, *, site: str = "jp-a") -> Version:
    header = access_header(ID, bytes(16), 1, registry="health", key_epoch=1, subject=subject, kind=kind)
    path = SubmissionPath(bytes(16), 1, 0, (), ())
    stored = Stored(9, b"", b"", b"", bytes([1]) * 32, b"", None, False, path)
    content = None if access is None else encode_access(access)
    return Version(
        9, site_author(site), header, stored, AsOf(0, 10, 0, site), Findings([]), content, "closed"
    )


def test_under_a_delay_only_what_is_about_the_person_is_the_persons() -> None:
    under = subject_of_delay("inv-7")
    mine, others = (replace(SAID, subject=whose, delay="inv-7") for whose in (PERSON, ANOTHER))
    found = entry_of(version(mine, under, KIND_DELAYED), PERSON, ())
    assert found is not None
    assert found.access == mine
    assert entry_of(version(others, under, KIND_DELAYED), PERSON, ()) is None
    assert entry_of(version(None, under, KIND_DELAYED), PERSON, ()) is None


def test_a_closed_entry_stays_in_the_list_with_its_reason() -> None:
    found = entry_of(version(None, PERSON, KIND_RELEASED), PERSON, ())
    assert found is not None
    assert (found.access, found.closed_because, found.released) == (None, "closed", True)
    assert "cannot be opened" in reading_words(found)


def test_what_a_site_says_in_anothers_name_is_told_as_such() -> None:
    found = entry_of(version(SAID, PERSON, KIND_RELEASED, site="jp-b"), PERSON, ())
    assert found is not None
    words = reading_words(found)
    assert "clinic was given 3 records by jp-a, after 3 refused attempts" in words
    assert words.endswith("signed by jp-b")


def test_an_institutions_record_in_the_same_compartment_is_no_access_record() -> None:
    forged = replace(version(SAID, PERSON, KIND_RELEASED), author="clinic")
    assert not is_access_record(forged)
    assert is_access_record(version(SAID, PERSON, KIND_RELEASED))
