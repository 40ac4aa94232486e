"""`sento receipt verify` with the trust file of the new epoch: a receipt of the ended one is good below the fork, LOST WITH EPOCH above it (exit code 4)."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from forked_backup import ForkedBackup
from sento_client.cli.app import App
from sento_client.cli.main import main
from sento_client.courier.spine import SpineJudge
from sento_client.governing.trust_file import encode_trust
from sento_node.ledger import reading
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.restoring.volumes import chunks_of, scan
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.chunk import Kind, decode_chunk
from sento_proto.receipt import Receipt, encode_receipt


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ForkedBackup:
    return ForkedBackup(tmp_path_factory.mktemp("forked"))


@pytest.fixture(scope="module")
def trust(made: ForkedBackup) -> Path:
    """Acts as the backup's own spine has them, the act that begins the epoch among them."""
    path = made.backup.parent / "trust.json"
    scanned = scan(made.backup, made.world.ledger_id, None, lambda _done, _of: None)
    with SpineJudge(made.world.genesis, [made.fork_block]) as judge:
        for volume in sorted(
            scanned.volumes, key=lambda one: (one.header.epoch, one.header.from_block, one.header.number)
        ):
            for chunk in map(decode_chunk, chunks_of(volume, None)):
                if chunk.name.kind is Kind.SPINE:
                    judge.take(chunk)
        assert judge.epoch == 1
        path.write_bytes(encode_trust(made.world.genesis_bytes, judge.followed))
    return path


def verified(made: ForkedBackup, ledger: Path, position: int, trust: Path, directory: Path) -> Result:
    """A receipt under the newest checkpoint of one of the two ledgers, judged by the command."""
    with closing(LmdbStore.open(ledger, made.world.ledger_id)) as store:
        kept = store.checkpoint()
        assert kept is not None
        path = reading.inclusion(store, position, kept.size)
        record_hash = store.record_hash_at(position)
    receipt = Receipt(
        made.world.ledger_id, position, record_hash, tuple(path), decode_checkpoint(kept.note), None
    )
    file = directory / "one.receipt.json"
    file.write_bytes(encode_receipt(receipt))
    arguments = [
        "--config",
        str(directory / "none.toml"),
        "receipt",
        "verify",
        str(file),
        "--trust",
        str(trust),
    ]
    return CliRunner().invoke(main, arguments, obj=App())


def test_below_the_fork_a_receipt_of_the_ended_epoch_is_good(
    made: ForkedBackup, trust: Path, tmp_path: Path
) -> None:
    """Under a checkpoint that reaches above the fork, too."""
    result = verified(made, made.old, made.fork_size - 1, trust, tmp_path)
    assert result.exit_code == 0, result.output


def test_above_the_fork_it_is_lost_with_its_epoch(made: ForkedBackup, trust: Path, tmp_path: Path) -> None:
    result = verified(made, made.old, made.fork_size, trust, tmp_path)
    assert result.exit_code == 4, result.output
    assert "LOST WITH EPOCH 0" in result.output


def test_of_the_new_epoch_a_receipt_is_good(made: ForkedBackup, trust: Path, tmp_path: Path) -> None:
    result = verified(made, made.new, made.fork_size + 1, trust, tmp_path)
    assert result.exit_code == 0, result.output
