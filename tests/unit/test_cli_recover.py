"""`sento recover` from the first question to the printed sheet, over two embassies in memory; and each way in which it stops before anything is begun."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from acts import one_key
from genesis_builder import OFFICERS
from governed import Chancellery, followed
from sento_client.cli import recover_apply
from sento_client.cli.exits import Exit
from sento_client.cli.main import main
from sento_client.governing.trust_file import encode_trust
from sento_client.outbox.shelf import Belongs
from sento_client.receipts.store import ProvenRun, ReceiptStore
from sento_client.recovering.applying import Stage
from sento_client.recovering.collected import decode_collected
from sento_proto.epoch_plan import decode_plan, encode_plan, plan_hash, signed_plan
from sento_proto.governance.parts import ReceiptSet
from survivor_sites import SurvivorSites, app_over, officer_files
from survivors import EMBASSY, SECOND, URLS, VOTING, Ruins, contacts

ORDERING = [part for site, url in URLS for part in ("--ordering", f"{site}={url}")]
LEGAL = ["--legal-basis", "Cabinet decision 31"]


class Desk:
    """Officers' computers over the survivors. Relative files are in one directory that all share."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ruins = Ruins()
        heard = contacts(jp_fukuoka=1_800_000_000_000)
        self.sites = SurvivorSites(
            self.ruins, self.ruins.survey(EMBASSY, 30, agreed=28, contacts=heard), self.ruins.survey(SECOND, 25, agreed=25)
        )  # fmt: skip
        self.configs = {name: officer_files(directory / name, self.ruins, name) for name in OFFICERS}
        self.collected, self.plan = directory / "collected.json", directory / "plan.json"

    def run(
        self, *arguments: str | Path, officer: str = OFFICERS[0], code: Exit = Exit.OK, as_json: bool = False
    ) -> Result:
        options = ["--config", str(self.configs[officer]), *(["--json"] if as_json else [])]
        result = CliRunner().invoke(
            main, [*options, "recover", *map(str, arguments)], obj=app_over(self.sites)
        )
        assert result.exit_code == code, result.output
        return result

    def value(self, *arguments: str | Path, code: Exit = Exit.OK) -> Any:
        return json.loads(self.run(*arguments, as_json=True, code=code).stdout)

    def collect(self, *more: str | Path) -> Result:
        return self.run("collect", *more, "--out", self.collected, code=Exit.DEGRADED)

    def make_plan(self, *more: str | Path, code: Exit = Exit.OK) -> Result:
        return self.run("plan", self.collected, *LEGAL, *ORDERING, *more, "--out", self.plan, code=code)

    def sign(self, count: int = 2) -> None:
        for officer in OFFICERS[:count]:
            self.run("sign", self.plan, "--yes", officer=officer)

    def receipts(self) -> Path:
        """A store with receipts of records 26 to 33, of which the survivors have those up to 29."""
        directory = self.directory / "receipts"
        ledger = self.ruins.ledger
        store = ReceiptStore.open(directory, Belongs(self.ruins.world.ledger_id, "iizuka-city"))
        checkpoint = ledger.checkpoint(sites=VOTING)
        first, last = (ledger.receipt(at, checkpoint).path for at in (26, 33))
        store.put(
            checkpoint,
            [ProvenRun(26, ledger.hashes[26:34], [bytes([at]) * 16 for at in range(26, 34)], first, last)],
        )
        store.close()
        return directory


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_recovery_goes_from_the_first_question_to_the_printed_sheet(desk: Desk, tmp_path: Path) -> None:
    asked = desk.collect("--receipts", desk.receipts())
    assert "jp-fukuoka did not answer this computer" in asked.output
    assert "8 acknowledged" in asked.output
    made = desk.make_plan("--evidence", "The governor by telephone: the hall burns.")
    assert "keeps the first 30 records" in made.output
    assert "4 records known from receipts" in made.output
    assert "at least 10 of them are not kept" in made.output
    first = desk.run("sign", desk.plan, "--yes")
    assert "Evidence, who answers whom" in first.output
    assert "The governor by telephone" in first.output
    assert "Needs 2 officers, has 1" in first.output
    assert "can be carried out" in desk.run("sign", desk.plan, "--yes", officer=OFFICERS[1]).output
    assert "nothing was changed" in desk.run("apply", desk.plan, "--dry-run").output
    assert desk.sites.begun_calls == 0
    applied = desk.run("apply", desk.plan)
    assert "Epoch 1 serves at every voting site" in applied.output
    assert f"{EMBASSY}: serving" in applied.output
    out = tmp_path / "result"
    verified = desk.run(
        "verify",
        desk.plan,
        desk.collected,
        "--stopped-at",
        "2027-01-15T08:00:00Z",
        "--out",
        out,
        code=Exit.DEGRADED,
    )
    assert "8 records known as acknowledged: 4 stand, 4 do not" in verified.output
    missing = json.loads((out / "gap-list.json").read_text())["missing"]
    assert [one["receipt"] for one in missing] == ["0-30", "0-31", "0-32", "0-33"]
    sheet = (out / "result.txt").read_text()
    assert "32 records of epoch 1 under a quorum's" in " ".join(sheet.split())
    assert "Signed by:            officer-one, officer-two" in sheet


