"""Files of a rebuild and of boot numbers: written whole on a disk that takes a part at a time, and no draft's payloads left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sento_node.durable_files import write_durably
from sento_node.rebuild.places import Places


def test_a_file_is_written_whole_where_the_disk_takes_a_part_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.write

    def in_parts(descriptor: int, data: bytes) -> int:
        return whole(descriptor, bytes(data)[:3])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", in_parts)
        write_durably(tmp_path / "spool", b"eleven bytes")
    assert (tmp_path / "spool").read_bytes() == b"eleven bytes"


def test_what_a_killed_life_left_of_a_draft_is_removed_and_the_ledgers_own_link_stays(tmp_path: Path) -> None:
    places = Places(tmp_path)
    payloads = places.draft / "payloads"
    payloads.mkdir(parents=True)
    places.ledger.mkdir()
    segment = places.ledger / "0000000001.segment"
    segment.write_bytes(b"payloads")
    (payloads / segment.name).hardlink_to(segment)
    places.drop_draft()
    assert not places.draft.exists()
    assert segment.read_bytes() == b"payloads"
    places.drop_draft()
