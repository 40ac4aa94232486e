"""While the gap of a recovery is open, whoever is shown a record from below it is told as of when it is: by programs' calls, by each command, and in files."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest
from click.testing import CliRunner, Result

from audit_files import run_kit
from client_world import NUMBER, WHY, address
from epoch_story import AS_OF_MS
from extracts_made import ExtractMaker
from recovered_registry import close_gap, lines_of, recover
from sento_client import Acknowledgement, Code, SentoClient, SentoError
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.composing import Ports
from sento_client.config import Limits
from sento_client.exporting.face import Wanted
from sento_client.governing.follower import KEEP_UP_EVERY_MS, Follower
from sento_client.governing.trust_file import encode_trust
from sento_client.results import Version
from sento_client.testing import Institution, Registry
from sento_proto.governance.gaps import as_of_words
from sento_proto.receipt import encode_receipt

CITY = "iizuka-city"
BELOW, BEHIND = "address", "since"
"""A fact with two versions below the fork and one behind it, and one that stands behind it alone."""
TOML = """
genesis = "genesis.json"
institution = "iizuka-city"
[tls]
ca = "ca"
certificate = "certificate"
key = "key"
[keys]
seal = "seal"
pseudonyms = "pseudonyms"
[[sites]]
name = "site-1"
address = "127.0.0.1:1"
"""
DATED = as_of_words(AS_OF_MS)
COMMAND_WHY = ["--purpose", "address proof", "--case", "2026-118"]


class Place:
    """A recovered registry: `below` and `behind` are what was written on either side of the fork, with its receipts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        institution = Institution(CITY, writes=["residency"], reads=["residency"])
        self.registry = Registry([institution], seed=5, rules=5, limits=Limits(deadline_ms=2_000))
        self.below = asyncio.run(self._write(BELOW, None, b'"1"', b'"2"'))
        self.gap = recover(self.registry)
        self.behind = asyncio.run(self._write(BELOW, self.below[-1].record_hash, b'"3"'))
        self.behind += asyncio.run(self._write(BEHIND, None, b'"4"'))
        genesis = self.registry._world.genesis_bytes
        (directory / "genesis.json").write_bytes(genesis)
        (directory / "sento.toml").write_text(TOML)

    async def _write(self, fact: str, previous: bytes | None, *contents: bytes) -> list[Acknowledgement]:
        done = []
        async with self.registry.client() as sento:
            for content in contents:
                done.append(await sento.write(**address(fact), content=content, previous=previous))
                previous = done[-1].record_hash
        return done

    def run(self, *arguments: str, columns: int = 200) -> Result:
        app = App(open_client=lambda _: self.registry.client())
        env = {"SENTO_SUBJECT": NUMBER, "COLUMNS": str(columns)}
        config = ["--config", str(self.directory / "sento.toml")]
        result = CliRunner().invoke(main, [*config, *arguments], obj=app, env=env)
        assert result.exit_code in (0, 5), result.output
        return result


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def dates(versions: list[Version]) -> dict[int, int | None]:
    return {version.position: version.as_of_ms for version in versions}


async def everything_read(place: Place, *, confirmed: bool) -> list[Version]:
    """The same records by every call that reads."""
    async with place.registry.client() as sento:
        found = [await sento.read(done.position, **WHY) for done in (*place.below, *place.behind)]
        found += [version async for version in sento.history(**address(BELOW), **WHY, confirmed=confirmed)]
        found.append(await sento.fact(**address(BEHIND), **WHY, confirmed=confirmed))
        found += [
            version
            async for version in sento.subject_history(
                registry="residency", subject=NUMBER, **WHY, confirmed=confirmed
            )
            if version.author == CITY
        ]
        found += [
            version
            async for version in sento.changes(registry="residency", from_position=0, **WHY)
            if version.author == CITY
        ]
    return found


@pytest.mark.parametrize("confirmed", [False, True], ids=["read", "confirmed"])
async def test_every_call_dates_what_stands_below_the_gap_and_nothing_behind_it(
    tmp_path: Path, confirmed: bool
) -> None:
    place = await asyncio.to_thread(Place, tmp_path)
    found = await everything_read(place, confirmed=confirmed)
    assert len(found) >= 14
    wanted: dict[int, int | None] = {done.position: AS_OF_MS for done in place.below}
    assert dates(found) == wanted | dict.fromkeys(done.position for done in place.behind)


