"""Erasure at three real sites: what officers ordered and carried out is found in no file of any site, and everything that stays still proves itself.

Before it, ciphertext and wrapped keys are found at every site, in the segments and in the ordering log; one site is away while the others erase, and erases
when it is back.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from click.testing import CliRunner, Result

from live_sites import AUTHOR, LiveSites, running_sites
from raw_calls import Author, WriteStream
from sento_client.cli.main import main
from sento_drill.waiting import until
from sento_proto.erasure_certificate import ErasureCertificate, certificate_holds, decode_certificate
from sento_proto.governance.site_keys import keys_of_site
from sento_proto.record import Record
from sento_proto.v1 import admin_pb2
from steady_writer import all_agree

pytestmark = pytest.mark.asyncio(loop_scope="module")
OFFICERS = ("digital-minister", "ciso", "deputy-health-minister")
SEARCHED_BYTES = 1 << 20


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sites() -> AsyncIterator[LiveSites]:
    async with running_sites() as running:
        yield running


def secrets_of(record: Record) -> tuple[bytes, bytes]:
    """Bytes that only this record's wrapped key has, and bytes that only its ciphertext has."""
    (wrapped_bytes,) = struct.unpack_from(">I", record.payload)
    return record.payload[4 : 4 + wrapped_bytes], record.payload[-32:]


def found_in(directory: Path, needles: dict[bytes, str]) -> dict[str, set[str]]:
    """Which of the needles occur in which file, every byte of every file searched."""
    longest = max(map(len, needles))
    found: dict[str, set[str]] = {}
    for path in directory.rglob("*"):
        if not path.is_file() or path.is_socket():
            continue
        try:
            with path.open("rb") as file:
                kept = b""
                while piece := file.read(SEARCHED_BYTES):
                    window = kept + piece
                    names = {name for needle, name in needles.items() if needle in window}
                    if names:
                        found.setdefault(str(path.relative_to(directory)), set()).update(names)
                    kept = window[-longest:]
        except FileNotFoundError:
            continue  # a running member removes its own files
    return found


def govern(sites: LiveSites, who: str, *arguments: str) -> Result:
    config = str(sites.world.officer(who).config)
    result = CliRunner().invoke(main, ["--config", config, "govern", *arguments])
    assert result.exit_code == 0, result.output
    return result


def sento(sites: LiveSites, *arguments: str, code: int = 0) -> Result:
    """`sento` at a reader's computer."""
    config = str(sites.world.institution(AUTHOR).config)
    result = CliRunner().invoke(main, ["--config", config, *arguments])
    assert result.exit_code == code, result.output
    return result


async def volumes_and_files(sites: LiveSites, tmp_path: Path, told: str) -> None:
    """What people do at the end: see which volume is left, destroy it, and keep the certificates, which verify without any site."""

    def by_hand() -> None:
        listed = sento(sites, "volumes", "list", code=5).output
        assert f"V-17  courier, 10000 records, told to {told}" in listed
        assert "sento volumes destroyed V-17" in sento(sites, "erasure", "status", code=5).output
        refused = sento(sites, "volumes", "destroyed", "V-17", code=1).output
        assert "IDENTITY_REFUSED" in refused, "only an operator may say so"
        world = sites.world
        config = tmp_path / "as-operator"
        shutil.copytree(world.institution(AUTHOR).directory, config)
        for name in ("client.pem", "client.key"):
            shutil.copy(world.operator.directory / name, config / name)
        result = CliRunner().invoke(
            main, ["--config", str(config / "sento.toml"), "volumes", "destroyed", "V-17"]
        )
        assert result.exit_code == 0, result.output
        assert "Volume" not in sento(sites, "erasure", "status").output.replace("volumes", "")
        sento(sites, "volumes", "list")
        out = tmp_path / "certificates"
        sento(sites, "erasure", "certificates", "--out", str(out))
        files = sorted(out.iterdir())
        assert len(files) == len(sites.names)
        sento(sites, "erasure", "verify", *map(str, files))
        spoiled = json.loads(files[0].read_text())
        spoiled["body"] = json.loads(files[1].read_text())["body"]
        files[0].write_text(json.dumps(spoiled))
        assert "does not hold" in sento(sites, "erasure", "verify", str(files[0]), code=4).output

    await asyncio.to_thread(by_hand)


async def enact(sites: LiveSites, act: Path, *change: str) -> int:
    """Three officers enact a change; the position of the act."""

    def by_hand() -> str:
        govern(sites, "ciso", "propose", "--reason", "the law", "--out", str(act), *change)
        for officer in OFFICERS:
            govern(sites, officer, "sign", str(act), "--yes")
        return govern(sites, "ciso", "submit", str(act)).output

    output = await asyncio.to_thread(by_hand)
    return int(output.split("stands at position")[1].split()[0].strip(".,"))


