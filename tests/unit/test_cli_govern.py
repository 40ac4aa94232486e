"""`sento govern` over a ledger in memory: the dry run, signing from officer to officer, what is refused with which exit code, and that nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from genesis_builder import OFFICERS, build_genesis
from governing_port import GovernedLedger, officer_at
from sento_client.cli.app import App
from sento_client.cli.exits import Exit
from sento_client.cli.main import main
from sento_client.testing.world import derived

Run = Callable[..., Result]
PERMIT = ("permit", "iizuka-city", "write", "health:clinic-a")


@pytest.fixture
def ledger() -> GovernedLedger:
    return GovernedLedger(build_genesis(rules=2))


@pytest.fixture
def run(ledger: GovernedLedger, tmp_path: Path) -> Run:
    """`run(officer, *arguments)` at that officer's computer; relative files are in one directory that all share."""

    def command(officer: str, *arguments: str, as_json: bool = False, code: Exit = Exit.OK) -> Result:
        seed = derived(ledger.world.genesis.name, "officer", officer)
        app = App(open_governing=lambda _: officer_at(ledger, tmp_path / officer, officer, seed))
        options = ["--json"] if as_json else []
        result = CliRunner().invoke(main, [*options, "govern", *arguments], obj=app)
        assert result.exit_code == code, result.output
        return result

    return command


def propose(run: Run, out: Path, *change: str, officer: str = OFFICERS[0], reason: str = "test") -> Result:
    return run(officer, "propose", "--reason", reason, "--out", str(out), *change)


def test_an_act_goes_from_proposal_to_the_ledger(run: Run, ledger: GovernedLedger, tmp_path: Path) -> None:
    act = tmp_path / "act.json"
    proposed = propose(run, act, *PERMIT)
    assert proposed.output.startswith("TRAINING ledger sento-test")
    assert "From position 1 on, if the act stands at 0" in proposed.output
    assert "iizuka-city may write clinic-a in health." in proposed.output
    assert "needs 2 of 3 officers, has 0: missing 2 of officer-one" in proposed.output
    assert "has 1 (officer-one)" in run(OFFICERS[0], "sign", str(act), "--yes").output
    short = run(OFFICERS[0], "submit", str(act), code=Exit.REFUSED)
    assert "TOO_FEW_OFFICERS" in short.output
    assert "missing one of officer-two, officer-three" in short.output
    assert ledger.submitted == 0
    run(OFFICERS[1], "sign", str(act), "--yes")
    assert "stands at position 0. From position 1 on:" in run(OFFICERS[2], "submit", str(act)).output
    assert ledger.governance.may_write("iizuka-city", "health", "clinic-a")
    shown = json.loads(run(OFFICERS[2], "show", as_json=True).output)
    (city,) = [author for author in shown["authors"] if author["name"] == "iizuka-city"]
    assert {"registry": "health", "compartment": "clinic-a"} in city["may_write"]
    assert shown["acts"][0]["reason"] == "test"
    assert shown["ledger"]["purpose"] == "training"
    before = json.loads(run(OFFICERS[2], "show", "--at", "0", as_json=True).output)
    assert before["acts"] == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("permit", "iizuka-city", "write", "land"), "Change 1 (permit): There is no registry land."),
        (("revoke-reader", "relief-desk"), "start key epoch 2 of health in the same act"),
        (("set-threshold", "1"), "the threshold must be more than half"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(
    run: Run, tmp_path: Path, change: tuple[str, ...], why: str
) -> None:
    act = tmp_path / "act.json"
    refused = run(OFFICERS[0], "propose", "--reason", "x", "--out", str(act), *change, code=Exit.REFUSED)
    assert "ACT_REFUSED" in refused.output
    assert why in refused.output
    assert not act.exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--reason", "x", "permit", "iizuka-city"), "expected: permit INSTITUTION write|see|read SCOPE..."),
        (("--reason", "x", "abolish", "everything"), "abolish is no change in words"),
        (("permit", "a", "write", "tax"), "--reason"),
        (("--reason", "x"), "Name a change"),
        (("--reason", "x", "revoke-key", "iizuka-city", "zz"), "32 characters of 0-9 a-f"),
    ],
)
def test_mistakes_on_the_command_line_teach(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], why: str
) -> None:
    act = tmp_path / "act.json"
    refused = run(OFFICERS[0], "propose", "--out", str(act), *arguments, code=Exit.USAGE)
    assert why in " ".join(refused.output.split())
    assert not act.exists()


