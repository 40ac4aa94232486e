"""Running a node from the command line: one life after the other until a stop, and what is noted before the first. The process ends here.

Exit codes: 0 well; 1 the node stopped itself; 2 the configuration or the call is wrong.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click
import uvloop

from sento_node import logs
from sento_node.config import NodeConfig, load_config
from sento_node.config_mistake import ConfigMistake
from sento_node.epochs.asked import begin_asked
from sento_node.joining.note import NoteDamaged
from sento_node.joining.showing import show_joining
from sento_node.joining_command import NotBegun
from sento_node.ledger.apply import UnknownRules
from sento_node.ledger.lmdb_files import LedgerNotOpened
from sento_node.ledger.store import LedgerDamaged, LedgerFailed
from sento_node.ordering.etcd.version import EtcdUnusable
from sento_node.roles import node_of
from sento_node.server import AGAIN, Node
from sento_node.serving import CannotListen
from sento_node.tie_breaker import TieBreaker

EXIT_STOPPED = 1
EXIT_MISTAKE = 2
GC_OBJECTS = 50_000


def begin(config_path: Path, note: Callable[[NodeConfig], None]) -> None:
    """Check and note what the node is to do, before it starts."""
    try:
        note(load_config(config_path))
    except (ConfigMistake, NotBegun, NoteDamaged, LedgerNotOpened, OSError) as error:
        click.echo(f"sento-node: {error}", err=True)
        sys.exit(EXIT_MISTAKE)


def serve(config_path: Path, log_level: str, *, shown: bool = False, as_json: bool = False) -> None:
    """One life after the other until a stop; the process ends here. `shown`: how a joining comes along, line by line."""

    async def lives() -> int:
        """One life after the other, as long as each ends with AGAIN: its ledger is made anew, and the next begins with what was made."""
        asked = asyncio.Event()
        code = AGAIN
        while code == AGAIN:
            config = load_config(config_path)
            await asyncio.to_thread(begin_asked, config)
            node = node_of(config)
            code = await one_life(node, asked)
        return code

    async def one_life(node: Node | TieBreaker, asked: asyncio.Event) -> int:
        # Nearly all objects of a node are plain values without cycles, freed by their counts: the collector may look seldom, and never at what is loaded.
        gc.freeze()
        gc.set_threshold(GC_OBJECTS, 20, 50)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            asked.set()
            node.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        await asyncio.sleep(0)
        if asked.is_set():
            node.stop()
        state = node.state if shown else None
        showing = (
            None if state is None else asyncio.create_task(show_joining(state, click.echo, as_json=as_json))
        )
        try:
            return await node.run()
        finally:
            if showing is not None:
                showing.cancel()

    logs.set_up(log_level)
    try:
        code = uvloop.run(lives())
    except (ConfigMistake, EtcdUnusable, LedgerNotOpened, CannotListen, NoteDamaged) as error:
        click.echo(f"sento-node: {error}", err=True)
        code = EXIT_MISTAKE
    except (LedgerFailed, LedgerDamaged, UnknownRules) as error:
        click.echo(f"sento-node: {error}", err=True)
        code = EXIT_STOPPED
    sys.exit(code)