def test_a_rehearsal_says_the_same_and_writes_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.collect()
    before = sorted(tmp_path.rglob("*"))
    told = desk.value("rehearse", desk.collected, *ORDERING)
    assert (told["rehearsal"], told["taken_from"], told["takes_s"], told["signed"]) == (True, EMBASSY, 15, [])
    assert desk.run("rehearse", desk.collected, *ORDERING).output.count("REHEARSAL") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_recovery_that_lost_nothing_known_ends_well_and_shows_both_files(
    desk: Desk, tmp_path: Path
) -> None:
    desk.collect()
    assert "se-uppsala" in desk.run("show", desk.collected).output
    desk.make_plan()
    desk.sign()
    assert desk.value("show", desk.plan)["needed"] == 2
    desk.run("apply", desk.plan)
    value = desk.value("verify", desk.plan, desk.collected, "--out", tmp_path / "result")
    assert (value["missing"], value["epoch"]) == (0, 1)


def test_survey_files_of_stopped_sites_count_and_bad_ones_stop_the_collecting(
    desk: Desk, tmp_path: Path
) -> None:
    file = tmp_path / "kure.survey.json"
    survey = desk.ruins.survey(VOTING[2], 20, agreed=20, tail=15, uncommitted=1)
    file.write_bytes(desk.ruins.file(survey, signed=False).data)
    assert "NOT SIGNED" in desk.collect("--survey", file).output
    assert len(decode_collected(desk.collected.read_bytes()).surveys) == 3
    assert f"as {VOTING[2]} holds them" in desk.make_plan("--voting", EMBASSY, "--voting", SECOND).output
    file.write_bytes(desk.ruins.file(survey).data.replace(b'"data": "', b'"data": "AAAA'))
    refused = desk.run("collect", "--survey", file, "--out", tmp_path / "again.json", code=Exit.REFUSED)
    assert "BAD_SIGNATURE" in refused.output
    assert not (tmp_path / "again.json").exists()


def test_of_two_words_of_one_site_the_running_site_s_counts_and_two_files_are_refused(
    desk: Desk, tmp_path: Path
) -> None:
    ours, other = tmp_path / "ours.json", tmp_path / "other.json"
    ours.write_bytes(desk.ruins.file(desk.ruins.survey(EMBASSY, 12, agreed=12)).data)
    assert f"{EMBASSY} answers by itself" in desk.collect("--survey", ours).output
    assert len(decode_collected(desk.collected.read_bytes()).surveys) == 2
    other.write_bytes(desk.ruins.file(desk.ruins.survey(EMBASSY, 13, agreed=12)).data)
    both = ("--survey", ours, "--survey", other, "--out", tmp_path / "again.json")
    assert f"two files of {EMBASSY}" in desk.run("collect", *both, code=Exit.REFUSED).output


def test_an_officer_reads_what_the_acts_do_though_the_plan_s_sentences_say_another_thing(desk: Desk) -> None:
    desk.collect()
    desk.make_plan("--evidence", "The governor by telephone.")
    honest = decode_plan(desk.plan.read_bytes())
    alone = {"voting": (SECOND,), "alone": True, "receipt_set": ReceiptSet((SECOND,), 1)}
    desk.plan.write_bytes(encode_plan(replace(honest, **alone)))  # type: ignore[arg-type]  # fields of their own types
    shown = desk.run("sign", desk.plan, "--yes").output
    assert f"{EMBASSY} vote" in shown, "what the file's sentences go on saying"
    assert f"{SECOND} vote; a receipt needs 1 of {SECOND}." in shown
    assert "= One voting member is enough." in shown
    assert "where the two differ, do not sign" in shown


