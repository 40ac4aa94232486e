"""The examples under "Testing your program" in the client's README run as they are printed there."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from sento_client.testing import Registry

README = Path(__file__).parents[2] / "client" / "README.md"


def examples() -> list[str]:
    section = README.read_text(encoding="utf-8").partition("\n## Testing your program\n")[2]
    return re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], re.DOTALL)


def names_of(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(example, str(README), "exec"), names)
    return names


async def test_example_test_passes() -> None:
    names = names_of(examples()[0])
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    await tests[0]()


async def test_example_test_fails_for_a_program_that_does_not_read_again() -> None:
    careless = (
        examples()[0]
        .replace("sento.update(", "sento.write(")
        .replace('change=lambda standing: {"town": town}', 'content={"town": town}')
        .replace('        purpose="notice of moving in",\n        case_number="2026-118",\n', "")
    )
    names = names_of(careless)
    with pytest.raises(Exception, match="STALE"):
        await next(value for name, value in names.items() if name.startswith("test_"))()


def test_fixture_makes_the_registry_that_it_shows() -> None:
    fixture = names_of(examples()[1])["registry"]
    registry = inspect.unwrap(fixture)()
    assert isinstance(registry, Registry)
    assert registry.client("tax-office").genesis == registry.genesis


def test_every_fault_in_the_table_exists() -> None:
    registry = Registry()
    table = README.read_text(encoding="utf-8").partition("| fault |")[2].partition("\n\n")[0]
    named = re.findall(r"`(?:\.|registry\.)([a-z_]+)", table)
    assert len(named) > 10
    known = set(dir(registry)) | set(dir(registry.everywhere))
    assert {name for name in named if name not in known} == set()
