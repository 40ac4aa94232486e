"""Who gets a survey when: signed by the node in every state in which its ledger is open, and refused in words where there is none. The command's mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from bare_node import BareNode
from genesis_builder import SITES, build_genesis
from sento_node.cli import main
from sento_node.condition import STATES
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.memory_store import MemoryDisk, MemoryStore
from sento_node.service.survey_service import SurveyDesk, has_majority
from sento_proto.checkpoint import SiteSigners
from sento_proto.errors import Code, SentoError
from sento_proto.governance.state import from_genesis
from sento_proto.site_word import decode_word, word_holds
from sento_proto.survey import SURVEY, Survey, decode_survey
from stopped_survivor import IN_LOG, Survivor


@pytest.fixture
def node() -> Iterator[BareNode]:
    """A node of a ledger of three sites."""
    world, made = build_genesis(), BareNode(SITES[1:])
    made.state.genesis = world.genesis
    made.state.store = MemoryStore(MemoryDisk(world.ledger_id))
    made.state.signers = SiteSigners(world.site_signers[SITES[0]])
    yield made
    made.state.writer.shutdown()


async def surveyed(node: BareNode) -> Survey:
    reply = await SurveyDesk(node.state).reply()
    word, genesis = decode_word(SURVEY, reply.survey), node.state.genesis
    keys = from_genesis(genesis).site_keys_since_genesis(word.site)
    assert word_holds(SURVEY, genesis.ledger_id, word.body, word.signatures, keys)
    return decode_survey(word.body)


@pytest.mark.parametrize("state", [state for state in STATES if state != "serving"])
async def test_a_site_that_does_not_serve_is_surveyed_and_tells_whom_it_reaches(
    node: BareNode, state: str
) -> None:
    node.state.condition.state = state
    first, second = SITES[1:]
    survey = await surveyed(node)
    assert not survey.has_majority
    assert [(one.site, one.reached, one.last_ms) for one in survey.contacts] == [
        (first, False, 0),
        (second, False, 0),
    ]
    node.state.heard(second, 7, 3)
    survey = await surveyed(node)
    assert survey.has_majority
    assert [one.reached for one in survey.contacts] == [False, True]


def test_a_site_that_serves_has_a_majority(node: BareNode) -> None:
    node.state.condition.state = "no-majority"
    assert not has_majority(node.state)
    node.state.condition.state = "serving"
    assert has_majority(node.state)


@pytest.mark.parametrize("lacks", ["ledger", "whole ledger", "keys"])
async def test_a_site_without_a_ledger_or_keys_refuses_in_words(node: BareNode, lacks: str) -> None:
    if lacks == "ledger":
        node.state.keeps_ledger = False
    elif lacks == "whole ledger":
        node.state.stands_in = True
    else:
        node.state.signers = None
    with pytest.raises(SentoError) as refused:
        await SurveyDesk(node.state).reply()
    assert refused.value.code is Code.NOT_READY


# -- the command ------------------------------------------------------------------------------------------------------


def told(*args: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["survey", *(str(arg) for arg in args)])
    return result.exit_code, result.output


def test_a_copy_is_surveyed_without_a_key_and_says_that_nobody_signed(tmp_path: Path) -> None:
    site = Survivor(tmp_path / "data")
    genesis, out = tmp_path / "genesis.json", tmp_path / "out"
    genesis.write_bytes(site.world.genesis_bytes)
    about = ("--data-dir", site.data_dir, "--out", out)
    code, words = told(*about, "--genesis", genesis, "--site", "jp-fukuoka")
    assert (code, "signed by nobody" in words) == (0, True), words
    assert f"{IN_LOG - 8} blocks behind them" in words
    assert b'"signatures": []' in out.read_bytes()
    code, words = told(*about)
    assert (code, "--genesis and --site" in words) == (2, True)
    code, words = told("--data-dir", tmp_path, "--out", out, "--genesis", genesis, "--site", "jp-fukuoka")
    assert (code, "holds no ledger" in words) == (2, True)
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)):
        code, words = told(*about, "--genesis", genesis, "--site", "jp-fukuoka")
    assert (code, "Stop it first" in words) == (2, True)