async def write(sites: LiveSites, author: Author, records: list[Record], site: str) -> None:
    async with sites.caller(AUTHOR, site) as caller, WriteStream(caller) as stream:
        for record in records:
            await stream.outcomes(author.submission(record))


async def certificates(sites: LiveSites, site: str) -> list[ErasureCertificate]:
    """The site's certificates, verified, when it has one and nothing is pending."""

    async def look() -> list[bytes] | None:
        async with sites.operator(site) as operator:
            reply = await operator.admin.Erasures(admin_pb2.ErasuresRequest(), timeout=20)
        return list(reply.certificates) if reply.certificates and not reply.pending else None

    files = await until(look, deadline_s=60, what=f"{site} does not certify")
    genesis = sites.world.genesis
    keys = [keys_of_site(one) for one in genesis.sites if one.name == site]
    signed = [decode_certificate(data) for data in files]
    assert all(certificate_holds(one, genesis.ledger_id, keys) for one in signed)
    return [one.content for one in signed]


async def test_what_was_ordered_erased_is_in_no_file_of_any_site_also_of_one_that_was_away(
    sites: LiveSites, tmp_path: Path
) -> None:
    author = sites.author()
    stays, goes, person = author.records(4), author.records(3), author.record()
    goes.append(person)
    await write(sites, author, [*stays, *goes], sites.names[0])
    await all_agree(sites)
    needles = {needle: "goes" for record in goes for needle in secrets_of(record)}
    kept = {needle: "stays" for record in stays for needle in secrets_of(record)}
    for name in sites.names:
        found = await asyncio.to_thread(found_in, sites.data(name), {**needles, **kept})
        assert any(file.endswith(".segment") for file in found), found
        assert any(file.endswith(".wal") for file in found), found
        assert any(file.endswith("snap/db") for file in found), found

    lead = await sites.cluster.lead_site()
    away = next(name for name in sites.names if name != lead)
    present = [name for name in sites.names if name != away]
    async with sites.operator(present[0]) as operator:
        await operator.admin.NoteVolume(
            admin_pb2.NoteVolumeRequest(number="V-17", kind="courier", state="made", size=10_000), timeout=20
        )
    await asyncio.to_thread(sites.cluster.processes[away].stop)

    hashes = " ".join(record.record_hash.hex() for record in goes[:-1])
    order = await enact(
        sites, tmp_path / "erase.json", "--change", f"erase {hashes} 'Residents Act 22'",
        "erase-subject", "residency", person.header.subject.hex(), "Residents Act 22", "30 days",
    )  # fmt: skip
    await write(sites, author, author.records(2), lead)
    async with sites.operator(lead) as operator:
        assert not (await operator.admin.Erasures(admin_pb2.ErasuresRequest(), timeout=20)).pending
    found = await asyncio.to_thread(found_in, sites.data(lead), needles)
    assert found, "before the second act nothing is destroyed"
    began_s = time.monotonic()
    carried_out = await enact(sites, tmp_path / "carry-out.json", "carry-out-erasure", str(order))
    enacted_s = time.monotonic()
    for name in present:
        (done,) = await certificates(sites, name)
        assert (done.order, done.carried_out, done.payloads_destroyed) == (order, carried_out, len(goes))
        assert set(done.records) == {record.record_hash for record in goes}
        assert [volume.number for volume in done.volumes] == (["V-17"] if name == present[0] else [])
        found = await asyncio.to_thread(found_in, sites.data(name), {**needles, **kept})
        assert {name for names in found.values() for name in names} == {"stays"}, found
    print(
        f"erased at two sites, {time.monotonic() - enacted_s:.1f} s from the act to both certificates ({enacted_s - began_s:.1f} s to sign it)"
    )
    status = await asyncio.to_thread(sento, sites, "--json", "erasure", "status", code=5)
    assert json.loads(status.output)["orders"][0]["certified_by"] == sorted(present)

    sites.cluster.start(away)
    await sites.wait_state(away, "serving")
    back_s = time.monotonic()
    await certificates(sites, away)
    print(f"the site that was away certified {time.monotonic() - back_s:.1f} s after it served again")
    found = await asyncio.to_thread(found_in, sites.data(away), {**needles, **kept})
    assert {name for names in found.values() for name in names} == {"stays"}, found
    await all_agree(sites)
    await write(sites, author, author.records(2), away)
    await all_agree(sites)
    await volumes_and_files(sites, tmp_path, present[0])

    await asyncio.to_thread(sites.cluster.processes[away].stop)
    command = [
        sys.executable, "-m", "sento_node.cli", "verify", "--config", str(sites.files(away).config), "--json",
    ]  # fmt: skip
    verified = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, check=False, timeout=60
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.count('"erased"') >= len(goes), verified.stdout
    json.loads(verified.stdout.splitlines()[-1])
