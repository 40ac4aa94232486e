"""An outbox while officers act: what can never be accepted any more is set aside with words, what may be accepted later waits; nothing is lost silently."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from outbox_at_work import until
from sento_client import Acknowledgement, Code, Draft, SentoClient, WriteError
from sento_client import session as session_module
from sento_client.cli.main import main
from sento_client.outbox import inspecting, keeper
from sento_client.outbox.keeping import Counts, Settings
from sento_client.testing import Institution, Registry
from sento_proto.genesis import Budget

MINISTRY = "ministry"
QUICK = Settings(cover_ms=20, check_ms=2, again_ms=2, not_yet_first_ms=2, not_yet_most_ms=10)
NOTHING = Counts(0, 0)
SOON_MS = 400
CLOSED: Mapping[str, object] = {
    "do": "start-key-epoch", "registry": "health", "key_epoch": 2, "previous": "closed",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "Keeper", partial(keeper.Keeper, settings=QUICK))


@pytest.fixture
def registry() -> Registry:
    return Registry((Institution(MINISTRY, writes=("health",)),), rules=2)


@pytest.fixture
def outbox(tmp_path: Path) -> Path:
    (tmp_path / "sento.toml").write_text(
        'genesis = "g"\ninstitution = "ministry"\n[tls]\nca = "c"\ncertificate = "c"\nkey = "k"\n'
        '[keys]\nseal = "s"\npseudonyms = "p"\n[[sites]]\nname = "site-1"\naddress = "127.0.0.1:1"\n'
    )
    return tmp_path / "outbox"


def draft(fact: str = "1") -> Draft:
    return Draft("health", "prescription", "a patient", fact, "aspirin")


async def write_in_vain(sento: SentoClient, registry: Registry) -> bytes:
    """A record that is composed and kept while no site can be reached; its id."""
    await sento.prepare("health")
    await until(lambda: sento.outbox == NOTHING)
    registry.everywhere.down = True
    (result,) = await sento.send([await sento.compose_named(draft())], deadline_ms=SOON_MS)
    assert isinstance(result, WriteError)
    assert result.kept
    return result.record.header.record_id


def ids_at(registry: Registry) -> list[bytes]:
    return [record.header.record_id for record in registry.records("health")]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (Code.KEY_EPOCH_CLOSED, "Write it again: the client seals it under the present key epoch"),
        (Code.KEY_ENDED, "Write the record again under the author's present key"),
    ],
)
async def test_record_that_waits_while_officers_end_its_key_is_set_aside_and_its_words_say_to_write_anew(
    registry: Registry, outbox: Path, code: Code, words: str
) -> None:
    key_id = registry._world.key_id(MINISTRY).hex()
    revoked = {"do": "revoke-key", "author": MINISTRY, "key_id": key_id}
    async with registry.client(outbox=outbox) as sento:
        waits = await write_in_vain(sento, registry)
        registry.act(CLOSED if code is Code.KEY_EPOCH_CLOSED else revoked)
        assert [one.record_id for one in inspecting.kept_records(outbox)] == [waits]
        registry.everywhere.down = False
        await until(lambda: sento.outbox == NOTHING)
        await until(lambda: list(inspecting.refused_records(outbox)))
    # The program has ended; what became of the record is still there to be seen.
    (refused,) = inspecting.refused_records(outbox)
    assert (refused.record_id, refused.registry, refused.kind) == (waits, "health", "prescription")
    assert refused.code is code
    assert ids_at(registry) == []
    told = CliRunner().invoke(main, ["errors", refused.code.name]).stdout
    assert "(final)" in told
    assert words in " ".join(told.split())


def test_outbox_shows_the_record_that_was_set_aside_until_somebody_discards_it(
    registry: Registry, outbox: Path
) -> None:
    async def trouble() -> bytes:
        async with registry.client(outbox=outbox) as sento:
            waits = await write_in_vain(sento, registry)
            registry.act(CLOSED)
            registry.everywhere.down = False
            await until(lambda: list(inspecting.refused_records(outbox)))
            return waits

    waits = asyncio.run(trouble())
    command = ["--config", str(outbox.with_name("sento.toml")), "--json", "outbox"]
    shown = CliRunner().invoke(main, command)
    assert shown.exit_code == 5, shown.output
    (refused,) = json.loads(shown.stdout)["refused_records"]
    assert (refused["record_id"], refused["code"]) == (waits.hex(), "KEY_EPOCH_CLOSED")
    people = CliRunner().invoke(main, [word for word in command if word != "--json"])
    assert "write anew what is meant" in " ".join(people.stdout.split())


async def test_what_was_set_aside_and_is_written_anew_stands_once_under_the_new_epoch(
    registry: Registry, outbox: Path
) -> None:
    async with registry.client(outbox=outbox) as sento:
        waits = await write_in_vain(sento, registry)
        registry.act(CLOSED)
        registry.everywhere.down = False
        await until(lambda: list(inspecting.refused_records(outbox)))
        await sento.governance()
        (done,) = await sento.write_many([draft()])
        assert isinstance(done, Acknowledgement)
        await until(lambda: sento.outbox == NOTHING)
    (stands,) = registry.records("health")
    assert (stands.header.record_id, stands.header.key_epoch) == (done.record_id, 2)
    assert stands.content == b"aspirin"
    assert inspecting.discard_refused(outbox, [waits]) == [waits]


async def test_record_that_is_held_waits_until_officers_grant_and_then_stands_by_itself(outbox: Path) -> None:
    ministry = Institution(MINISTRY, writes=("health",), budget=Budget(10, 2))
    registry = Registry((ministry,), rules=2)
    patients = [Draft("health", "prescription", f"patient {number}", "1", "aspirin") for number in range(4)]
    async with registry.client(outbox=outbox) as sento:
        results = await sento.write_many(patients, deadline_ms=SOON_MS)
        held = [result for result in results if isinstance(result, WriteError)]
        assert [(error.code, error.kept) for error in held] == [(Code.HELD, True)] * len(held)
        assert held
        registry.act({"do": "grant-budget", "author": MINISTRY, "more": {"records": 10, "subjects": 10}})
        await until(lambda: sento.outbox == NOTHING)
    assert len(ids_at(registry)) == len(set(ids_at(registry))) == 4
    assert not list(inspecting.refused_records(outbox))
