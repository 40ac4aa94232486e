"""`sento restore`: officers read a plan in words and sign it one after the other, with no site answering; what is not theirs to sign is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sento_client.cli.main import main
from sento_drill.world import World, make_world
from sento_proto.epoch_plan import EpochPlan, decode_plan, encode_plan, plan_hash
from sento_proto.governance.epoch_changes import Parent
from sento_proto.governance.parts import ReceiptSet
from sento_proto.header import ZERO32

OFFICERS = ("digital-minister", "ciso", "health-minister")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("restore") / "world")


@pytest.fixture
def plan(world: World, tmp_path: Path) -> Path:
    sites = tuple(site.name for site in world.sites)
    unsigned = EpochPlan(
        world.genesis.ledger_id, "restore", 1, Parent(0, 9, bytes(32), 4), ZERO32, sites, ReceiptSet(sites, 2),
        (b"\1" * 32,), "decision 12", 1, 1, ("Nine records stay.", "One is taken over again."),
    )  # fmt: skip
    path = tmp_path / "plan.json"
    path.write_bytes(encode_plan(unsigned))
    return path


def restore(world: World, officer: str, *arguments: str, code: int = 0, as_json: bool = False) -> Result:
    options = ["--config", str(world.officer(officer).config), *(["--json"] if as_json else [])]
    result = CliRunner().invoke(main, [*options, "restore", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_three_officers_sign_one_file_and_each_reads_the_plan_before(world: World, plan: Path) -> None:
    name = plan_hash(decode_plan(plan.read_bytes()))
    for count, officer in enumerate(OFFICERS, start=1):
        signed = restore(world, officer, "sign", str(plan), "--yes")
        assert "Nine records stay." in signed.output
        assert f"Signed for {officer}" in signed.output
        assert ("it can be carried out" in signed.output) is (count == 3)
    after = decode_plan(plan.read_bytes())
    assert len(after.signatures) == 3
    assert plan_hash(after) == name
    shown = json.loads(restore(world, "ciso", "show", str(plan), as_json=True).output)
    assert (shown["signed"], shown["needed"], shown["epoch"]) == (sorted(OFFICERS), 3, 1)


def test_an_officer_and_the_deputy_sign_once(world: World, plan: Path) -> None:
    restore(world, "digital-minister", "sign", str(plan), "--yes")
    twice = restore(world, "deputy-digital-minister", "sign", str(plan), "--yes", code=1)
    assert "digital-minister signed this plan already" in twice.output


def test_a_plan_altered_behind_a_signature_is_refused_by_show_and_by_the_next_officer(
    world: World, plan: Path
) -> None:
    restore(world, "ciso", "sign", str(plan), "--yes")
    plan.write_bytes(encode_plan(replace(decode_plan(plan.read_bytes()), readmit=())))
    for command in (("show", str(plan)), ("sign", str(plan), "--yes")):
        refused = restore(world, "digital-minister", *command, code=1)
        assert "altered" in refused.output


def test_a_plan_of_another_ledger_and_a_file_that_is_none_are_refused(world: World, plan: Path) -> None:
    plan.write_bytes(encode_plan(replace(decode_plan(plan.read_bytes()), ledger_id=b"\1" * 32)))
    assert "another ledger" in restore(world, "ciso", "show", str(plan), code=1).output
    plan.write_text("{}")
    assert "no plan of an epoch" in restore(world, "ciso", "show", str(plan), code=2).output
