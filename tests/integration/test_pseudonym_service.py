"""The pseudonym service as a process: who is named and who is not, what its log says and never says, and what a ministry's program sees when it is gone."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from client_world import AUTHOR, NUMBER, WHY, address
from mtls_sites import LONG
from pseudonym_place import REGISTRIES, PseudonymPlace, registry_keys
from sento_client import Code, Draft, SentoError, Setup, SetupError
from sento_client.cli.bulk import LineResult, Load, Tally
from sento_client.cli.lines import Defaults
from sento_client.cli.source import open_source
from sento_client.naming import Asked, Why
from sento_client.pseudonym_service.macs import KeyName
from sento_client.serving.log_chain import ChainBroken, ChainEnd, verify
from sento_client.serving.log_files import log_lines
from sento_client.sync_client import SyncSentoClient
from sento_drill.pki import Authority
from sento_drill.waiting import until
from sento_proto.identity import Identity
from sento_proto.pseudonyms import KeyKind, fact_of, subject_of, tag_of

TIMEOUT_MS = 10_000
NATURAL_KEY = "prescription-of-the-17th"
CITY = Identity("author", AUTHOR)


def asked(number: int | str = NUMBER, registry: str = "residency") -> Asked:
    return Asked(registry, str(number), "residence/entry", NATURAL_KEY)


def draft(fact: str, subject: str = NUMBER, registry: str = "residency") -> Draft:
    return Draft(registry, "residence/entry", subject, fact, b"x")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[PseudonymPlace]:
    place = PseudonymPlace(tmp_path)
    place.process.start()
    yield place
    place.process.end()


async def code_of_asking(place: PseudonymPlace, identity: Identity, what: Asked | None = None) -> Code:
    naming = place.caller(identity)
    try:
        with pytest.raises(SentoError) as refused:
            await naming.names([what or asked()], None, TIMEOUT_MS)
    finally:
        await naming.close()
    return refused.value.code


# Names.


async def test_records_are_named_as_with_keys_in_a_file_although_the_client_holds_none(
    place: PseudonymPlace,
) -> None:
    key = registry_keys()[KeyName("residency", KeyKind.PSEUDONYM)]
    async with place.client() as sento:
        done = await sento.write(**address(), content={"town": "穂波町"})
        later = await sento.update(**address(), **WHY, change=lambda _: {"town": "飯塚"})
        assert later is not None
        header = place.clients.ledger.records[done.position].record.header
        assert header.subject == subject_of(key, NUMBER)
        assert header.fact == fact_of(key, header.subject, "residence/entry", "address")
        assert (await sento.fact(**address(), **WHY)).position == later.position
        assert [v.position async for v in sento.history(**address(), **WHY)] == [1, 0]
        found = sento.subject_history(registry="residency", subject=NUMBER, **WHY)
        assert [version.position async for version in found] == [1, 0]


async def test_program_without_async_writes_and_reads_by_the_service(place: PseudonymPlace) -> None:
    def work() -> tuple[int, int]:
        with SyncSentoClient(place.client()) as sento:
            done = sento.write(**address(), content=b"x")
            sent = sento.send([sento.compose_named(draft("phone"))])
            return done.position, len(list(sento.history(**address(), **WHY))) + len(sent)

    assert await asyncio.to_thread(work) == (0, 2)


async def test_many_writes_ask_once_and_a_group_too(place: PseudonymPlace) -> None:
    async with place.client() as sento:
        results = await sento.write_many([draft("address", f"{number:012}") for number in range(64)])
        assert len(results) == 64
        await sento.write_group([draft("phone"), draft("mail")])
    counts = [line["count"] for line in place.lines() if line["event"] == "names"]
    assert counts == [64, 2]


async def test_more_names_than_fit_one_call_are_asked_for_in_pieces_and_keep_their_order(
    place: PseudonymPlace,
) -> None:
    key = registry_keys()[KeyName("tax", KeyKind.PSEUDONYM)]
    naming = place.caller(CITY)
    numbers = [f"{number:012}" for number in range(1_201)]
    named = await naming.names([asked(number, "tax") for number in numbers], None, TIMEOUT_MS)
    again = await naming.names([asked(number, "tax") for number in numbers], None, TIMEOUT_MS)
    await naming.close()
    assert [name.subject for name in named] == [subject_of(key, number) for number in numbers]
    assert again == named
    assert [line["count"] for line in place.lines() if line["event"] == "names"] == [500, 500, 201]


async def test_tags_are_made_of_two_fields_and_of_one_they_are_refused(place: PseudonymPlace) -> None:
    naming = place.caller(CITY)
    fields = ("イイヅカ タロウ", "1970-01-01", "1")
    key = registry_keys()[KeyName("residency", KeyKind.INDEX)]
    tags = await naming.tags("residency", [("kana-birth-sex", fields)], None, TIMEOUT_MS)
    with pytest.raises(SentoError) as refused:
        await naming.tags("residency", [("birth", fields[1:2])], None, TIMEOUT_MS)
    await naming.close()
    assert tags == [tag_of(key, "kana-birth-sex", fields)]
    assert refused.value.code is Code.BAD_REQUEST
    assert fields[1] not in str(refused.value)


async def test_composing_without_waiting_is_refused_in_words_that_name_the_way(place: PseudonymPlace) -> None:
    async with place.client() as sento:
        with pytest.raises(SetupError) as refused:
            sento.compose(draft("phone"))
        assert refused.value.code is Setup.NAMES_ARE_ASKED
        assert "compose_named" in str(refused.value)
        (named,) = await sento.names([draft("phone")])
        assert sento.compose(draft("phone"), named).header.subject == named.subject


# Who may ask.


@pytest.mark.parametrize(
    ("identity", "what"),
    [
        (Identity("author", "iizuka-hospital"), asked()),
        (CITY, asked(registry="health")),
        (Identity("site", AUTHOR), asked()),
        (Identity("operator", "drill"), asked()),
        (Identity("pseudonyms", "iizuka"), asked()),
    ],
    ids=["not-allowed", "unknown-registry", "site", "operator", "another-service"],
)
async def test_who_is_not_allowed_is_told_so_and_the_refusal_is_in_the_log(
    place: PseudonymPlace, identity: Identity, what: Asked
) -> None:
    expected = Code.NOT_FOUND if what.registry == "health" else Code.IDENTITY_REFUSED
    assert await code_of_asking(place, identity, what) is expected
    last = place.lines()[-1]
    assert (last["outcome"], last["institution"], last["role"]) == (
        expected.name,
        identity.name,
        identity.role,
    )


async def test_registry_that_is_not_allowed_to_an_institution_is_refused(tmp_path: Path) -> None:
    place = PseudonymPlace(tmp_path, allow={AUTHOR: ["residency"], "iizuka-hospital": ["tax"]})
    place.process.start()
    try:
        assert await code_of_asking(place, CITY, asked(registry="tax")) is Code.IDENTITY_REFUSED
    finally:
        place.process.end()


async def test_certificate_of_another_authority_gets_no_connection(place: PseudonymPlace) -> None:
    naming = place.caller(CITY, Authority("another authority", LONG))
    with pytest.raises(SentoError) as refused:
        await naming.names([asked()], None, TIMEOUT_MS)
    await naming.close()
    assert refused.value.code is Code.UNREACHABLE
    assert [line["event"] for line in place.lines()] == ["start"]


async def test_service_describes_itself_by_key_ids_and_shows_where_its_log_stands(
    place: PseudonymPlace,
) -> None:
    naming = place.caller(Identity("operator", "drill"))
    described = await naming.describe(TIMEOUT_MS)
    await naming.close()
    assert [registry.registry for registry in described.registries] == list(REGISTRIES)
    assert described.ledger_id == place.clients.world.ledger_id
    end = verify(log_lines(place.log))
    assert (described.log_lines, described.log_head) == end
    raw = described.SerializeToString()
    assert not any(key in raw for key in registry_keys().values())


# The limit.


async def test_institution_at_its_limit_is_told_how_long_and_the_log_raises_an_alarm(tmp_path: Path) -> None:
    place = PseudonymPlace(tmp_path, names_per_minute=600)
    place.process.start()
    naming = place.caller(CITY)
    try:
        await naming.names([asked(number) for number in range(500)], None, TIMEOUT_MS)
        with pytest.raises(SentoError) as refused:
            await naming.names([asked(number) for number in range(1_000, 1_500)], None, TIMEOUT_MS)
        # Ten names come back in a second, so a call that may wait so long passes.
        await naming.names([asked(number) for number in range(2_000, 2_105)], None, TIMEOUT_MS)
    finally:
        await naming.close()
        place.process.end()
    assert refused.value.code is Code.RATE_LIMITED
    assert "600 names of registry residency a minute" in refused.value.detail
    first, turned_away, *later, passed = [line for line in place.lines() if line["event"] == "names"]
    assert (first["outcome"], passed["outcome"]) == ("OK", "OK")
    assert {(line["outcome"], line["alarm"]) for line in (turned_away, *later)} == {
        ("RATE_LIMITED", "at its limit")
    }
    assert [line["count"] for line in (first, turned_away, passed)] == [500, 500, 105]
    assert "at its limit" in place.process.said_file.read_text()


# The log.


async def test_log_says_who_and_how_many_and_nothing_of_whom(place: PseudonymPlace) -> None:
    async with place.client() as sento:
        await sento.write(**address(NATURAL_KEY), content=b"x")
    naming = place.caller(CITY)
    await naming.names([asked()], Why("address proof", "2026-118"), TIMEOUT_MS)
    with pytest.raises(SentoError) as quoted:
        await naming.names([asked("123412341234")], Why("for 123412341234", "1"), TIMEOUT_MS)
    with pytest.raises(SentoError):
        await naming.names([asked(registry="999988887777")], None, TIMEOUT_MS)
    with pytest.raises(SentoError):
        await naming.names([asked("9" * 300)], None, TIMEOUT_MS)
    named = await naming.names([asked("555566667777")], None, TIMEOUT_MS)
    await naming.close()
    assert quoted.value.code is Code.BAD_REQUEST
    place.process.end()
    line = next(line for line in place.lines() if line.get("purpose"))
    assert (line["institution"], line["registry"], line["count"]) == (AUTHOR, "residency", 1)
    assert (line["purpose"], line["case_number"], line["outcome"]) == ("address proof", "2026-118", "OK")
    everything = (
        b"".join(path.read_bytes() for path in place.log.glob("*")) + place.process.said_file.read_bytes()
    )
    secrets = [NUMBER, "123412341234", "999988887777", "555566667777", "9" * 20, NATURAL_KEY]
    assert not [secret for secret in secrets if secret.encode() in everything]
    assert named[0].subject.hex().encode() not in everything
    assert not [key for key in registry_keys().values() if key.hex().encode() in everything]


async def test_log_shows_a_line_that_was_altered_or_taken_out(place: PseudonymPlace) -> None:
    naming = place.caller(CITY)
    for number in range(4):
        await naming.names([asked(number)], None, TIMEOUT_MS)
    await naming.close()
    place.process.end()
    lines = list(log_lines(place.log))
    end = verify(lines)
    assert end.lines == 6
    altered = [*lines[:2], lines[2].replace(b'"count":1', b'"count":0'), *lines[3:]]
    for changed, where in ((altered, 4), (lines[:2] + lines[3:], 3), (lines[1:], 1)):
        with pytest.raises(ChainBroken) as broken:
            verify(changed)
        assert broken.value.line == where
    assert verify(lines[:-1]).lines == 5
    with pytest.raises(ChainBroken):
        verify(lines[:-1], end)
    with pytest.raises(ChainBroken):
        verify([*altered[:3]], ChainEnd(3, verify(lines[:3]).head))


async def test_log_goes_on_after_a_kill_that_tore_its_last_line(place: PseudonymPlace) -> None:
    naming = place.caller(CITY)
    await naming.names([asked()], None, TIMEOUT_MS)
    place.process.kill()
    (path,) = place.log.glob("calls-*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"event":"names","n":3,"prev')
    place.process.start()
    await naming.close()
    assert [line["event"] for line in place.lines()] == ["start", "names", "end-mended", "start"]
    verify(log_lines(place.log))


async def test_disk_that_takes_no_more_of_the_log_names_nobody_until_it_does(place: PseudonymPlace) -> None:
    naming = place.caller(CITY)
    await naming.names([asked(number) for number in range(3)], None, TIMEOUT_MS)
    await naming.subject("residency", "1", None, TIMEOUT_MS)
    (path,) = place.log.glob("calls-*.jsonl")
    whole = path.read_bytes()
    unlimited = resource.RLIM_INFINITY
    # The file may grow by a part of a line: what a full disk does in the middle of a write.
    resource.prlimit(place.process.pid, resource.RLIMIT_FSIZE, (len(whole) + 40, unlimited))
    with pytest.raises(SentoError) as refused:
        await naming.names([asked(4)], None, TIMEOUT_MS)
    assert refused.value.code is Code.STOPPED
    assert "cannot write its log" in refused.value.detail
    assert path.read_bytes() == whole
    resource.prlimit(place.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    assert len(await naming.names([asked(5)], None, TIMEOUT_MS)) == 1
    await naming.close()
    assert verify(log_lines(place.log)).lines == 4


# Trouble.


async def test_service_killed_between_writes_gives_words_and_then_writing_goes_on(
    place: PseudonymPlace,
) -> None:
    async with place.client() as sento:
        composed = await sento.compose_named(draft("composed before"))
        await sento.write(**address("first"), content=b"x")
        place.process.kill()
        with pytest.raises(SentoError) as gone:
            await sento.write(**address("second"), content=b"x")
        assert gone.value.code is Code.UNREACHABLE
        assert "pseudonym service iizuka" in gone.value.detail
        assert "nothing was composed or written" in gone.value.detail
        with pytest.raises(SentoError):
            await sento.write_many([draft("third"), draft("fourth")])
        assert len(place.clients.ledger.records) == 1
        # What has its names already does not need the service.
        (sent,) = await sento.send([composed])
        assert not isinstance(sent, Exception)
        place.process.start()

        async def written() -> bool:
            try:
                return (await sento.write(**address("second"), content=b"x")).position == 2
            except SentoError:
                return False

        await until(written, deadline_s=TIMEOUT_MS / 1000, what="the client does not find the service again")
        assert len(place.clients.ledger.records) == 3
    verify(log_lines(place.log))


async def test_second_service_on_one_log_does_not_start(place: PseudonymPlace) -> None:
    second = type(place.process)(place.config)
    with pytest.raises(RuntimeError, match="another pseudonym service writes this log"):
        second.start()
    second.end()


async def test_bulk_load_names_a_part_at_once_refuses_one_line_alone_and_stops_without_the_service(
    place: PseudonymPlace, tmp_path: Path
) -> None:
    def line(subject: str) -> str:
        return json.dumps({"subject": subject, "fact": "address", "content": {"town": "x"}}) + "\n"

    path, results, tally = tmp_path / "lines", list[LineResult](), Tally()
    defaults = Defaults("residency", "residence/entry", "")
    path.write_text(line("1") + line("9" * 300) + line("2"))
    async with place.client() as sento:
        with open_source(path) as source:
            await Load(sento, defaults, None, tally, results.extend).run(source, 1)
        assert (tally.stand, tally.refused, tally.stopped_by) == (2, 1, None)
        refused = results[1].result
        assert isinstance(refused, SentoError)
        assert refused.code is Code.BAD_REQUEST
        place.process.kill()
        path.write_text(line("3"))
        again = Tally()
        with open_source(path) as source:
            await Load(sento, defaults, None, again, results.extend).run(source, 1)
    assert again.stopped_by is not None
    assert (again.stopped_by.code, again.next_line, again.stand) == (Code.UNREACHABLE, 1, 0)
