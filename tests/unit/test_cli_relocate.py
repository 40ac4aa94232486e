"""`sento relocate` and `sento site check` on the command line: who may sign what, with no site answering, and where votes may stand before a ledger runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sento_client.cli.main import main
from sento_client.governing.client import GoverningClient
from sento_client.governing.following import Followed
from sento_client.relocating.live_world import with_operator
from sento_client.relocating.making import Wishes, make_plan
from sento_drill.places import EVERYWHERE
from sento_drill.plan import WorldPlan
from sento_drill.world import World, make_world
from sento_proto.governance.state import from_genesis
from sento_proto.relocation_plan import (
    ReceiptSets,
    RelocationPlan,
    Step,
    Target,
    decode_plan,
    encode_plan,
    plan_hash,
)

OFFICERS = ("digital-minister", "ciso", "health-minister")
COUNTRY = "majority-country:JP"
NOW_MS = 1_900_000_000_000
YEARS_MS = 400 * 365 * 86_400_000


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("relocate") / "world", WorldPlan(sites=EVERYWHERE))
    for officer in (*OFFICERS, "deputy-digital-minister"):
        config = made.officer(officer).config
        config.write_text(f"{config.read_text()}\n[limits]\ndeadline_ms = 100\n")
    return made


@pytest.fixture
def made(world: World) -> RelocationPlan:
    """To Luxembourg. The receipt set stays, as nobody is there who could have announced anything."""
    governance = from_genesis(world.genesis)
    wishes = Wishes(
        (Target("lu-betzdorf"),), ("jp-fukuoka",), "decision 12", accepts=(COUNTRY,), lives_ms=YEARS_MS
    )
    plan = make_plan(governance, 0, wishes, NOW_MS)
    same = governance.receipt_set
    return replace(plan, receipt_sets=ReceiptSets(same, same, same))


@pytest.fixture
def path(made: RelocationPlan, tmp_path: Path) -> Path:
    file = tmp_path / "plan.json"
    file.write_bytes(encode_plan(made))
    return file


def sento(world: World, officer: str, *arguments: str, code: int = 0, as_json: bool = False) -> Result:
    options = ["--config", str(world.officer(officer).config), *(["--json"] if as_json else [])]
    result = CliRunner().invoke(main, [*options, *arguments])
    assert result.exit_code == code, result.output
    return result


def sign(world: World, officer: str, path: Path, code: int = 0) -> Result:
    return sento(world, officer, "relocate", "sign", str(path), "--yes", code=code)


def test_three_officers_sign_all_three_acts_in_one_file_while_no_site_answers(
    world: World, path: Path
) -> None:
    name = plan_hash(decode_plan(path.read_bytes()))
    for count, officer in enumerate(OFFICERS, start=1):
        signed = sign(world, officer, path)
        assert "No site answers" in signed.output
        assert "the way back is signed with the plan" in signed.output
        assert f"has {count} of 3 officers" in signed.output
        assert ("sento relocate run" in signed.output) is (count == 3)
    after = decode_plan(path.read_bytes())
    assert {len(after.signed(step)) for step in Step} == {3}
    assert plan_hash(after) == name


def test_an_officer_reads_what_the_acts_do_though_the_plan_s_sentences_say_another_thing(
    world: World, made: RelocationPlan, path: Path
) -> None:
    path.write_bytes(encode_plan(replace(made, retire=("jp-ibaraki",))))
    shown = sign(world, "ciso", path).output
    assert "jp-fukuoka loses the vote" in shown, "what the file's sentences go on saying"
    acts = [line for line in shown.splitlines() if line.startswith("  = retire: ")]
    assert len(acts) == 1
    assert "jp-ibaraki" in acts[0]
    assert "where the two differ, do not sign" in shown


def test_an_officer_and_the_deputy_sign_once(world: World, path: Path) -> None:
    sign(world, "digital-minister", path)
    assert (
        "digital-minister signed this plan already" in sign(world, "deputy-digital-minister", path, 1).output
    )


def test_a_plan_altered_behind_a_signature_is_refused_to_the_next_officer(world: World, path: Path) -> None:
    sign(world, "ciso", path)
    path.write_bytes(encode_plan(replace(decode_plan(path.read_bytes()), lead_to="jp-ibaraki")))
    assert "BAD_SIGNATURE" in sign(world, "digital-minister", path, 1).output


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ledger_id": b"\1" * 32}, "WRONG_LEDGER"),
        ({"epoch": 3}, "PLAN_NOT_FIT"),
        ({"last_act": b"\1" * 32}, "STALE"),
        ({"made_at_ms": 1, "expires_at_ms": 2}, "has expired"),
        (
            {"retire": ("lu-betzdorf",), "targets": (Target("jp-fukuoka"),), "lead_to": "jp-fukuoka"},
            "votes already",
        ),
    ],
)
def test_a_plan_that_does_not_fit_is_signed_by_nobody(
    world: World, made: RelocationPlan, path: Path, fields: dict[str, object], why: str
) -> None:
    path.write_bytes(encode_plan(replace(made, **fields)))  # type: ignore[arg-type]  # fields of a plan
    assert why in sign(world, "ciso", path, 1).output
    assert decode_plan(path.read_bytes()).signatures is None


def test_a_file_that_is_no_plan_and_a_missing_terminal_are_usage_errors(world: World, path: Path) -> None:
    asked = sento(world, "ciso", "relocate", "sign", str(path), code=2)
    assert "no terminal to ask at" in asked.output
    path.write_text("{}")
    for command in ("check", "sign", "run", "back-out", "report"):
        assert (
            "no plan of a relocation" in sento(world, "ciso", "relocate", command, str(path), code=2).output
        )


def test_a_plan_is_never_written_over_another_file(world: World, path: Path) -> None:
    before = path.read_bytes()
    wanted = ("--target", "lu-betzdorf", "--retire", "jp-fukuoka", "--legal-basis", "x", "--out", str(path))
    assert "is there already" in sento(world, "ciso", "relocate", "plan", *wanted, code=2).output
    assert path.read_bytes() == before


# Where votes stand.


def checked(world: World, *arguments: str, code: int = 0) -> dict[str, object]:
    genesis = str(world.directory / "genesis.json")
    done = CliRunner().invoke(main, ["--json", "site", "check", "--genesis", genesis, *arguments])
    assert done.exit_code == code, done.output
    value: dict[str, object] = json.loads(done.stdout)
    return value


def test_before_a_ledger_runs_the_places_are_judged_and_an_acceptance_lets_them_stand(world: World) -> None:
    value = checked(world, code=1)
    assert [one["name"] for one in value["findings"]] == [COUNTRY]  # type: ignore[attr-defined]
    accepted = checked(world, "--accept", COUNTRY)
    assert [one["accepted"] for one in accepted["findings"]] == [True]  # type: ignore[attr-defined]
    lost = {one["name"]: one for one in accepted["losses"]}  # type: ignore[attr-defined]
    assert lost["JP"]["ordering_goes_on"] is False
    assert lost["jp-fukuoka"]["acknowledged_may_be_lost"] is False


def test_a_plan_is_judged_by_the_votes_that_it_would_leave_and_by_what_it_accepts(
    world: World, path: Path
) -> None:
    value = checked(world, "--plan", str(path))
    assert value["voters"] == ["jp-ishikawa", "jp-ibaraki", "lu-betzdorf"]


def test_people_read_what_is_refused_what_could_be_lost_and_the_remedy(world: World) -> None:
    genesis = str(world.directory / "genesis.json")
    done = CliRunner().invoke(main, ["site", "check", "--genesis", genesis])
    assert done.exit_code == 1
    assert f"NO  {COUNTRY}: 3 of 3 votes" in done.stdout
    assert "What could be lost:" in done.stdout
    assert "PLACEMENT_REFUSED" in done.stdout


def test_an_officer_s_computer_and_an_operator_s_certificate_look_at_the_status_too(world: World) -> None:
    for more in ([], ["--operator", str(world.operator.directory)]):
        told = sento(world, "ciso", "status", "--timeout", "0.2", *more, code=3, as_json=True)
        assert {site["site"] for site in json.loads(told.stdout)["sites"]} == {
            site.name for site in world.sites
        }


def test_a_plan_of_another_ledger_and_a_file_that_is_no_genesis_are_refused(
    world: World, made: RelocationPlan, path: Path
) -> None:
    path.write_bytes(encode_plan(replace(made, ledger_id=b"\1" * 32)))
    genesis = str(world.directory / "genesis.json")
    other = CliRunner().invoke(main, ["site", "check", "--genesis", genesis, "--plan", str(path)])
    assert (other.exit_code, "WRONG_LEDGER" in other.output) == (1, True)
    none = CliRunner().invoke(main, ["site", "check", "--genesis", str(path)])
    assert (none.exit_code, "no genesis file" in none.output) == (2, True)


def test_sites_that_governance_places_and_sento_toml_does_not_name_are_asked_too(world: World) -> None:
    client = GoverningClient.open(world.officer("ciso").config)
    governance = from_genesis(world.genesis)
    placed = replace(governance.sites["tw-taipei"], address="tw.example:7101")
    known = Followed(world.genesis, governance.changed(sites={**governance.sites, "tw-taipei": placed}))
    client.place = replace(client.place, trust_file=_Known(known), sites=client.place.sites[:2])  # type: ignore[arg-type]  # one that only reads
    operator = world.operator.directory
    opened = with_operator(client, operator).place
    assert [site.name for site in opened.sites] == [
        *(site.name for site in client.place.sites[:2]),
        "tw-taipei",
    ]
    assert opened.sites[-1].address == "tw.example:7101"
    assert (opened.tls.certificate, opened.tls.key) == (operator / "client.pem", operator / "client.key")


class _Known:
    """A trust file that holds this."""

    def __init__(self, known: Followed) -> None:
        self._known = known

    def read(self) -> Followed:
        """What it holds."""
        return self._known