async def test_a_closed_gap_dates_nothing(tmp_path: Path) -> None:
    place = await asyncio.to_thread(Place, tmp_path)
    close_gap(place.registry)
    assert set(dates(await everything_read(place, confirmed=False)).values()) == {None}


def test_the_read_command_says_as_of_when_to_people_and_to_programs(place: Place) -> None:
    below, behind = str(place.below[-1].position), str(place.behind[-1].position)
    assert DATED in place.run("read", below, *COMMAND_WHY).output
    assert "as of 2026" not in place.run("read", behind, *COMMAND_WHY).output
    (told,) = lines_of(place.run("--json", "read", below, *COMMAND_WHY).output)
    assert (told["as_of_ms"], told["as_of_time"]) == (AS_OF_MS, "2026-03-11T08:46:00.000Z")
    (told,) = lines_of(place.run("--json", "read", behind, *COMMAND_WHY).output)
    assert (told["as_of_ms"], told["as_of_time"]) == (None, None)


@pytest.mark.parametrize("columns", [80, 200])
def test_a_list_says_below_it_how_many_of_its_lines_are_as_of_when(place: Place, columns: int) -> None:
    history = ["history", "residency", "residence/entry", "--fact", BELOW, *COMMAND_WHY]
    said = " ".join(place.run(*history, columns=columns).output.split())
    assert f"2 of these are {DATED}." in said
    (told,) = lines_of(place.run("--json", *history).output)
    versions = told["versions"]
    assert isinstance(versions, list)
    assert [each["as_of_ms"] for each in versions] == [None, AS_OF_MS, AS_OF_MS]
    alone = ["history", "residency", "residence/entry", "--fact", BEHIND, *COMMAND_WHY]
    assert "as of" not in place.run(*alone, columns=columns).output


def test_an_empty_list_says_that_what_is_not_there_may_be_missing(place: Place) -> None:
    nothing = ["history", "residency", "residence/entry", "--fact", "unheard of", *COMMAND_WHY]
    assert f"The ledger is {DATED}." in " ".join(place.run(*nothing).output.split())
    (told,) = lines_of(place.run("--json", *nothing).output)
    assert (told["versions"], told["empty_as_of_ms"]) == ([], AS_OF_MS)
    close_gap(place.registry)
    assert "as of" not in place.run(*nothing).output


def test_subject_lists_and_streams_say_it_too(place: Place) -> None:
    assert DATED in " ".join(place.run("subject", "residency", *COMMAND_WHY).output.split())
    stream = place.run("changes", "residency", *COMMAND_WHY).output.splitlines()
    dated = [line for line in stream if line.endswith("as of 2026-03-11 08:46 UTC")]
    assert [int(line.split()[0]) for line in dated] == [done.position for done in place.below]


def test_a_verified_record_and_its_receipt_say_it_without_any_site(place: Place) -> None:
    async def files() -> None:
        async with place.registry.client() as sento:
            for name, done in (("below", place.below[0]), ("behind", place.behind[0])):
                data = encode_receipt(await sento.receipt(done))
                (place.directory / f"{name}.receipt.json").write_bytes(data)
            await sento.governance()
            trust = encode_trust(place.registry._world.genesis_bytes, sento.followed)
            (place.directory / "given.json").write_bytes(trust)

    asyncio.run(files())
    verified = place.run("verify", str(place.below[0].position), *COMMAND_WHY).output
    assert f"The record is {DATED}." in " ".join(verified.split())
    place.registry.everywhere.down = True
    names = [str(place.directory / f"{name}.receipt.json") for name in ("below", "behind")]
    verify = ["receipt", "verify", *names, "--trust", str(place.directory / "given.json")]
    assert place.run(*verify).output.count(f"The record is {DATED}.") == 1
    (told,) = lines_of(place.run("--json", *verify).output)
    receipts = told["receipts"]
    assert isinstance(receipts, list)
    assert [each["as_of_ms"] for each in receipts] == [AS_OF_MS, None]


