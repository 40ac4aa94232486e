"""Between records as sites give them out and records as they stand in files. Nothing is checked here and nothing believed."""

from __future__ import annotations

from sento_client.verifying import Stored
from sento_proto.record_object import RecordObject


def object_of(stored: Stored, *, with_chain: bool = False) -> RecordObject:
    """The record for a file, without its payload; `with_chain`: with its link in the subject's chain."""
    return RecordObject(
        stored.position,
        stored.record_hash,
        stored.header_bytes,
        stored.payload_hash,
        stored.submission,
        link=stored.link if with_chain or stored.hidden else None,
        previous_of_subject=stored.previous_of_subject if with_chain or stored.hidden else None,
        hidden=stored.hidden,
    )


def stored_in(record: RecordObject) -> Stored:
    """The record in a file, as if a site had given it out."""
    return Stored(
        position=record.position,
        header_bytes=record.header_bytes,
        payload=record.payload or b"",
        payload_hash=record.payload_hash,
        record_hash=record.record_hash,
        link=record.link or b"",
        previous_of_subject=record.previous_of_subject,
        payload_withheld=False,
        submission=record.submission,
        hidden=record.hidden,
    )
