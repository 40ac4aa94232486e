"""The command `sento` as a process: pipes that close early, Ctrl-C at bad moments, locales without UTF-8. It ends quietly, at once, and says what may stand."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from cli_terminal import WHY
from client_world import AUTHOR, NUMBER, address, write_client_files
from genesis_builder import SITES, TestWorld, build_genesis
from mtls_sites import LONG, ServedSite, write_client_tls
from sento_client import SentoClient
from sento_client.cli.exits import Exit
from sento_client.testing.served import ServedLedger
from sento_client.testing.sites import sites_over
from sento_drill.pki import Authority

SENTO = [sys.executable, "-c", "from sento_client.cli.main import main; main(prog_name='sento')"]
HISTORY = ["history", "residency", "residence", "--fact", "address", *WHY]
CHANGES = ["changes", "residency", *WHY]
ASCII_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Place:
    """Three sites that listen, a client's files, and the command as processes."""

    def __init__(self, directory: Path) -> None:
        self.world: TestWorld = build_genesis()
        self.ledger = ServedLedger(self.world)
        authority = Authority("test authority", LONG)
        self.served = [ServedSite(site, authority) for site in sites_over(self.ledger)]
        self.directory = directory
        self._authority = authority
        self.config = directory / "sento.toml"

    async def start(self) -> None:
        for served in self.served:
            await served.start()
        addresses = {served.site.name: served.address for served in self.served}
        self.config = write_client_files(self.directory, self.world, AUTHOR, addresses)
        write_client_tls(self.directory, self._authority, AUTHOR)

    async def stop(self) -> None:
        for served in self.served:
            await served.stop()

    async def begin(
        self, *args: str, stdout: int = asyncio.subprocess.PIPE, env: Mapping[str, str] | None = None
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *SENTO,
            *args,
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SENTO_CONFIG": str(self.config), "SENTO_SUBJECT": NUMBER, **(env or {})},
            cwd=self.directory,
        )

    async def run(self, *args: str, **env: str) -> Ended:
        return await ended(await self.begin(*args, env=env))

    async def write(self, count: int, size_bytes: int = 10) -> None:
        """So many facts about one person, from this process."""
        async with SentoClient.open(self.config) as sento:
            for number in range(count):
                fact = "address" if number == 0 else f"fact {number}"
                await sento.write(**address(fact), content={"town": "穂波町", "more": "x" * size_bytes})


async def ended(process: asyncio.subprocess.Process) -> Ended:
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, (out or b"").decode(), err.decode())


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await process.stdout.readline()).decode()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    await place.start()
    yield place
    await place.stop()


# A pipe whose reader is gone.


@pytest.mark.parametrize(
    "args",
    [
        ["errors"],
        ["--json", "errors"],
        ["keys"],
        ["completion", "bash"],
        HISTORY,
        ["--json", *HISTORY],
        CHANGES,
        ["--json", *CHANGES],
        ["read", "0", *WHY],
        ["verify"],
    ],
    ids=lambda args: " ".join(args[:2]),
)
async def test_output_that_nobody_reads_ends_the_command_quietly(place: Place, args: list[str]) -> None:
    await place.write(1)
    reader, writer = os.pipe()
    os.close(reader)
    process = await place.begin(*args, stdout=writer)
    os.close(writer)
    result = await ended(process)
    assert (result.code, result.err) == (Exit.PIPE_CLOSED, "")