def test_an_export_says_the_gap_in_its_first_line_and_the_audit_kit_finds_it_to_be_so(place: Place) -> None:
    path = place.directory / "all.sento-export"
    said = place.run("export", "--out", str(path), *COMMAND_WHY).output
    assert "state as of 2026-03-11 08:46 UTC" in said
    first = json.loads(path.read_text().splitlines()[0])
    size = place.below[-1].position + 1
    assert first["gaps"] == [{"epoch": 1, "as_of_ms": AS_OF_MS, "known_missing": 412, "from_size": size}]
    kit = run_kit(place.directory, "--json", "--ledger-id", place.registry.genesis.ledger_id.hex(), path.name)
    assert (kit.code, kit.of("sento-export-1"), kit.of("gap")) == (0, ["ok"], ["not checked"]), kit.stdout
    close_gap(place.registry)
    place.run("export", "--out", str(path), *COMMAND_WHY)
    assert "gaps" not in json.loads(path.read_text().splitlines()[0])


async def test_an_export_up_to_a_checkpoint_before_the_gap_was_opened_says_none(tmp_path: Path) -> None:
    """What the file says of gaps must follow from the acts that are in it."""
    place = await asyncio.to_thread(Place, tmp_path)
    place.registry.cosigned_size = place.gap.from_size + 1
    async with place.registry.client() as sento:
        exported = await sento.export_ledger(tmp_path / "a.sento-export", Wanted("audit", "2026-9"))
    assert (exported.checkpoint.size, exported.gaps) == (place.gap.from_size + 1, ())


def test_the_status_says_an_open_gap_first_thing_and_counts_it_as_no_fault_of_a_site(place: Place) -> None:
    said = " ".join(place.run("status").output.split())
    assert "A gap is open: state as of 2026-03-11 08:46 UTC" in said
    assert "412 acknowledged records are known to be missing" in said
    (told,) = lines_of(place.run("--json", "status").output)
    assert told["gaps"] == [
        {"epoch": 1, "as_of_ms": AS_OF_MS, "known_missing": 412, "from_size": place.gap.from_size}
    ]
    close_gap(place.registry)
    (told,) = lines_of(place.run("--json", "status").output)
    assert told["gaps"] == []


async def test_whoever_only_reads_learns_of_a_gap_within_a_minute_and_asks_once_for_that(
    tmp_path: Path,
) -> None:
    """Nothing in a record leaves a doubt that would make a client ask for news: it asks by itself, and not with each answer."""
    place = await asyncio.to_thread(Place, tmp_path)
    installation = place.registry.installation()
    transport, now_ms = place.registry.transport(installation), 0
    ports = Ports(steady_ms=lambda: now_ms)
    position = place.below[0].position
    async with SentoClient(installation, transport=lambda _: transport, ports=ports) as sento:
        assert (await sento.read(position, **WHY)).as_of_ms == AS_OF_MS
        close_gap(place.registry)
        transport.asked.clear()
        now_ms = KEEP_UP_EVERY_MS - 1
        assert (await sento.read(position, **WHY)).as_of_ms == AS_OF_MS
        assert len(transport.asked) == 1
        now_ms = KEEP_UP_EVERY_MS
        assert (await sento.read(position, **WHY)).as_of_ms is None


async def test_a_site_that_does_not_say_what_officers_changed_is_asked_again_with_the_next_answer(
    tmp_path: Path,
) -> None:
    place = await asyncio.to_thread(Place, tmp_path)
    position = place.below[0].position
    async with place.registry.client() as sento:
        with mock.patch.object(Follower, "refresh", side_effect=SentoError(Code.UNREACHABLE, "site-1")):
            assert (await sento.read(position, **WHY)).as_of_ms is None
        assert (await sento.read(position, **WHY)).as_of_ms == AS_OF_MS


async def test_an_extract_opened_without_a_site_is_dated_by_the_acts_that_this_computer_followed(
    tmp_path: Path,
) -> None:
    place = await asyncio.to_thread(Place, tmp_path)
    made_at_ms = place.registry.ports.wall_ms()
    data = ExtractMaker(place.registry, CITY, made_at_ms=made_at_ms).make([NUMBER], "residency")
    async with place.registry.client() as sento:
        await sento.governance()
        followed = sento.followed
    place.registry.everywhere.down = True
    installation = place.registry.installation(outbox=tmp_path / "outbox")
    later = SentoClient(replace(installation, followed=followed), ports=Ports(wall_ms=lambda: made_at_ms))
    shown = later.open_extract(data, NUMBER, purpose="own records", case_number="2026-7")
    wanted: dict[int, int | None] = {done.position: AS_OF_MS for done in place.below}
    assert dates(list(shown.versions)) == wanted | dict.fromkeys(done.position for done in place.behind)
