"""`sento-node join` and `sento-node replace-disk`: what is checked and noted before the node starts. The node itself does the steps (`joining/`).

Exit codes of what is checked here: 2, nothing was begun; the text says why and what to do. A joining that was begun before is gone on with, whatever is given.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from sento_node.config import NodeConfig
from sento_node.config_mistake import ConfigMistake
from sento_node.durable_files import write_durably
from sento_node.joining.note import JOIN, REPLACE_DISK, Note, NoteFiles
from sento_node.joining.starting import check_stopped
from sento_node.preflight import load_genesis
from sento_proto.bootstrap import NotSigned, SignedBootstrap, check_signed, decode_bootstrap
from sento_proto.wire import Malformed

FREE_BYTES_MIN = 2 << 30
"""A ledger, its member's log and chunks on their way; a site closes ingress below this much, so a joining on less would never end."""


class NotBegun(Exception):
    """Nothing was begun. The text is one sentence of cause and one of remedy."""


def begin_join(config: NodeConfig, bootstrap: Path) -> None:
    """Note that this disk joins the ledger of the bootstrap file. Raises NotBegun, ConfigMistake, OSError, LedgerNotOpened, NoteDamaged."""
    files = NoteFiles(config.data_dir)
    if files.read() is not None:
        return
    if files.former():
        raise NotBegun(
            f"{config.data_dir} is not empty, so this is no new site. To start the site that it holds run `sento-node run`; "
            "if its disk was replaced, run `sento-node replace-disk`."
        )
    data, signed = read_bootstrap(bootstrap)
    _check_fits(config, signed)
    _check_room(config.data_dir)
    files.begin(Note(JOIN, set_aside=True), data)


def begin_replace(config: NodeConfig, bootstrap: Path | None, *, anew: bool) -> None:
    """Note that this site's disk was replaced. `anew`: begin again, also where a joining is under way. Raises like `begin_join`."""
    files = NoteFiles(config.data_dir)
    check_stopped(config.data_dir)
    if not anew and files.read() is not None:
        return
    data = None
    if bootstrap is not None:
        data, signed = read_bootstrap(bootstrap)
        _check_fits(config, signed)
    if data is None and load_genesis(config).site(config.site) is None:
        raise NotBegun(
            f"The genesis file does not name {config.site}, so an empty disk knows nothing of it. Give the bootstrap file too: --bootstrap FILE."
        )
    if not config.peers and data is None:
        raise NotBegun(
            "This ledger has no other site, so there is nobody to copy it from (runbook: rebuild)."
        )
    _check_room(config.data_dir)
    files.begin(Note(REPLACE_DISK, aside=files.next_aside()), data)


def read_bootstrap(path: Path) -> tuple[bytes, SignedBootstrap]:
    """The file and what it says, signed by as many officers as act together by its own word. Raises NotBegun."""
    try:
        data = path.read_bytes()
        signed = decode_bootstrap(data)
        check_signed(signed)
    except OSError as error:
        raise NotBegun(
            f"{path} cannot be read ({error.strerror}). Give the bootstrap file's path."
        ) from error
    except (Malformed, NotSigned) as error:
        raise NotBegun(
            f"{path} is not a bootstrap file that counts: {error} Get it again from the officers; `sento bootstrap show` says what is in it."
        ) from error
    return data, signed


def _check_fits(config: NodeConfig, signed: SignedBootstrap) -> None:
    """Genesis file and configuration are of this ledger; a genesis file that is not there yet is written. Raises NotBegun, ConfigMistake, OSError."""
    content = signed.content
    if content.site(config.site) is None:
        raise NotBegun(
            f"The bootstrap file does not name {config.site}. Let the officers enrol the site first (enrol-site), and make the file behind that act."
        )
    if not config.genesis.exists():
        write_durably(config.genesis, content.genesis_file)
    if config.genesis.read_bytes() != content.genesis_file:
        raise NotBegun(
            f"The bootstrap file is of ledger {content.name}, {content.ledger_id.hex()}, and {config.genesis.name} is another ledger's. "
            "Look which of the two is meant."
        )
    genesis = content.genesis
    if config.purpose is not None and genesis.purpose != config.purpose:
        raise ConfigMistake(
            f"purpose: expected a {config.purpose} ledger, and the bootstrap file is of the {genesis.purpose.upper()} ledger {genesis.name}."
        )
    others = [site for site in content.sites if site.name != config.site and site.ledger]
    listed = {peer.name for peer in config.peers}
    if not any(site.address or site.name in listed for site in others):
        raise NotBegun(
            "Neither the bootstrap file nor node.toml says where another site is reached. List one under [[peers]]."
        )


def _check_room(data_dir: Path) -> None:
    place = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free_bytes = shutil.disk_usage(place).free
    if free_bytes < FREE_BYTES_MIN:
        raise NotBegun(
            f"The disk of {data_dir} has {free_bytes >> 20} MiB free, and a joining needs at least {FREE_BYTES_MIN >> 20}. Make room first."
        )
