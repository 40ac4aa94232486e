"""The story from its beginning to its end, at three real sites."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from sento_client.keyfiles import write_kek_seals
from sento_drill.cluster import LocalCluster
from sento_drill.config_files import KEK_SEALS, ServicePlace
from sento_drill.ports import free_ports
from sento_drill.rehearsal import remove_world
from sento_drill.service_process import ServiceProcess
from sento_drill.story_keys import reading, recovering, writing
from sento_drill.story_keys.acts import PROPOSER, Office
from sento_drill.story_keys.cast import story_plan
from sento_drill.story_keys.stage import Stage
from sento_drill.waiting import until
from sento_drill.world import SITES, World, make_world

ANNOUNCED_DEADLINE_S = 90.0


async def tell_story(directory: Path, tell: Callable[[str], None]) -> Stage:
    """Make the world, start the sites, play every chapter, stop the sites. What did not come as told is in `problems`."""
    if (directory / SITES).is_dir():
        remove_world(directory)
    service_place = ServicePlace("ministry", free_ports(1)[0].address)
    world = make_world(directory, story_plan(), service=service_place)
    _empty_local_seals(world)
    stage = Stage(world, tell)
    service = ServiceProcess(world.pseudonym_service)
    async with LocalCluster(world) as cluster:
        try:
            cluster.start_all()
            service.start()
            await cluster.wait_serving()
            await until(
                lambda: announced(stage),
                deadline_s=ANNOUNCED_DEADLINE_S,
                what="not every site announced its rules",
            )
            await asyncio.to_thread(_play, stage)
        finally:
            service.end()
            await cluster.end_all()
    return stage


def _empty_local_seals(world: World) -> None:
    """A drill seals its first KEKs into files; in the story every KEK comes into being in the ledger."""
    for author in world.genesis.authors:
        write_kek_seals(world.institution(author.name).directory / KEK_SEALS, ())


async def announced(stage: Stage) -> bool:
    """Whether every site of the ledger has said which rules it knows."""
    shown = await asyncio.to_thread(stage.asks, PROPOSER, "govern", "show")
    known = shown.get("rules", {}).get("known_by_sites", {})
    return set(known) == {site.name for site in stage.world.sites} and all(known.values())


def _play(stage: Stage) -> None:
    office = Office(stage)
    writing.rules_are_raised(stage, office)
    prescription = writing.clinics_are_enrolled(stage, office)
    reading.clinics_do_not_read_each_other(stage, prescription)
    writing.a_key_is_rotated(stage, office)
    writing.a_laptop_is_stolen(stage, office)
    position = reading.a_reader_comes(stage, office)
    reading.a_reader_goes(stage, office, position)
    writing.the_night_rewrite_is_held(stage, office)
    recovering.a_ceremony_is_held(stage, office)
    recovering.it_is_rehearsed(stage)
    recovering.health_is_unlocked(stage, office)
    stage.chapter("What everybody can see at the end")
    stage.does(
        PROPOSER,
        "govern",
        "show",
        says=(
            "clinic-a",
            "clinic-b",
            "revoked",
            "retired",
            "recovery key",
            "open the keys of health",
            "rules 3",
        ),
        shown=200,
    )
