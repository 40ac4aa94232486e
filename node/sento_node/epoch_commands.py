"""`sento-node restore`, `plan-epoch` and `begin-epoch`: a ledger as it was, the plan that goes back to it, and carrying a signed plan out at one site.

All of them work on a stopped site or on a copy of its data directory; only `begin-epoch` changes a site. Exit codes: 0 done, 1 the ledger does not allow it,
2 the call or a file is wrong.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import click
import lmdb

from sento_node.config import load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.durable_files import write_durably
from sento_node.epochs.asked import carry_out
from sento_node.epochs.copies import copy_ledger, cut_to, governance_of_copy, verify_copy
from sento_node.epochs.forks import agreed_at_s, newest_by
from sento_node.epochs.planning import Choice, LeaveOut, plan_from
from sento_node.genesis_file import read_genesis
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.lmdb_files import LedgerNotOpened, database_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.replay import governance_of
from sento_node.ledger.store import KeptCheckpoint, LedgerDamaged, LedgerFailed
from sento_node.preflight import load_genesis
from sento_node.rebuild.places import Places
from sento_node.restore_command import restore_from
from sento_proto.checkpoint import decode_checkpoint
from sento_proto.epoch_plan import PlanRefused, decode_plan, encode_plan, plan_hash
from sento_proto.genesis import Genesis
from sento_proto.governance.parts import ReceiptSet
from sento_proto.wire import Malformed

EXIT_DONE, EXIT_REFUSED, EXIT_MISTAKE = 0, 1, 2
ALL_CHECKPOINTS = 1 << 40
EVER_MS = 1 << 62


def moment_ms(text: str) -> int:
    """A moment as people write it: ISO 8601, with a zone or in UTC. Raises ConfigMistake."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigMistake(
            f"{text!a} is no moment; write one like 2027-03-01T01:59:00+09:00 or 2027-02-28T16:59:00Z."
        ) from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def told(work: Callable[[], str]) -> int:
    """Do it and say what came of it. Returns the exit code."""
    try:
        click.echo(work())
    except (PlanRefused, LedgerDamaged, UnknownRules, lmdb.Error) as error:
        click.echo(f"sento-node: {error}", err=True)
        return EXIT_REFUSED
    except (ConfigMistake, LedgerNotOpened, LedgerFailed, Malformed, OSError) as error:
        click.echo(f"sento-node: {error}", err=True)
        return EXIT_MISTAKE
    return EXIT_DONE


