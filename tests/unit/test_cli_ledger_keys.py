"""`sento keys make | reseal | show`: who gets what is said before it is done, and what is done is what was said."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.main import main
from sento_client.kek_keeping.keeper import KekKeeper
from sento_client.kek_keeping.standing_kek import StandingKek
from sento_client.recovery.standing import KekScope
from sento_client.testing import Institution, Registry, Scope
from sento_proto.governance.state import site_author

HOSPITAL, PHARMACY, LATER = "iizuka-hospital", "pharmacy-desk", "relief-desk"
PRESCRIPTION = Scope("health", "prescription")


class Desk:
    """A terminal at one institution of a registry in memory."""

    def __init__(self, registry: Registry, institution: str) -> None:
        self._registry = registry
        self._institution = institution

    def run(self, *words: str) -> Result:
        app = App(open_client=lambda path: self._registry.client(self._institution))
        return CliRunner().invoke(main, list(words), obj=app)

    def value(self, *words: str) -> Any:
        result = self.run("--json", *words)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def registry() -> Registry:
    return Registry(
        (
            Institution(HOSPITAL, writes=(PRESCRIPTION, Scope("health", "note"))),
            Institution(PHARMACY, reads=(PRESCRIPTION,)),
            Institution(LATER),
        ),
        rules=2,
    )


@pytest.fixture
def hospital(registry: Registry) -> Desk:
    return Desk(registry, HOSPITAL)


def enrol_later(registry: Registry) -> None:
    registry.act(
        {
            "do": "enrol-reader",
            "name": LATER,
            "may_read": [{"registry": "health", "compartment": "prescription"}],
            "seal_key": base64.b64encode(registry.seal_public(LATER)).decode(),
        }
    )


def test_make_says_who_will_open_what_and_then_makes_each_key_once(hospital: Desk) -> None:
    said = hospital.run("keys", "make").stdout
    assert (
        f"opens all that {HOSPITAL} writes in prescription of health in key epoch 1: {HOSPITAL}, {PHARMACY}."
        in said
    )
    assert said.count(": made") == 2
    assert [key["made"] for key in hospital.value("keys", "make")["keys"]] == [False, False]


def test_dry_run_of_reseal_says_what_the_reader_will_open_and_seals_nothing(
    hospital: Desk, registry: Registry
) -> None:
    hospital.run("keys", "make")
    enrol_later(registry)
    size = registry.size
    said = hospital.run("keys", "reseal", "--dry-run").stdout
    assert (
        f"{LATER} opens all that {HOSPITAL} wrote in prescription of health in key epoch 1: nothing finer."
        in said
    )
    assert "nothing was written" in said
    assert registry.size == size


def test_reseal_seals_to_the_later_reader_once_and_show_tells(hospital: Desk, registry: Registry) -> None:
    hospital.run("keys", "make")
    enrol_later(registry)
    lacking = {key["compartment"]: key["lacking"] for key in hospital.value("keys", "show")["keys"]}
    assert lacking == {"prescription": [LATER], "note": []}
    assert "1 lack a seal (sento keys reseal)" in hospital.run("keys", "show").stdout
    done = hospital.value("keys", "reseal")
    assert (done["keys"], done["sealed"]) == (1, 1)
    shown = {key["compartment"]: key for key in hospital.value("keys", "show")["keys"]}
    assert shown["prescription"]["sealed_to"] == [HOSPITAL, PHARMACY, LATER]
    assert shown["prescription"]["lacking"] == []
    assert "Nobody lacks a seal." in hospital.run("keys", "reseal").stdout


def test_reseal_again_seals_anew_to_the_named_reader_alone(hospital: Desk) -> None:
    hospital.run("keys", "make")
    done = hospital.value("keys", "reseal", "--again", PHARMACY)
    assert (done["keys"], done["sealed"]) == (1, 1)


def test_keys_of_sites_are_left_out_and_counted_unless_they_are_asked_for(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    scope = KekScope(site_author("jp-fukuoka"), "health", "access", 1)

    async def survey(*_: object) -> list[StandingKek]:
        return [StandingKek(scope, bytes(32), {}, 1, ())]

    monkeypatch.setattr(KekKeeper, "survey", survey)
    reader = Desk(registry, PHARMACY)
    shown = reader.value("keys", "show")
    assert (shown["keys"], shown["site_keys_left_out"]) == ([], 1)
    assert "1 keys of sites' read logs are left out; --sites shows them." in reader.run("keys", "show").stdout
    every = reader.value("keys", "show", "--sites")
    assert [key["author"] for key in every["keys"]] == [scope.author]
    assert every["site_keys_left_out"] == 0


def test_reader_that_does_not_write_is_told_that_it_cannot_make_keys(registry: Registry) -> None:
    result = Desk(registry, PHARMACY).run("keys", "make")
    assert result.exit_code != 0
    assert "may write nothing that was named" in result.stderr


def test_ledger_under_rules_1_says_where_its_keys_are() -> None:
    registry = Registry((Institution(HOSPITAL, writes=(PRESCRIPTION,)),))
    result = Desk(registry, HOSPITAL).run("keys", "show")
    assert result.exit_code == Exit.REFUSED
    assert "keys.kek_seals" in result.stderr


def test_plain_keys_command_still_looks_at_files(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--config", str(tmp_path / "none.toml"), "keys"])
    assert result.exit_code == Exit.USAGE
    assert "CONFIG_MISSING" in result.output
