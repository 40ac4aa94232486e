"""After votes moved, the sentence about writing counts who votes now: a capital that was retired and switched off is missed by nobody."""

from __future__ import annotations

from dataclasses import replace

from planted_status import PlantedSites
from relocation_world import OLD, TARGET, fake_world, plan_of
from sento_client.site_status import Writing, judge
from sento_client.site_status.governed import governed
from sento_proto.relocation_plan import Step, check_unsigned


def test_a_retired_capital_that_is_off_neither_stops_writing_nor_is_it_counted() -> None:
    fake = fake_world()
    governance = fake.followed.governance
    after = check_unsigned(plan_of(fake), governance, 2, 0)[Step.RETIRE]
    sites = PlantedSites(fake.world).gone(OLD)
    genesis = governed(fake.world.genesis, after)
    now = judge(genesis, sites.reports(), sites.now_ms)
    assert now.count.voting == ("jp-ishikawa", "jp-ibaraki", TARGET)
    assert (now.writing, now.critical_sites) == (Writing.OK, ())
    assert now.receipts.state is Writing.OK
    before = judge(fake.world.genesis, sites.reports(), sites.now_ms)
    assert before.writing is Writing.ONE_LOSS_STOPS, "by the genesis file it would still be counted"


def test_without_an_act_the_judgement_is_the_genesis_files() -> None:
    fake = fake_world()
    genesis = fake.world.genesis
    assert governed(genesis, fake.followed.governance) == replace(genesis)
