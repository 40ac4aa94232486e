"""A survey says what a disk holds, alone and with the site's own log, what a quorum had cosigned and what is remembered, and names what it cannot tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from acts import set_threshold
from genesis_builder import SITES, make_block
from sento_node.compose import COSIGNED_NAME, encode_cosigned
from sento_node.epochs.recovering import member_dir_of
from sento_node.ledger.lmdb_store import LmdbStore
from sento_node.ledger.state import Tip
from sento_node.ledger.store import LedgerStore
from sento_node.quorum.effects import Cosigned
from sento_node.salvage.surveying import Here, survey_of
from sento_proto.header import ZERO32
from sento_proto.survey import Contact, LogTail, Survey, Tree, decode_survey, encode_survey
from stopped_survivor import COMMON, IN_LOG, ON_DISK, Survivor

HERE = Here(SITES[0], 1_790_000_000_000, "0.7.0", (Contact(SITES[1], reached=True, last_ms=5),), True)


@pytest.fixture
def site(tmp_path: Path) -> Survivor:
    return Survivor(tmp_path / "data")


def surveyed(site: Survivor) -> Survey:
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        survey = survey_of(store, site.world.genesis, member_dir_of(site.data_dir), HERE)
    assert decode_survey(encode_survey(survey)) == survey
    return survey


def tree_at(site: Survivor, blocks: int) -> Tree:
    at = site.all.trees[blocks - 1]
    return Tree(at.size, at.root, at.block)


def test_ledger_log_and_agreed_tree_are_told_apart(site: Survivor) -> None:
    before = site.whole()
    survey = surveyed(site)
    assert survey.tip == tree_at(site, ON_DISK)
    assert survey.extended == tree_at(site, IN_LOG)
    assert survey.agreed == tree_at(site, COMMON)
    assert survey.tail == LogTail(IN_LOG - ON_DISK, IN_LOG - ON_DISK, 1, IN_LOG, "")
    assert survey.agreed_at_s > 0
    assert survey.cosigned_size == ON_DISK
    assert survey.last_act == ZERO32
    assert (survey.site, survey.made_at_ms, survey.contacts, survey.has_majority) == (
        HERE.site, HERE.made_at_ms, HERE.contacts, True,
    )  # fmt: skip
    assert {name for name, _ in survey.remembers} < set(SITES)
    assert {size for _, size in survey.remembers} == {COMMON}
    assert HERE.site not in dict(survey.remembers)
    assert site.whole() == before


def test_the_newest_record_and_act_are_those_of_the_log_s_end(site: Survivor) -> None:
    before = surveyed(site)
    act = site.all.driver.act_bytes(set_threshold(3))
    site.all.write_submission(act)
    site.keep_log(site.all.blocks)
    survey = surveyed(site)
    assert survey.extended.size == before.extended.size + 1
    assert survey.last_act == site.all.driver.governance.last_act != ZERO32
    assert survey.last_record_ms > before.last_record_ms > 0


def test_a_site_without_a_log_of_its_own_tells_its_ledger(tmp_path: Path) -> None:
    site = Survivor(tmp_path / "data")
    for path in member_dir_of(site.data_dir)(0).rglob("*.wal"):
        path.unlink()
    survey = surveyed(site)
    assert (survey.tail, survey.extended) == (None, survey.tip)


def test_a_disk_that_was_put_back_shows_by_what_it_once_cosigned(site: Survivor) -> None:
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        store.remember(COSIGNED_NAME, encode_cosigned(Cosigned(0, 500, bytes(32))))
    assert surveyed(site).cosigned_size == 500


def test_a_block_of_the_log_under_rules_that_nobody_here_knows_is_named_and_ends_the_tail(
    site: Survivor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sento_node.ledger.apply import UnknownRules, apply_block
    from sento_node.salvage import extending

    def refusing(state: object, block: object) -> object:
        if getattr(block, "number", 0) == ON_DISK + 2:
            raise UnknownRules(99)
        return apply_block(state, block)  # type: ignore[arg-type]  # what it is called with

    monkeypatch.setattr(extending, "apply_block", refusing)
    survey = surveyed(site)
    assert survey.extended == tree_at(site, ON_DISK + 1)
    assert survey.tail is not None
    assert survey.tail.blocks == 1
    assert "rules 99" in survey.tail.trouble


def test_a_log_of_another_epoch_adds_nothing_and_says_so(site: Survivor) -> None:
    """Lanes are named alike in every epoch: only the blocks themselves say that the log does not belong here."""
    blocks = [
        make_block(site.world, SITES[0], [site.all.driver.act_bytes(set_threshold(3))], seq, epoch=4)
        for seq in range(1, IN_LOG + 1)
    ]
    site.keep_log(blocks)
    survey = surveyed(site)
    assert survey.extended == survey.tip
    assert survey.tail is not None
    assert (survey.tail.blocks, "another ledger or epoch" in survey.tail.trouble) == (0, True)


class Growing:
    """A ledger that another thread writes to: each look at its tip is of a later one."""

    def __init__(self, store: LedgerStore) -> None:
        self._store = store
        self._looks: Iterator[int] = iter(range(1, 1_000))

    @property
    def tip(self) -> Tip:
        return self._store.tip._replace(revision=100 + next(self._looks))

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_a_ledger_that_grows_all_the_while_is_told_without_its_log(site: Survivor) -> None:
    with closing(LmdbStore.open(site.data_dir / "ledger", site.world.ledger_id)) as store:
        growing = cast("LedgerStore", Growing(store))
        survey = survey_of(growing, site.world.genesis, member_dir_of(site.data_dir), HERE, looks=2)
    assert survey.extended == survey.tip == tree_at(site, ON_DISK)
    assert survey.tail is not None
    assert "grows while it is surveyed" in survey.tail.trouble