def _fork(ledger: Path, genesis: Genesis, as_of_ms: int) -> KeptCheckpoint:
    """Raises PlanRefused when no quorum had cosigned anything by then."""
    with closing(LmdbStore.open(ledger, genesis.ledger_id)) as store:
        governance = governance_of(genesis, store)
        fork = newest_by(store.newest_checkpoints(ALL_CHECKPOINTS), governance, as_of_ms // 1000)
    if fork is None:
        raise PlanRefused(
            "No checkpoint of this ledger was cosigned by a quorum at or before that moment. Name a later one, or use an older copy."
        )
    return fork


def _ledger_of(data_dir: Path) -> Path:
    """Raises ConfigMistake when there is no ledger."""
    ledger = Places(data_dir).ledger
    if not (database_directory(ledger) / "data.mdb").exists():
        raise ConfigMistake(f"{data_dir} holds no ledger; name a data directory or a copy of one.")
    return ledger


def restore(
    sources: tuple[Path | None, Path | None],
    genesis_path: Path,
    as_of: str | None,
    into: Path,
    key: Path | None = None,
    *,
    as_json: bool,
    progress: bool = False,
) -> int:
    """`sento-node restore`: a new ledger directory that holds exactly the state at a moment, from a data directory or from a backup, one of `sources`."""
    data_dir, backup = sources
    try:
        if (data_dir is None) == (backup is None):
            raise ConfigMistake("Name what to restore from: either --data-dir or --from.")
        moment = None if as_of is None else moment_ms(as_of)
    except ConfigMistake as error:
        click.echo(f"sento-node: {error}", err=True)
        return EXIT_MISTAKE
    if backup is not None:
        return restore_from(backup, genesis_path, moment, into, key, as_json=as_json, progress=progress)
    assert data_dir is not None, "one of the two is named"
    return _restore_copy(data_dir, genesis_path, EVER_MS if moment is None else moment, into, as_json=as_json)


def _restore_copy(data_dir: Path, genesis_path: Path, moment: int, into: Path, *, as_json: bool) -> int:
    """From a stopped site's data directory or a copy: cut to the moment, verified."""

    def work() -> str:
        genesis = read_genesis(genesis_path)
        if into.exists() and any(into.iterdir()):
            raise ConfigMistake(f"{into} is not empty; name a new directory, so that nothing is mixed.")
        into.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft, ledger = into / "ledger-draft", Places(into).ledger
        try:
            copy_ledger(_ledger_of(data_dir), draft, link=False)
            fork = _fork(draft, genesis, moment)
            cut_to(draft, fork.size, fork.block, decode_checkpoint(fork.note).epoch)
            verify_copy(draft, genesis)
            draft.rename(ledger)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        governance = governance_of_copy(ledger, genesis)
        agreed_s = agreed_at_s(fork.note, governance) or 0
        if as_json:
            return json.dumps({"size": fork.size, "block": fork.block, "agreed_at_s": agreed_s})
        agreed = datetime.fromtimestamp(agreed_s, UTC).isoformat()
        return f"{into} holds the ledger of {fork.size} records as a quorum had cosigned it at {agreed}; it verifies whole."

    return told(work)


def plan(
    data_dir: Path,
    genesis_path: Path,
    as_of: str,
    out: Path,
    choice: tuple[str, str],
    sites: tuple[tuple[str, ...], tuple[str, ...], int],
    leave_out: tuple[str, ...],
    *,
    nothing_again: bool,
) -> int:
    """`sento-node plan-epoch`: the plan of an epoch that goes on from a moment's state, to be signed. `choice`: reason, legal basis; `sites`: voting sites,
    receipt set and quorum (empty: as they were at the fork)."""

    def work() -> str:
        genesis, moment = read_genesis(genesis_path), moment_ms(as_of)
        ledger = _ledger_of(data_dir)
        fork = _fork(ledger, genesis, moment)
        draft = out.with_name(out.name + ".draft")
        try:
            copy_ledger(ledger, draft, link=False)
            cut_to(draft, fork.size, fork.block)
            at_fork = governance_of_copy(draft, genesis)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        voting, counted, quorum = sites
        receipt_set = ReceiptSet(counted, quorum or len(counted) // 2 + 1) if counted else None
        with closing(LmdbStore.open(ledger, genesis.ledger_id)) as store:
            now_ms = int(time.time() * 1000)
            made = plan_from(
                store,
                at_fork,
                governance_of(genesis, store),
                fork,
                Choice(
                    choice[0], choice[1], moment, now_ms, voting, receipt_set,
                    tuple(_leave_out(text) for text in leave_out), nothing_again,
                ),
            )  # fmt: skip
        write_durably(out, encode_plan(made))
        return "\n".join(
            (*made.words, f"{out}: plan {plan_hash(made).hex()[:16]}, not signed yet (sento restore sign).")
        )

    return told(work)


def _leave_out(text: str) -> LeaveOut:
    """AUTHOR[:REGISTRY][@FROM..TO]. Raises ConfigMistake."""
    who, _, when = text.partition("@")
    author, _, registry = who.partition(":")
    start, dots, end = when.partition("..")
    if not author or (when and not dots):
        raise ConfigMistake(
            f"{text!a} names no records; write AUTHOR, AUTHOR:REGISTRY or AUTHOR:REGISTRY@FROM..TO."
        )
    return LeaveOut(author, registry, moment_ms(start) if start else None, moment_ms(end) if end else None)


def begin_epoch(config_path: Path, plan_path: Path) -> int:
    """`sento-node begin-epoch`: carry a signed plan out at this stopped site."""

    def work() -> str:
        config = load_config(config_path)
        genesis = load_genesis(config)
        try:
            signed = decode_plan(plan_path.read_bytes())
        except Malformed as error:
            raise ConfigMistake(
                f"{plan_path} is no plan ({error}). Take the file that officers signed."
            ) from error
        return f"{config.site}: {carry_out(config.data_dir, genesis, signed)}"

    return told(work)