def test_nothing_is_written_over(run: Run, tmp_path: Path) -> None:
    act = tmp_path / "act.json"
    act.write_text("somebody's")
    run(OFFICERS[0], "propose", "--reason", "x", "--out", str(act), *PERMIT, code=Exit.USAGE)
    assert act.read_text() == "somebody's"


def test_an_office_signs_once_and_nobody_else_signs(run: Run, tmp_path: Path) -> None:
    act = tmp_path / "act.json"
    propose(run, act, *PERMIT)
    run(OFFICERS[0], "sign", str(act), "--yes")
    signed = act.read_bytes()
    twice = run(OFFICERS[0], "sign", str(act), "--yes", code=Exit.REFUSED)
    assert "officer-one signed this already" in twice.output
    stranger = run("stranger", "sign", str(act), "--yes", code=Exit.REFUSED)
    assert "NOT_AN_OFFICER" in stranger.output
    assert act.read_bytes() == signed


def test_nobody_signs_unasked(run: Run, tmp_path: Path) -> None:
    """Without a terminal and without --yes the words are shown and nothing is signed."""
    act = tmp_path / "act.json"
    propose(run, act, *PERMIT)
    before = act.read_bytes()
    refused = run(OFFICERS[0], "sign", str(act), code=Exit.USAGE)
    assert "may write clinic-a in health" in refused.output
    assert act.read_bytes() == before


def test_a_proposal_of_another_ledger_is_not_signed(run: Run, tmp_path: Path) -> None:
    act = tmp_path / "act.json"
    propose(run, act, *PERMIT)
    other = json.loads(act.read_text())
    act.write_text(json.dumps(other | {"ledger": "00" * 32}))
    assert "WRONG_LEDGER" in run(OFFICERS[0], "sign", str(act), "--yes", code=Exit.REFUSED).output
    act.write_text(json.dumps(other | {"epoch": 4}))
    assert "is for epoch 4" in run(OFFICERS[0], "sign", str(act), "--yes", code=Exit.REFUSED).output


def test_an_overtaken_proposal_says_who_changed_what(run: Run, tmp_path: Path) -> None:
    late, first = tmp_path / "late.json", tmp_path / "first.json"
    propose(run, late, *PERMIT)
    propose(run, first, "add-registry", "land")
    for officer in OFFICERS[:2]:
        run(officer, "sign", str(first), "--yes")
    run(OFFICERS[0], "submit", str(first))
    refused = run(OFFICERS[2], "sign", str(late), "--yes", code=Exit.REFUSED)
    assert "STALE" in refused.output
    assert "There is a registry land" in refused.output
    assert "officer-two" in refused.output


def test_an_act_whose_answer_was_lost_stands_once(run: Run, ledger: GovernedLedger, tmp_path: Path) -> None:
    act = tmp_path / "act.json"
    propose(run, act, *PERMIT)
    for officer in OFFICERS[:2]:
        run(officer, "sign", str(act), "--yes")
    ledger.lost_answers = 1
    first = run(OFFICERS[0], "submit", str(act))
    again = run(OFFICERS[0], "submit", str(act))
    assert "stands already at position 0" in first.output
    assert "stands already at position 0" in again.output
    assert ledger.governance.acts == 1


def test_changes_come_from_a_file_too(run: Run, tmp_path: Path) -> None:
    file, act = tmp_path / "changes.json", tmp_path / "act.json"
    file.write_text(json.dumps({"changes": [{"do": "add-registry", "registry": "land"}]}))
    proposed = run(
        OFFICERS[0], "propose", "--reason", "x", "--file", str(file), "--change", "add-registry cars", "--out", str(act)
    )  # fmt: skip
    assert "There is a registry land" in proposed.output
    assert "There is a registry cars" in proposed.output
