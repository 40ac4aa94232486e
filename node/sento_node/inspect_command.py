"""`sento-node inspect`: a restored or copied ledger, served to be read and to nothing else.

The node's own services answer over a store that nobody writes to: there is no ordering log, no runner and no peer, so LOCAL reads are all there is, and
everything that needs an order is refused in words. Certificates, signing key and the keys of access records are the site's, by its node.toml; spooled access
records go into the inspected directory. Health says not serving: no client is sent here by itself.
"""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import click
from pydantic import ValidationError

from sento_node import logs, tls
from sento_node.clock import SystemClock
from sento_node.condition import Condition
from sento_node.config import Listen, NodeConfig, load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.epochs.forks import agreed_at_s
from sento_node.genesis_file import read_genesis
from sento_node.keyfile import read_ml_dsa_44_signer, read_signer
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.lmdb_files import LedgerNotOpened, database_directory
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.rebuild.places import Places
from sento_node.service.node_state import NodeState
from sento_node.service.releasing import open_access_log
from sento_node.serving import CannotListen, Services
from sento_proto.checkpoint import SiteSigners
from sento_proto.genesis import Genesis

EXIT_STOPPED, EXIT_REFUSED, EXIT_MISTAKE = 0, 1, 2
STATE = "inspecting"
WORDS = "This node serves a restored ledger to be looked at: LOCAL reads only. It orders nothing and takes no writes; send those to the sites."


def inspect(config_path: Path, data_dir: Path, listen: str | None, log_level: str) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    logs.set_up(log_level)
    try:
        site = load_config(config_path)
        config = inspecting_config(site, data_dir, listen)
        genesis = read_genesis(config.genesis)
        ledger = Places(data_dir).ledger
        if not (database_directory(ledger) / "data.mdb").exists():
            raise ConfigMistake(f"{data_dir} holds no ledger; name what sento-node restore made.")
        with closing(LmdbStore.open(ledger, genesis.ledger_id)) as store:
            asyncio.run(_serve(Inspection(config, site.data_dir, genesis, store)))
    except (ConfigMistake, LedgerNotOpened, CannotListen) as error:
        click.echo(f"sento-node: {error}", err=True)
        return EXIT_MISTAKE
    except (LedgerDamaged, LedgerFailed, UnknownRules) as error:
        click.echo(f"sento-node: {error}", err=True)
        return EXIT_REFUSED
    return EXIT_STOPPED


def inspecting_config(config: NodeConfig, data_dir: Path, listen: str | None) -> NodeConfig:
    """The site's configuration over another directory: no peers, no ordering, no metrics. Raises ConfigMistake."""
    try:
        address = config.listen if listen is None else Listen(address=listen)
    except ValidationError:
        raise ConfigMistake(f"--listen: {listen!a} must be host:port, for example 127.0.0.1:7199.") from None
    update = {"data_dir": data_dir, "listen": address, "ordering": None, "metrics": None, "peers": []}
    return config.model_copy(update=update)


class Inspection:
    """One ledger being looked at. `keys_dir`: the site's data directory, where its keys of access records are; nothing is written there."""

    def __init__(self, config: NodeConfig, keys_dir: Path, genesis: Genesis, store: LmdbStore) -> None:
        certificates = tls.ServerCertificates(config.tls, lambda words: click.echo(words, err=True))
        signer = read_signer(config.signing_key)
        second = None if config.ml_dsa_key is None else read_ml_dsa_44_signer(config.ml_dsa_key)
        self.node = node = NodeState(
            config=config,
            genesis=genesis,
            store=store,
            clock=SystemClock(),
            writer=ThreadPoolExecutor(max_workers=1, thread_name_prefix="inspection"),
            condition=Condition(state=STATE, explanation=WORDS),
            certificate_expires_at_s=lambda: certificates.expires_at_s,
        )
        kept = store.checkpoint()
        if kept is not None:
            node.condition.confirmed_at_ms = (agreed_at_s(kept.note, node.governance) or 0) * 1000
        node.signers = SiteSigners(signer, second)
        node.access_log = open_access_log(node, signer, keys_dir)
        self.services = Services(node, certificates, for_sites=False)


async def _serve(inspection: Inspection) -> None:
    """Raises CannotListen."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    node = inspection.node
    await inspection.services.listen()
    click.echo(
        f"{node.config.site} shows {node.store.tip.size} records, epoch {node.store.tip.epoch}, at {node.config.listen.address}; stop with Ctrl-C."
    )
    try:
        await asked.wait()
    finally:
        await inspection.services.stop()
        node.writer.shutdown(wait=True)