def test_no_plan_is_made_while_a_majority_answers_unless_its_words_say_why(desk: Desk) -> None:
    for site in VOTING[:2]:
        desk.sites.surveys[site] = desk.ruins.survey(site, 30, agreed=28, tail=0)
        desk.sites.silent.discard(site)
    desk.collect()
    assert "MAJORITY_ANSWERS" in desk.make_plan(code=Exit.REFUSED).output
    assert not desk.plan.exists()
    assert (
        "The reason given: a flood is an hour away"
        in desk.make_plan("--although", "a flood is an hour away").output
    )


def test_too_few_signatures_ask_no_site(desk: Desk) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign(1)
    assert "TOO_FEW_OFFICERS" in desk.run("apply", desk.plan, code=Exit.REFUSED).output
    assert desk.sites.begun_calls == 0


def test_a_plan_altered_behind_a_signature_is_refused_by_every_command(desk: Desk) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    plan = decode_plan(desk.plan.read_bytes())
    data = json.loads(encode_plan(plan))
    desk.plan.write_text(json.dumps({**data, "words": ["Nothing is lost."]}))
    for command in (("show", desk.plan), ("sign", desk.plan, "--yes"), ("apply", desk.plan)):
        assert "altered" in desk.run(*command, code=Exit.REFUSED).output


def test_a_site_that_refuses_the_dry_run_keeps_every_other_from_beginning(desk: Desk) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    desk.sites.majority = "jp-fukuoka and jp-ibaraki answer"
    refused = desk.run("apply", desk.plan, code=Exit.REFUSED)
    assert "MAJORITY_ANSWERS jp-fukuoka and jp-ibaraki answer" in refused.output
    assert desk.sites.begun_calls == 0


def test_a_second_recovery_meets_the_first_and_stops(desk: Desk, tmp_path: Path) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    desk.run("apply", desk.plan)
    other = tmp_path / "other.json"
    desk.run("plan", desk.collected, "--legal-basis", "another", *ORDERING, "--out", other)
    for officer in OFFICERS[:2]:
        desk.run("sign", other, "--yes", officer=officer)
    met = desk.run("apply", other, code=Exit.REFUSED)
    assert "begun by another plan: stop" in met.output
    assert {plan_hash(plan) for plan in desk.sites.plans.values()} == {
        plan_hash(decode_plan(desk.plan.read_bytes()))
    }


def test_an_interrupted_apply_goes_on_where_the_sites_are(desk: Desk) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    desk.sites.silent.add(SECOND)
    assert "Nothing was begun" in desk.run("apply", desk.plan, "--wait", "0", code=Exit.DEGRADED).output
    desk.sites.silent.discard(SECOND)
    desk.sites.starts = 1_000
    assert "does not serve yet" in desk.run("apply", desk.plan, "--wait", "0", code=Exit.DEGRADED).output
    assert desk.sites.begun_calls == 2
    desk.sites.starts = 0
    desk.run("apply", desk.plan)
    assert desk.sites.begun_calls == 2


