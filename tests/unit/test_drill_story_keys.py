"""The story of keys is a check and not a show: what does not come as told is a problem, counted, and ends it with a no."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sento_drill.story_keys import people
from sento_drill.story_keys.cast import CLINIC_A, RELIEF_DESK, story_plan
from sento_drill.story_keys.stage import Stage
from sento_drill.world import World, make_world
from sento_proto.governance.acts import decode_act, effect_of
from sento_proto.governance.state import from_genesis


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("story") / "world", story_plan())


@pytest.fixture
def stage(world: World) -> tuple[Stage, list[str]]:
    told: list[str] = []
    return Stage(world, told.append), told


def test_a_comparison_that_does_not_hold_is_told_counted_and_ends_the_story_with_a_no(
    stage: tuple[Stage, list[str]],
) -> None:
    one, told = stage
    one.holds("it is wet", True)
    assert "problems=0" in one.last_line()
    assert one.last_line().endswith("holds=yes")
    one.holds("the thief was let in", False)
    assert (one.steps, one.problems) == (1, ["the thief was let in"])
    assert "   !! the thief was let in" in told
    assert one.last_line().endswith("holds=no")


def test_a_command_that_ends_otherwise_or_says_other_words_is_a_problem(
    stage: tuple[Stage, list[str]],
) -> None:
    one, _ = stage
    one.does("iizuka-city", "read", "--help", says=("purpose",), never=("metformin",))
    assert (one.steps, one.problems) == (3, [])
    one.does("iizuka-city", "read", "--help", ends=2, says=("no such words",), never=("purpose",))
    assert len(one.problems) == 3


def test_a_person_whom_the_world_does_not_have_cannot_type(stage: tuple[Stage, list[str]]) -> None:
    with pytest.raises(KeyError):
        stage[0].does("nobody", "--help")


def test_who_is_enrolled_in_the_story_is_not_in_its_genesis_file_and_the_changes_fit(world: World) -> None:
    governance = from_genesis(world.genesis)
    assert CLINIC_A.name not in governance.authors
    assert RELIEF_DESK.name not in governance.readers
    changes = [
        people.enrol_author(_directory(world, CLINIC_A.name), CLINIC_A, 10, 10),
        people.enrol_reader(_directory(world, RELIEF_DESK.name), RELIEF_DESK),
    ]
    act = json.dumps({"format": "sento-act-1", "reason": "the clinics open", "changes": changes}).encode()
    after = effect_of(governance, decode_act(act), 5)
    assert after.may_write(CLINIC_A.name, "health", "clinic-a")
    assert after.may_read(RELIEF_DESK.name, "residency", "basic")


def _directory(world: World, institution: str) -> Path:
    return world.institution(institution).directory
