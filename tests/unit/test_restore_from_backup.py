"""A ledger is restored from backup volumes alone: whole, as of a moment, over damaged and missing volumes, after a kill at any chunk, on a full disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from acts import carry_out_erasure, erase
from courier_world import SEAL_SECRET, CourierLedger, StoreSource, maker, told_ledger, wish
from forked_backup import AT_S, TimedLedger
from genesis_builder import TestWorld, build_genesis
from ledger_driver import everything
from sento_client.courier.exporting import Maker, export_set
from sento_client.keyfiles import write_seal_key
from sento_node.cli import main
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.ledger.store import DiskSpace
from sento_node.ledger.verify import Verification
from sento_node.restoring import draft as draft_module
from sento_node.restoring.draft import Draft
from sento_proto.chunk import Chunk
from sento_proto.errors import Code


class Desk:
    """A directory of volumes, a genesis file, and a command to restore with."""

    def __init__(self, directory: Path, world: TestWorld) -> None:
        self.directory = directory
        self.backup = directory / "backup"
        self.into = directory / "into"
        self.world = world
        self.genesis = directory / "genesis.json"
        self.genesis.write_bytes(world.genesis_bytes)

        self._maker: Maker | None = None

    def back_up(self, ledger: CourierLedger, *, sealed: bool = False) -> None:
        """What is new, as one more set."""
        self.backup.mkdir(exist_ok=True)
        self._maker = self._maker or maker(ledger)
        asyncio.run(
            export_set(StoreSource(ledger), self.backup, wish(sealed=sealed, kind="backup"), self._maker)
        )

    def restore(self, *more: str, code: int = 0) -> Result:
        arguments = ["restore", "--from", self.backup, "--genesis", self.genesis, "--into", self.into, *more]
        result = CliRunner().invoke(main, [str(one) for one in arguments], catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result

    def value(self, *more: str, code: int = 0) -> dict[str, object]:
        found = json.loads(self.restore("--json", *more, code=code).stdout)
        assert isinstance(found, dict)
        return found

    def whole(self) -> dict[str, object]:
        with closing(LmdbStore.open(self.into / "ledger", self.world.ledger_id)) as store:
            return everything(store)

    def findings(self) -> list[str]:
        return [one.words for one in Verification(self.into / "ledger", self.world.genesis).findings()]


@pytest.fixture(scope="module")
def ledger() -> CourierLedger:
    return told_ledger()


@pytest.fixture
def desk(ledger: CourierLedger, tmp_path: Path) -> Desk:
    desk = Desk(tmp_path, ledger.world)
    desk.back_up(ledger)
    return desk


def moment(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat()


def test_a_backup_alone_gives_the_ledger_it_was_made_of(ledger: CourierLedger, desk: Desk) -> None:
    result = desk.restore()
    assert "Everything is there." in result.output
    assert desk.whole() == everything(ledger.store)
    assert desk.findings() == []


def test_a_sealed_backup_opens_with_its_key_and_is_named_without_it(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, ledger.world)
    desk.back_up(ledger, sealed=True)
    assert "sealed" in desk.restore(code=1).output
    write_seal_key(tmp_path / "seal.key", SEAL_SECRET)
    desk.restore("--key", str(tmp_path / "seal.key"))
    assert desk.whole() == everything(ledger.store)


def test_a_key_under_a_passphrase_is_refused_with_what_to_do(ledger: CourierLedger, desk: Desk) -> None:
    write_seal_key(desk.directory / "seal.key", SEAL_SECRET, b"a long passphrase")
    assert "passphrase" in desk.restore("--key", str(desk.directory / "seal.key"), code=2).output


def timed(desk_dir: Path) -> tuple[TimedLedger, Desk, list[tuple[int, dict[str, object]]]]:
    """Three states a minute apart, in one backup of three sets."""
    world = build_genesis(rules=4)
    ledger = TimedLedger(world, MemoryStore(MemoryDisk(world.ledger_id)))
    desk = Desk(desk_dir, world)
    states = []
    for at, name in enumerate("abc"):
        ledger.now_s = AT_S + 60 * at
        ledger.grow(name)
        states.append((ledger.now_s, everything(ledger.store)))
        desk.back_up(ledger)
    return ledger, desk, states


@pytest.mark.parametrize(("at", "later_s"), [(0, 0), (0, 59), (1, 0), (1, 30), (2, 0), (2, 9_999)])
def test_a_chain_is_restored_as_it_was_at_a_moment(tmp_path: Path, at: int, later_s: int) -> None:
    """The largest state that a quorum had cosigned by then, and never a newer one."""
    _, desk, states = timed(tmp_path)
    value = desk.value("--as-of", moment(states[at][0] + later_s))
    assert (value["whole"], value["agreed_at_s"]) == (True, states[at][0])
    assert value["next_agreed_at_s"] == (states[at + 1][0] if at < 2 else None)
    assert desk.whole() == states[at][1]
    assert desk.findings() == []


def test_a_moment_before_everything_is_refused_in_words(tmp_path: Path) -> None:
    _, desk, states = timed(tmp_path)
    assert "Name a later one" in desk.restore("--as-of", moment(states[0][0] - 1), code=1).output


def test_what_an_order_destroyed_later_does_not_come_back_with_an_older_state(tmp_path: Path) -> None:
    """The payload lies in a volume that was made before the order."""
    world = build_genesis(rules=4)
    ledger = TimedLedger(world, MemoryStore(MemoryDisk(world.ledger_id)))
    desk = Desk(tmp_path, world)
    ledger.grow("a")
    desk.back_up(ledger)
    gone = ledger.store.record(1).record_hash
    ledger.now_s = AT_S + 60
    at = ledger.state.size
    assert ledger.act(erase(gone)) is Code.ACCEPTED
    assert ledger.act(carry_out_erasure(at)) is Code.ACCEPTED
    ledger.keep()
    desk.back_up(ledger)
    value = desk.value("--as-of", moment(AT_S))
    assert (value["size"], value["erased"], value["awaited"]) == (3, 1, 0)
    with closing(LmdbStore.open(desk.into / "ledger", world.ledger_id)) as store:
        kept = store.record(1)
        assert (kept.payload, kept.erased) == (None, True)
        assert store.record(0).payload


def test_damaged_and_missing_volumes_are_named_and_better_copies_complete_the_same_restore(
    ledger: CourierLedger, desk: Desk
) -> None:
    """The spine's second copy stands in for the first; payloads have one copy only."""
    paths = sorted(desk.backup.glob("*.sento-volume"))
    spine, payloads = paths[0], next(path for path in paths[1:] if _content(path) == "payloads")
    spoiled = bytearray(spine.read_bytes())
    spoiled[-200] ^= 1
    whole_spine, whole_payloads = spine.read_bytes(), payloads.read_bytes()
    spine.write_bytes(spoiled)
    payloads.unlink()
    value = desk.value(code=4)
    assert value["size"] == ledger.state.size
    assert value["awaited"]
    troubles = value["troubles"]
    assert isinstance(troubles, list)
    named = {one["volume"]: one["verdict"] for one in troubles}
    assert named == {_label(spine): "damaged", _label(payloads): "missing"}
    assert desk.restore(code=4).output.count("in no volume that can be used") == 1
    spine.write_bytes(whole_spine)
    payloads.write_bytes(whole_payloads)
    desk.restore()
    assert desk.whole() == everything(ledger.store)
    assert "already, whole" in desk.restore(code=2).output