def test_on_a_terminal_the_sites_stand_in_one_table_that_changes_in_place(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    drawn = io.StringIO()
    terminal = Console(file=drawn, force_terminal=True, width=100)
    monkeypatch.setattr(recover_apply, "results_console", lambda: terminal)
    desk.run("apply", desk.plan)
    last = drawn.getvalue().rsplit("set aside", 1)[1]
    assert last.count(Stage.SERVING.value) == 2
    assert all(site in last for site in (SECOND, EMBASSY))


def test_a_certificate_that_every_site_turns_away_is_no_evidence_that_they_are_silent(desk: Desk) -> None:
    desk.sites.refused |= {EMBASSY, SECOND}
    told = desk.run("collect", "--out", desk.collected, code=Exit.REFUSED)
    assert "--operator DIR" in told.output
    assert not desk.collected.exists()
    desk.sites.refused.remove(EMBASSY)
    assert f"{SECOND} answered this computer" in desk.collect().output


def test_nobody_who_answers_is_said_with_its_own_exit_code(desk: Desk) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    desk.sites.silent |= {SECOND, EMBASSY}
    desk.run("apply", desk.plan, code=Exit.UNREACHABLE)


def test_an_officer_who_knows_of_a_revocation_that_the_plan_forgets_does_not_sign(desk: Desk) -> None:
    desk.collect()
    desk.make_plan()
    office = Chancellery(desk.ruins.world)
    stolen = one_key("revoke-key", "kaga-city", desk.ruins.world.signer("kaga-city"))
    known = followed(desk.ruins.world, office.act(35, stolen, reason="stolen key"))
    trust = desk.configs[OFFICERS[1]].parent / "trust.json"
    trust.write_bytes(encode_trust(desk.ruins.world.genesis_bytes, known))
    refused = desk.run("sign", desk.plan, "--yes", officer=OFFICERS[1], code=Exit.REFUSED)
    assert "would lose unseen" in refused.output
    desk.collected.unlink()
    desk.plan.unlink()
    desk.collect("--trust", trust)
    assert "lost at position 35 (stolen key)" in desk.make_plan().output
    desk.run("sign", desk.plan, "--yes", officer=OFFICERS[1])


def test_a_plan_left_over_from_another_day_is_neither_signed_nor_begun_and_one_that_was_begun_goes_on(
    desk: Desk,
) -> None:
    desk.collect()
    desk.make_plan()
    fresh = decode_plan(desk.plan.read_bytes())
    desk.plan.write_bytes(encode_plan(replace(fresh, made_at_ms=fresh.made_at_ms - 25 * 3_600_000)))
    assert "made 25 hours ago" in desk.run("sign", desk.plan, "--yes", code=Exit.REFUSED).output
    left_over = decode_plan(desk.plan.read_bytes())
    for officer in OFFICERS[:2]:
        left_over = signed_plan(left_over, desk.ruins.world.officer_signers[officer])
    desk.plan.write_bytes(encode_plan(left_over))
    assert "no site that answers has begun it" in desk.run("apply", desk.plan, code=Exit.REFUSED).output
    assert desk.sites.begun_calls == 0
    desk.sites.plans[EMBASSY] = left_over
    desk.run("apply", desk.plan)


def test_a_plan_of_an_epoch_that_has_begun_is_stale_to_who_followed_it(desk: Desk, tmp_path: Path) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    desk.run("apply", desk.plan)
    desk.run("verify", desk.plan, desk.collected, "--out", tmp_path / "result")
    assert "stale: epoch 1 has begun" in desk.run("sign", desk.plan, "--yes", code=Exit.REFUSED).output


def test_before_the_epoch_stands_nothing_is_verified(desk: Desk, tmp_path: Path) -> None:
    desk.collect()
    desk.make_plan()
    desk.sign()
    desk.run("verify", desk.plan, desk.collected, "--out", tmp_path / "result", code=Exit.REFUSED)
    assert not (tmp_path / "result").exists()


def test_a_record_for_which_one_of_two_sites_lies_counts_as_missing(desk: Desk, tmp_path: Path) -> None:
    desk.collect("--receipts", desk.receipts())
    desk.make_plan()
    desk.sign()
    desk.run("apply", desk.plan)
    desk.sites.lies.add(SECOND)
    value = desk.value("verify", desk.plan, desk.collected, "--out", tmp_path / "result", code=Exit.DEGRADED)
    assert (value["missing"], value["undecided"]) == (8, 4)


def test_restore_does_not_sign_a_recovery_whose_evidence_it_would_not_read_out(desk: Desk) -> None:
    desk.collect()
    desk.make_plan()
    options = ["--config", str(desk.configs[OFFICERS[0]])]
    result = CliRunner().invoke(main, [*options, "restore", "sign", str(desk.plan), "--yes"])
    assert result.exit_code == Exit.USAGE
    assert "use sento recover" in result.output


def test_words_in_two_lines_give_no_plan(desk: Desk) -> None:
    desk.collect()
    assert "one line" in desk.make_plan("--evidence", "first\nsecond", code=Exit.USAGE).output
    assert not desk.plan.exists()


def test_every_command_s_value_for_programs_is_one_line_of_json(desk: Desk, tmp_path: Path) -> None:
    collected = desk.value("collect", "--out", desk.collected, code=Exit.DEGRADED)
    assert [one["site"] for one in collected["survivors"]] == [SECOND, EMBASSY]
    made = desk.value("plan", desk.collected, *LEGAL, *ORDERING, "--out", desk.plan)
    assert (made["taken_from"], made["lost_acts"], made["known_missing"]) == (EMBASSY, 0, 0)
    for officer in OFFICERS[:2]:
        result = desk.run("sign", desk.plan, "--yes", officer=officer, as_json=True)
        assert json.loads(result.stdout)["office"] == officer
    applied = desk.value("apply", desk.plan)
    assert {site["stage"] for site in applied["sites"]} == {"serving"}
    assert desk.value("verify", desk.plan, desk.collected, "--out", tmp_path / "r")["missing"] == 0
