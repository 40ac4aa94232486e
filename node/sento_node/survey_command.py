"""`sento-node survey`: what a stopped site's disk holds, or a copy of one, as a file for `sento recover collect`. A site that runs is asked by its operators.

With node.toml the file is signed by the site's key. A copy whose site's key is lost gives an envelope without a signature. Exit codes: 0 done,
1 the ledger cannot be read, 2 the call or a file is wrong.
"""

from __future__ import annotations

import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from sento_node.config import load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.durable_files import write_durably
from sento_node.epoch_commands import told
from sento_node.epochs.recovering import member_dir_of
from sento_node.genesis_file import read_genesis
from sento_node.keyfile import read_ml_dsa_44_signer, read_signer
from sento_node.ledger.lmdb_files import database_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.preflight import load_genesis
from sento_node.rebuild.places import Places
from sento_node.salvage.surveying import Here, survey_of
from sento_proto.checkpoint import SiteSigners
from sento_proto.genesis import Genesis
from sento_proto.site_word import sign_word
from sento_proto.survey import SURVEY, Survey, encode_survey, unsigned_survey_file


def survey(config_path: Path, out: Path, data_dir: Path | None, genesis: Path | None, site: str) -> int:
    """Make the file. Returns the exit code."""

    def work() -> str:
        if data_dir is None:
            made, data = _of_site(config_path)
        else:
            if genesis is None or not site:
                raise ConfigMistake(
                    "--data-dir: name the ledger's genesis file and the site with --genesis and --site."
                )
            made = _surveyed(data_dir, read_genesis(genesis), site)
            data = unsigned_survey_file(made)
        write_durably(out, data)
        return in_words(made, out, signed=data_dir is None)

    return told(work)


def _of_site(config_path: Path) -> tuple[Survey, bytes]:
    config = load_config(config_path)
    genesis = load_genesis(config)
    second = None if config.ml_dsa_key is None else read_ml_dsa_44_signer(config.ml_dsa_key)
    signers = SiteSigners(read_signer(config.signing_key), second)
    made = _surveyed(config.data_dir, genesis, config.site)
    return made, sign_word(SURVEY, genesis.ledger_id, config.site, encode_survey(made), signers)


def _surveyed(data_dir: Path, genesis: Genesis, site: str) -> Survey:
    ledger = Places(data_dir).ledger
    if not (database_directory(ledger) / "data.mdb").exists():
        raise ConfigMistake(f"{data_dir} holds no ledger; name a data directory or a copy of one.")
    with closing(LmdbStore.open(ledger, genesis.ledger_id)) as store:
        here = Here(site, int(time.time() * 1000), version("sento"))
        return survey_of(store, genesis, member_dir_of(data_dir), here)


def in_words(made: Survey, out: Path, *, signed: bool) -> str:
    """What the file says, in lines."""
    tip, extended, tail = made.tip, made.extended, made.tail
    lines = [f"{made.site}: epoch {made.epoch}, {tip.size} records on disk, the last in block {tip.block}."]
    if tail is None:
        lines.append("This site has no ordering log of its own for this epoch.")
    else:
        lines.append(
            f"Its own ordering log holds {tail.blocks} blocks behind them, {extended.size - tip.size} records; "
            f"{tail.uncommitted} of the blocks were not known to be committed."
        )
        lines += [tail.trouble] if tail.trouble else []
    if made.agreed is not None:
        lines.append(f"The largest tree that a quorum cosigned has {made.agreed.size} records.")
    if made.cosigned_size > extended.size:
        lines.append(
            f"This site once cosigned {made.cosigned_size} records, more than it holds: its disk was put back in time."
        )
    lines.append(f"{out}: {'signed by the site' if signed else 'signed by nobody'}.")
    return "\n".join(lines)
