"""Sets of volumes without sites: made while writers go on, killed and gone on with at every step, read, named and proven offline."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from acts import set_threshold
from courier_world import (
    OTHER_SECRET,
    SEAL_SECRET,
    CourierLedger,
    StoreSource,
    exported,
    judge,
    lmdb_store,
    maker,
    told_ledger,
    trusted,
    wish,
)
from genesis_builder import build_genesis, ed25519
from sento_client.courier.catalogue import (
    LOCK_NAME,
    alone_in,
    decode_catalogue,
    read_catalogue,
)
from sento_client.courier.exporting import export_set, registries_in_order
from sento_client.courier.reading import FoundSet, scan, sets_in, sort_set, volume_paths
from sento_client.courier.verifying import Verified, verify_sets
from sento_client.courier.volume_files import VolumeFile
from sento_client.setup_errors import Setup, SetupError
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_proto.erasure_certificate import Volume
from sento_proto.errors import Code, SentoError


@pytest.fixture
def ledger() -> CourierLedger:
    return told_ledger()


def found_in(ledger: CourierLedger, directory: Path, secret: bytes | None = SEAL_SECRET) -> FoundSet:
    found = scan(volume_paths([directory]), judge(ledger, secret))
    return sort_set(found, sets_in(found)[-1])


def verified(ledger: CourierLedger, directory: Path, secret: bytes | None = SEAL_SECRET) -> Verified:
    return verify_sets([found_in(ledger, directory, secret)], trusted(ledger), judge(ledger, secret))


def verdicts(found: FoundSet) -> dict[str, str]:
    return {one.label[-5:]: one.verdict for one in found.others}


@pytest.mark.parametrize("sealed", [True, False], ids=["sealed", "clear"])
def test_a_set_is_proven_offline_to_the_root_that_a_quorum_cosigned(
    ledger: CourierLedger, tmp_path: Path, sealed: bool
) -> None:
    paths = exported(ledger, tmp_path, sealed=sealed)
    found = found_in(ledger, tmp_path)
    assert found.complete
    contents = [one.header.content for one in found.good if one.header is not None]
    assert contents[0] == contents[-2] == "spine", "the spine comes first, and once more"
    assert contents[-1] == "close"
    assert len(paths) == len(contents)
    result = verified(ledger, tmp_path)
    assert result.ok, result
    assert (result.size, result.root) == (ledger.state.size, ledger.state.frontier.root())
    assert result.payloads > 0
    assert result.payloads_left_out == 0


def test_payloads_do_not_lie_readable_in_a_sealed_set_and_do_in_a_clear_one(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    record = next(kept for kept in ledger.store.records(0, ledger.state.size) if kept.payload)
    assert record.payload is not None
    for sealed in (True, False):
        paths = exported(ledger, tmp_path / str(sealed), sealed=sealed)
        assert any(record.payload in path.read_bytes() for path in paths) is not sealed


def test_a_set_is_of_one_moment_whoever_writes_meanwhile(ledger: CourierLedger, tmp_path: Path) -> None:
    size, root = ledger.state.size, ledger.state.frontier.root()
    asked: list[str] = []

    def writers_go_on(what: str) -> None:
        asked.append(what)
        if len(asked) in (3, 6, 9):
            ledger.grow(f"later-{len(asked)}")

    source = StoreSource(ledger, writers_go_on)
    entry = asyncio.run(export_set(source, tmp_path, wish(), maker(ledger)))
    assert entry is not None
    assert (entry.to_size, entry.root) == (size, root)
    assert ledger.state.size > size
    result = verified(ledger, tmp_path)
    assert result.ok, result
    assert (result.size, result.root) == (size, root)


class Killed(BaseException):
    """The process ends here."""


def test_killed_at_each_step_it_goes_on_with_the_first_volume_that_is_not_whole(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    whole = [path.name[16:] for path in exported(ledger, tmp_path / "whole", sealed=False)]
    for step in range(1, 100):
        directory = tmp_path / str(step)
        directory.mkdir()
        steps = 0

        def kill(_: str, at: int = step) -> None:
            nonlocal steps
            steps += 1
            if steps == at:
                raise Killed

        made = maker(ledger)
        try:
            asyncio.run(export_set(StoreSource(ledger, kill), directory, wish(sealed=False), made))
        except Killed:
            before = {path: path.read_bytes() for path in directory.glob("*.sento-volume")}
            entry = asyncio.run(export_set(StoreSource(ledger), directory, wish(sealed=False), made))
            assert entry is not None
            assert all(path.read_bytes() == data for path, data in before.items()), "whole volumes stay"
            assert [path.name[16:] for path in sorted(directory.glob("*.sento-volume"))] == whole
            assert not list(directory.glob("*.part"))
            assert not list(directory.glob("*.sento-tail"))
            continue
        assert steps < step, "every step was killed once"
        return
    pytest.fail("the export takes more steps than were tried")


@pytest.mark.parametrize("moment", ["volume whole and not counted", "volume torn"])
def test_power_lost_around_the_end_of_a_volume_makes_that_volume_again(
    ledger: CourierLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    finish, finished = VolumeFile.finish, 0

    def ends_badly(self: VolumeFile, signer: object) -> Path:
        nonlocal finished
        finished += 1
        if finished != 3:
            return finish(self, signer)  # type: ignore[arg-type]
        if moment == "volume whole and not counted":
            finish(self, signer)  # type: ignore[arg-type]
        raise Killed

    monkeypatch.setattr(VolumeFile, "finish", ends_badly)
    monkeypatch.setattr(VolumeFile, "drop", lambda self: self._file.close())
    with pytest.raises(Killed):
        asyncio.run(export_set(StoreSource(ledger), tmp_path, wish(), maker(ledger)))
    monkeypatch.undo()
    assert read_catalogue(tmp_path, ledger.world.ledger_id).sets[0].volumes == 2
    asyncio.run(export_set(StoreSource(ledger), tmp_path, wish(), maker(ledger)))
    assert verified(ledger, tmp_path).ok


def test_a_full_disk_ends_in_words_and_the_same_command_goes_on(
    ledger: CourierLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add, left = VolumeFile.add, 3

    def full(self: VolumeFile, chunk: bytes) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        add(self, chunk)

    monkeypatch.setattr(VolumeFile, "add", full)
    with pytest.raises(SetupError, match="disk is full") as caught:
        asyncio.run(export_set(StoreSource(ledger), tmp_path, wish(), maker(ledger)))
    assert caught.value.code is Setup.VOLUMES_FULL
    assert not list(tmp_path.glob("*.part")), "what is not whole gives its space back"
    monkeypatch.undo()
    asyncio.run(export_set(StoreSource(ledger), tmp_path, wish(), maker(ledger)))
    assert verified(ledger, tmp_path).ok


def test_volumes_may_be_carried_off_while_the_rest_is_made(ledger: CourierLedger, tmp_path: Path) -> None:
    here, away = tmp_path / "here", tmp_path / "away"
    here.mkdir()
    away.mkdir()
    for _ in range(30):
        made = 0

        def stop(_: str) -> None:
            nonlocal made
            made += 1
            if made > 20:
                raise Killed

        try:
            asyncio.run(export_set(StoreSource(ledger, stop), here, wish(), maker(ledger)))
            break
        except Killed:
            for path in here.glob("*.sento-volume"):
                path.rename(away / path.name)
    found = scan(volume_paths([here, away]), judge(ledger))
    assert sort_set(found, sets_in(found)[-1]).complete


def test_damaged_missing_double_and_foreign_volumes_are_named_and_the_spine_comes_from_its_second_copy(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    paths = exported(ledger, tmp_path)
    torn = bytearray(paths[0].read_bytes())
    torn[len(torn) // 2] ^= 0xFF
    first = paths[0].read_bytes()
    paths[0].write_bytes(torn)
    gone = found_in(ledger, tmp_path).holding("payloads")[0].path
    assert gone is not None
    gone.unlink()
    double = tmp_path / ("copy-of-" + paths[3].name)
    double.write_bytes(paths[3].read_bytes())
    stranger = told_ledger(build_genesis(rules=4, name="another"))
    foreign = exported(stranger, tmp_path / "foreign")[0]
    foreign.rename(tmp_path / ("f" + foreign.name))
    found = found_in(ledger, tmp_path)
    assert not found.complete
    told = sorted((one.label[-5:], one.verdict) for one in found.others)
    assert told == sorted(
        [
            (paths[0].name[17:22], "damaged"),
            (gone.name[17:22], "missing"),
            (paths[3].name[17:22], "duplicate"),
            ("00001", "foreign"),
        ]
    )
    result = verified(ledger, tmp_path)
    assert not result.ok
    assert {one.verdict for one in result.bad} == {"damaged", "missing"}
    assert not result.troubles, "the spine is whole all the same"
    assert result.root == ledger.state.frontier.root()
    assert result.payloads_left_out > 0
    paths[0].write_bytes(first)
    assert verdicts(found_in(ledger, tmp_path))[gone.name[17:22]] == "missing"


def test_without_the_closing_volume_the_end_is_said_to_be_unknown(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    paths = exported(ledger, tmp_path)
    paths[-1].unlink()
    found = found_in(ledger, tmp_path)
    assert not found.complete
    assert not found.closed
    assert "closing volume" in found.others[-1].words


def test_two_volumes_that_changed_names_are_what_they_are(ledger: CourierLedger, tmp_path: Path) -> None:
    paths = exported(ledger, tmp_path)
    one, other = paths[0].read_bytes(), paths[2].read_bytes()
    paths[0].write_bytes(other)
    paths[2].write_bytes(one)
    assert verified(ledger, tmp_path).ok


def test_volumes_sealed_to_others_or_signed_by_nobody_known_are_not_used(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    exported(ledger, tmp_path)
    found = scan(volume_paths([tmp_path]), judge(ledger, OTHER_SECRET))
    assert {one.verdict for one in found} == {"not-ours"}
    unknown = judge(ledger)._replace(signers={})
    assert {one.verdict for one in scan(volume_paths([tmp_path]), unknown)} == {"unsigned"}
    forged = {key: ed25519("forger").public_key for key in judge(ledger).signers or {}}
    assert {
        one.verdict for one in scan(volume_paths([tmp_path]), judge(ledger)._replace(signers=forged))
    } == {"damaged"}


def test_without_the_key_the_outside_is_judged_alone(ledger: CourierLedger, tmp_path: Path) -> None:
    exported(ledger, tmp_path)
    result = verified(ledger, tmp_path, None)
    assert result.ok
    assert not result.opened


def test_another_history_than_the_trust_files_is_told(ledger: CourierLedger, tmp_path: Path) -> None:
    exported(ledger, tmp_path)
    other = told_ledger()
    assert other.act(set_threshold(3)) is Code.ACCEPTED
    other.keep()
    found = found_in(ledger, tmp_path)
    result = verify_sets([found], trusted(other), judge(ledger))
    assert result.ok, "a trust file that knows fewer acts agrees"


def test_a_backup_goes_on_from_what_the_directory_has_and_is_proven_as_a_chain(
    ledger: CourierLedger, tmp_path: Path
) -> None:
    exported(ledger, tmp_path, sealed=False, kind="backup")
    assert (
        asyncio.run(
            export_set(StoreSource(ledger), tmp_path, wish(sealed=False, kind="backup"), maker(ledger))
        )
        is None
    )
    ledger.grow("more", records=4)
    second = maker(ledger)
    second.ports.random_bytes(1)  # so that the second set has a name of its own
    entry = asyncio.run(export_set(StoreSource(ledger), tmp_path, wish(sealed=False, kind="backup"), second))
    assert entry is not None
    assert entry.to_size - entry.from_size == 4
    found = scan(volume_paths([tmp_path]), judge(ledger, None))
    sets = [sort_set(found, set_id) for set_id in sets_in(found)]
    assert len(sets) == 2
    result = verify_sets(sets, trusted(ledger), judge(ledger, None))
    assert result.ok, result
    assert result.root == ledger.state.frontier.root()
    assert result.payloads_left_out == 0


def test_sites_are_told_of_each_volume_that_holds_payloads(ledger: CourierLedger, tmp_path: Path) -> None:
    noted: list[Volume] = []
    asyncio.run(export_set(StoreSource(ledger), tmp_path, wish(), maker(ledger, noted)))
    holding = {one.label for one in found_in(ledger, tmp_path).holding("payloads")}
    assert {volume.number for volume in noted} == holding
    assert {(volume.kind, volume.state, volume.size) for volume in noted} == {
        ("courier", "made", ledger.state.size)
    }


def test_one_program_at_a_time_works_in_a_directory(tmp_path: Path) -> None:
    with alone_in(tmp_path / "new"):
        with pytest.raises(SetupError, match="VOLUMES_TAKEN"), alone_in(tmp_path / "new"):
            pass
        assert (tmp_path / "new" / LOCK_NAME).exists()
    with alone_in(tmp_path / "new"):
        pass


def test_a_directory_of_another_ledger_is_refused(ledger: CourierLedger, tmp_path: Path) -> None:
    exported(ledger, tmp_path)
    stranger = told_ledger(build_genesis(rules=4, name="another"))
    with pytest.raises(SetupError, match="VOLUMES_FOREIGN"):
        asyncio.run(export_set(StoreSource(stranger), tmp_path, wish(), maker(stranger)))


def test_a_ledger_that_no_quorum_cosigned_gives_no_set(tmp_path: Path) -> None:
    world = build_genesis(rules=4)
    empty = CourierLedger(world, MemoryStore(MemoryDisk(world.ledger_id)))
    with pytest.raises(SentoError, match="NOT_FOUND"):
        asyncio.run(export_set(StoreSource(empty), tmp_path, wish(), maker(empty)))


def test_a_ledger_on_disk_does_not_grow_by_being_exported_while_writers_go_on(tmp_path: Path) -> None:
    grown: dict[str, int] = {}
    for kind in ("exported", "left alone"):
        world = build_genesis(rules=4)
        store = lmdb_store(tmp_path / kind, world)
        ledger = told_ledger(world, store)
        for at in range(12):
            ledger.grow(f"before-{at}", records=20)
        rounds = itertools.count()

        def write(_: str, ledger: CourierLedger = ledger, rounds: Iterator[int] = rounds) -> None:
            if (at := next(rounds)) < 40:
                ledger.grow(f"during-{at}", records=5)

        if kind == "exported":
            directory = tmp_path / "volumes"
            directory.mkdir()
            asyncio.run(export_set(StoreSource(ledger, write), directory, wish(sealed=False), maker(ledger)))
        for _ in range(40):
            write("")
        store.close()
        grown[kind] = sum(path.stat().st_size for path in (tmp_path / kind).rglob("*.mdb"))
    assert grown["exported"] <= 1.2 * grown["left alone"]


def test_registries_stand_in_the_order_that_was_asked_for() -> None:
    known = ("tax", "a-registry", "governance", "health", "keys")
    assert registries_in_order(known, ("health", "unknown")) == (
        "governance",
        "keys",
        "health",
        "a-registry",
        "tax",
    )


def test_a_catalogue_is_read_strictly(ledger: CourierLedger, tmp_path: Path) -> None:
    exported(ledger, tmp_path)
    data = (tmp_path / "sento-catalogue.json").read_bytes()
    assert decode_catalogue(data).sets[0].whole
    (tmp_path / "sento-catalogue.json").write_bytes(data.replace(b'"volumes"', b'"volume"'))
    with pytest.raises(SetupError, match="VOLUMES_UNUSABLE"):
        read_catalogue(tmp_path, ledger.world.ledger_id)
