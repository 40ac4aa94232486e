"""What a site is decides what its node.toml must have, which node is started, and what its status says."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from bare_node import BareNode
from sento_drill.plan import TIE_BREAKER_WORLD
from sento_drill.world import make_world
from sento_node.cli import EXIT_MISTAKE, main
from sento_node.config import BLOCK_KIB, LANES, NodeConfig, load_config
from sento_node.joining.note import JOIN, TIE_BREAKER_FILE, Note, NoteFiles
from sento_node.roles import node_of
from sento_node.server import Node
from sento_node.service.admin_service import role_of, status_of
from sento_node.tie_breaker import TieBreaker
from sento_proto.bootstrap import bootstrap_of, encode_bootstrap, unsigned
from sento_proto.genesis import decode_genesis
from sento_proto.governance.state import from_genesis

DATA_SITE, TIE_BREAKER, EMBASSY = "jp-fukuoka", "jp-ibaraki", "lu-betzdorf"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_world(tmp_path_factory.mktemp("roles") / "world", TIE_BREAKER_WORLD).directory


@pytest.fixture
def directory(world: Path, tmp_path: Path) -> Path:
    """Copies of all sites' directories, to spoil."""
    return Path(shutil.copytree(world / "sites", tmp_path / "sites"))


def mistakes_of(site: Path) -> str:
    result = CliRunner().invoke(main, ["check-config", "--config", str(site / "node.toml")])
    return "" if result.exit_code == 0 else f"{result.exit_code} {result.output}"


def cut(site: Path, pattern: str) -> None:
    path = site / "node.toml"
    text = path.read_text(encoding="utf-8")
    changed = re.sub(pattern, "", text, count=1, flags=re.MULTILINE | re.DOTALL)
    assert changed != text, "there was nothing to cut"
    path.write_text(changed, encoding="utf-8")


@pytest.mark.parametrize("site", [DATA_SITE, TIE_BREAKER, EMBASSY])
def test_every_role_has_a_configuration_without_mistakes(directory: Path, site: str) -> None:
    assert mistakes_of(directory / site) == ""


def test_an_embassy_goes_without_the_table_of_an_ordering_member(directory: Path) -> None:
    config = load_config(directory / EMBASSY / "node.toml")
    assert config.ordering is None
    assert (config.lanes, config.block_max_bytes) == (LANES, BLOCK_KIB * 1024)


@pytest.mark.parametrize("site", [DATA_SITE, TIE_BREAKER])
def test_a_site_that_votes_is_told_that_it_needs_a_member(directory: Path, site: str) -> None:
    cut(directory / site, r"^\[ordering\]\n.*?\n\n")
    said = mistakes_of(directory / site)
    assert said.startswith(str(EXIT_MISTAKE))
    assert f"ordering: is missing, and {site} votes" in said


def test_a_voting_site_is_told_whose_member_it_could_not_reach(directory: Path) -> None:
    cut(directory / DATA_SITE, r"^ordering_peer_url = [^\n]*\n")
    assert "ordering_peer_url of jp-ishikawa is missing" in mistakes_of(directory / DATA_SITE)


def test_an_embassy_needs_nobodys_ordering_address(directory: Path) -> None:
    cut(directory / EMBASSY, r"^ordering_peer_url = [^\n]*\n")
    assert mistakes_of(directory / EMBASSY) == ""


def test_the_genesis_file_says_which_node_is_started(directory: Path) -> None:
    nodes = {
        site: type(node_of(load_config(directory / site / "node.toml")))
        for site in (DATA_SITE, TIE_BREAKER, EMBASSY)
    }
    assert nodes == {DATA_SITE: Node, TIE_BREAKER: TieBreaker, EMBASSY: Node}


def test_the_status_says_role_and_through_whom_the_order_comes() -> None:
    node = BareNode(("jp-ishikawa",)).state
    assert (role_of(node), status_of(node).follows_through) == ("voting", "")
    node.follows_through = lambda: "jp-ishikawa"
    assert status_of(node).follows_through == "jp-ishikawa"


# A tie-breaker that the genesis file does not name: officers enrolled it since, and its bootstrap file says so.


def enrolled_since(directory: Path) -> NodeConfig:
    """The tie-breaker's directory as it is with `sento-node join` begun: the genesis file is without the site, the bootstrap file with it."""
    path = directory / TIE_BREAKER / "genesis.json"
    whole = decode_genesis(path.read_bytes())
    described = json.loads(path.read_bytes())
    described["sites"] = [site for site in described["sites"] if site["name"] != TIE_BREAKER]
    path.chmod(0o644)
    path.write_text(json.dumps(described), encoding="utf-8")
    governance = from_genesis(decode_genesis(path.read_bytes()))
    now = dataclasses.replace(governance, sites={**governance.sites, **from_genesis(whole).sites})
    config = load_config(directory / TIE_BREAKER / "node.toml")
    signed = unsigned(bootstrap_of(now, path.read_bytes(), (0, 10, b"\x07" * 32), 1))
    NoteFiles(config.data_dir).begin(Note(JOIN, set_aside=True), encode_bootstrap(signed))
    return config


async def end(node: Node | TieBreaker) -> None:
    node.stop()
    assert await node.run() == 0


async def test_a_site_that_was_enrolled_as_a_tie_breaker_is_one_while_it_joins_and_ever_after(
    directory: Path,
) -> None:
    config = enrolled_since(directory)
    joining = node_of(config)
    assert isinstance(joining, TieBreaker)
    assert joining.state.condition.joining is not None
    assert role_of(joining.state) == "tie-breaker"
    assert not (config.data_dir / "ledger").exists(), "there is none to be copied"
    await end(joining)

    files = NoteFiles(config.data_dir)
    files.keep_bootstrap()
    files.end()
    later = node_of(config)
    assert isinstance(later, TieBreaker)
    assert later.state.condition.joining is None
    await end(later)


def test_what_told_a_tie_breaker_its_role_is_set_aside_with_its_disk(directory: Path) -> None:
    config = enrolled_since(directory)
    files = NoteFiles(config.data_dir)
    files.keep_bootstrap()
    assert (config.data_dir / TIE_BREAKER_FILE) in files.former()