async def test_reader_that_ends_after_the_first_of_many_lines(place: Place) -> None:
    await place.write(60, size_bytes=4000)
    reader, writer = os.pipe()
    process = await place.begin("--json", *CHANGES, "--limit", "1000", stdout=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as head:
        first = json.loads(await asyncio.to_thread(head.readline))
    result = await ended(process)
    assert first["position"] == 0
    assert (result.code, result.err) == (Exit.PIPE_CLOSED, "")


async def test_bulk_load_whose_output_nobody_reads_says_what_stands(place: Place) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = await place.begin(
        "--json", "write", "residency", "residence/entry", "--lines", "-", stdout=writer
    )
    os.close(writer)
    out, err = await process.communicate(b'{"subject": "1", "fact": "f", "content": 1}\n')
    assert process.returncode == Exit.PIPE_CLOSED
    assert not out
    assert b"1 stand, 0 refused. Go on with --from-line 2" in err
    assert b"Traceback" not in err


# Ctrl-C.


async def test_interrupted_write_says_that_the_record_may_stand(place: Place) -> None:
    for served in place.served:
        served.site.mute = True
    content = place.directory / "entry.json"
    content.write_text("{}")
    process = await place.begin(
        "write", "residency", "residence/entry", "--fact", "address", "--content", str(content)
    )
    await place.served[0].site.received.wait()
    process.send_signal(signal.SIGINT)
    result = await ended(process)
    assert result.code == Exit.INTERRUPTED
    assert "sento outbox" in result.err
    assert "Traceback" not in result.err


async def test_interrupted_load_that_waits_for_input_says_what_stands_and_where_to_go_on(
    place: Place,
) -> None:
    process = await place.begin("--json", "write", "residency", "residence/entry", "--lines", "-")
    assert process.stdin is not None
    process.stdin.write(b'{"subject": "1", "fact": "f", "content": 1}\n{"subject": "2"')
    assert json.loads(await line_of(process))["position"] == 0
    process.send_signal(signal.SIGINT)
    # Standard input stays open: the command must not wait for it.
    code = await process.wait()
    assert process.stderr is not None
    err = (await process.stderr.read()).decode()
    assert code == Exit.INTERRUPTED
    assert "1 stand, 0 refused" in err
    assert "--from-line 2" in err
    assert "Traceback" not in err


async def test_interrupted_following_says_where_to_go_on(place: Place) -> None:
    await place.write(2)
    process = await place.begin("--json", *CHANGES, "--follow")
    assert json.loads(await line_of(process))["position"] == 0
    assert json.loads(await line_of(process))["position"] == 1
    process.send_signal(signal.SIGINT)
    result = await ended(process)
    assert (result.code, result.err) == (Exit.INTERRUPTED, "Stopped. Go on with --from 2.\n")


async def test_interrupted_read_wrote_nothing(place: Place) -> None:
    dialled = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        dialled.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        write_client_files(place.directory, place.world, AUTHOR, dict.fromkeys(SITES, f"127.0.0.1:{port}"))
        process = await place.begin("read", "0", *WHY)
        await dialled.wait()
        process.send_signal(signal.SIGINT)
        result = await ended(process)
    assert (result.code, result.err) == (Exit.INTERRUPTED, "Interrupted. Nothing was written.\n")


# Locales.


async def test_locale_without_utf8_shows_escapes_and_gives_programs_the_same_content(place: Place) -> None:
    await place.write(1)
    shown = await place.run("read", "0", *WHY, **ASCII_LOCALE)
    assert shown.code == Exit.OK, shown.err
    assert "\\u7a42\\u6ce2\\u753a" in shown.out
    assert shown.out.isascii()
    value = await place.run("--json", "read", "0", *WHY, **ASCII_LOCALE)
    assert value.out.isascii()
    assert json.loads(value.out)["content"]["town"] == "穂波町"


async def test_fact_and_identifier_mean_the_same_in_every_locale(place: Place) -> None:
    content = place.directory / "entry.json"
    content.write_text("{}")
    args = ["residency", "residence/entry", "--fact", "住所", "--content", str(content)]
    written = await place.run("--json", "write", *args, SENTO_SUBJECT="花子")
    assert written.code == Exit.OK, written.out
    again = await place.run("--json", "write", *args, SENTO_SUBJECT="花子", **ASCII_LOCALE)
    assert json.loads(again.out)["error"]["code"] == "STALE"
    assert len(place.ledger.records) == 1