def test_volumes_of_another_ledger_are_named_and_alone_restore_nothing(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    other = told_ledger(build_genesis(rules=5))
    desk = Desk(tmp_path, ledger.world)
    desk.back_up(other)
    assert "foreign" in desk.restore(code=1).output


def test_a_directory_with_something_else_in_it_is_not_touched(desk: Desk) -> None:
    desk.into.mkdir()
    (desk.into / "mine").write_text("mine")
    assert "not empty" in desk.restore(code=2).output
    assert [path.name for path in desk.into.iterdir()] == ["mine"]


def test_another_moment_into_the_same_directory_is_refused(desk: Desk) -> None:
    desk.restore("--as-of", moment(AT_S))
    assert "another restore" in desk.restore(code=2).output


class Killed(BaseException):
    """Power is lost."""


@pytest.mark.parametrize(
    ("method", "after"),
    [("adopt", 0), ("adopt", 1), ("adopt", 2), ("fill", 0), ("fill", 1), ("cut", 0), ("erase_destroyed", 0)],
)
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
def test_a_kill_at_any_step_is_gone_on_with_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, after: int, behind: bool
) -> None:
    _, desk, states = timed(tmp_path)
    as_of = ("--as-of", moment(states[1][0]))
    with monkeypatch.context() as patched:
        patched.setattr(Draft, method, _killed(getattr(Draft, method), after, behind=behind))
        with pytest.raises(Killed):
            desk.restore(*as_of)
    desk.restore(*as_of)
    assert desk.whole() == states[1][1]
    assert desk.findings() == []


def _killed(step: Callable[..., object], after: int, *, behind: bool) -> Callable[..., object]:
    calls = 0

    def run(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls > after and not behind:
            raise Killed
        result = step(*arguments)
        if calls > after:
            raise Killed
        return result

    return run


def test_a_disk_that_fills_up_ends_in_words_and_the_same_command_goes_on(
    ledger: CourierLedger, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    adopt: Callable[[Draft, Chunk], None] = draft_module.Draft.adopt

    def filling(draft: Draft, chunk: Chunk) -> None:
        if draft.store.tip.size:
            monkeypatch.setattr(LmdbStore, "space", lambda _: DiskSpace(1 << 20, 1 << 40))
        adopt(draft, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(Draft, "adopt", filling)
        assert "Make room" in desk.restore(code=1).output
    monkeypatch.undo()
    desk.restore()
    assert desk.whole() == everything(ledger.store)


def _label(path: Path) -> str:
    return path.name.removesuffix(".sento-volume")


def _content(path: Path) -> str:
    data = path.read_bytes()
    length = int.from_bytes(data[15:19], "big")
    return str(json.loads(data[19 : 19 + length])["content"])
