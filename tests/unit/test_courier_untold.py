"""Volumes that a site was not told of: kept beside them, told by the next run, and no reason for an export to fail while one site noted them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from sento_client.cli.app import App
from sento_client.cli.courier_common import show_made
from sento_client.cli.exits import Exit
from sento_client.courier.telling import Told
from sento_client.courier.untold import NAME, Owed, read_untold, settle_untold, write_untold
from sento_client.grpc_transport import GrpcTransport
from sento_client.setup_errors import Setup, SetupError
from sento_proto.erasure_certificate import Volume
from sento_proto.errors import Code, SentoError
from sento_proto.v1 import admin_pb2

LEDGER, OTHER_LEDGER = bytes(32), bytes([1]) * 32
A, B, FAR = "jp-fukuoka", "jp-ishikawa", "tw-taipei"
FIRST, SECOND = Volume("aa-1", "courier", "made", 10), Volume("aa-2", "courier", "made", 10)


class Sites:
    """What three sites were told; those that are `away` hear nothing."""

    def __init__(self, *away: str) -> None:
        self.sites = (A, B, FAR)
        self.away = set(away)
        self.told: list[tuple[str, str]] = []
        self.asked: list[str] = []

    async def call(
        self, site: str, _method: object, request: admin_pb2.NoteVolumeRequest, _timeout_ms: int
    ) -> admin_pb2.NoteVolumeReply:
        self.asked.append(site)
        if site in self.away:
            raise SentoError(Code.UNREACHABLE)
        self.told.append((site, request.number))
        return admin_pb2.NoteVolumeReply()


def telling(sites: Sites) -> Told:
    return Told(cast("GrpcTransport", sites))


async def noted(sites: Sites, *volumes: Volume) -> Told:
    told = telling(sites)
    for volume in volumes:
        await told.note(volume)
    return told


async def test_a_site_that_is_away_is_remembered_by_volume_and_told_by_the_next_run(tmp_path: Path) -> None:
    sites = Sites(FAR)
    told = await noted(sites, FIRST, SECOND)
    assert told.untold == {FAR: ["aa-1", "aa-2"]}
    write_untold(tmp_path, LEDGER, told.owed)

    sites.away.clear()
    again = telling(sites)
    await again.note_owed(read_untold(tmp_path, LEDGER))
    assert sites.told[-2:] == [(FAR, "aa-1"), (FAR, "aa-2")]
    write_untold(tmp_path, LEDGER, again.owed)
    assert not (tmp_path / NAME).exists()


async def test_a_site_that_is_still_away_is_asked_once_and_keeps_all_its_notes(tmp_path: Path) -> None:
    sites = Sites(FAR)
    told = telling(sites)
    owed = (Owed(FAR, FIRST), Owed(FAR, SECOND))
    await told.note_owed(owed)
    assert sites.asked == [FAR]
    assert tuple(told.owed) == owed


async def test_a_site_that_is_no_site_any_more_is_owed_nothing() -> None:
    told = telling(Sites())
    await told.note_owed([Owed("retired", FIRST)])
    assert told.owed == []


def ended(told: Told) -> tuple[int, str]:
    """How the command ends, and what it says."""

    class Shown:
        def show(self, value: dict[str, object], _people: object) -> None:
            self.value = value

    shown = Shown()
    try:
        show_made(cast("App", shown), Path(), None, told)
    except SystemExit as end:
        return int(str(end.code)), str(shown.value)
    return 0, str(shown.value)


@pytest.mark.parametrize(
    ("away", "code"), [((), 0), ((FAR,), 0), ((A, FAR), 0), ((A, B, FAR), Exit.DEGRADED)], ids=str
)
async def test_an_export_ends_well_while_one_site_noted_each_volume(away: Sequence[str], code: int) -> None:
    told = await noted(Sites(*away), FIRST)
    left, words = ended(told)
    assert left == code
    assert all(site in words for site in away)


def test_what_an_import_tells_a_site_is_newer_than_what_it_missed(tmp_path: Path) -> None:
    write_untold(tmp_path, LEDGER, [Owed(FAR, FIRST), Owed(B, FIRST), Owed(FAR, SECOND)])
    settle_untold(tmp_path, LEDGER, FAR, {"aa-1"})
    assert read_untold(tmp_path, LEDGER) == (Owed(B, FIRST), Owed(FAR, SECOND))


@pytest.mark.parametrize(
    ("data", "setup"),
    [
        (b"{", Setup.VOLUMES_UNUSABLE),
        (b'{"format": "sento-untold-2"}', Setup.VOLUMES_UNUSABLE),
        (None, Setup.VOLUMES_FOREIGN),
    ],
    ids=["no JSON", "another format", "another ledger's"],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(
    tmp_path: Path, data: bytes | None, setup: Setup
) -> None:
    write_untold(tmp_path, OTHER_LEDGER, [Owed(A, FIRST)])
    if data is not None:
        (tmp_path / NAME).write_bytes(data)
    with pytest.raises(SetupError, match=NAME) as refused:
        read_untold(tmp_path, LEDGER)
    assert refused.value.code is setup
