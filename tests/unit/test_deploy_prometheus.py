"""The rules for Prometheus in `deploy/prometheus` fit the metrics and states that a node has, and raise what they say when they should."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bare_node import BareNode, leading_member
from sento_node.condition import STATES
from sento_node.metrics import metrics_page
from sento_proto.errors import Code

DIRECTORY = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not on PATH; `apt-get install prometheus` brings it"
)
RULES = (DIRECTORY / "alerts.yml").read_text(encoding="utf-8")
RULE_TESTS = (DIRECTORY / "alerts_test.yml").read_text(encoding="utf-8")


def expressions() -> str:
    return "\n".join(re.findall(r"^\s+expr: (.*)$", RULES, flags=re.MULTILINE))


def metric_names() -> set[str]:
    node = BareNode(("jp-ishikawa",))
    node.state.condition.ordering = leading_member()

    async def read() -> bytes:
        return await metrics_page(node.state)()

    families = list(text_string_to_metric_families(asyncio.run(read()).decode("utf-8")))
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
    return {family.name + suffix for family in families for suffix in suffixes.get(family.type, ("",))}


@pytest.mark.parametrize("text", [expressions(), RULE_TESTS], ids=["rules", "their tests"])
def test_every_metric_that_a_rule_asks_for_is_one_that_a_node_has(text: str) -> None:
    asked = set(re.findall(r"sento_[a-z_]+", text))
    assert len(asked) > 8
    assert asked <= metric_names()


def test_every_state_and_code_that_a_rule_asks_for_is_one_that_a_node_says() -> None:
    states = {word for words in re.findall(r'state=~?"([^"]+)"', expressions()) for word in words.split("|")}
    codes = {word for words in re.findall(r'code=~?"([^"]+)"', expressions()) for word in words.split("|")}
    assert states
    assert states <= set(STATES)
    assert codes
    assert codes <= {code.name for code in Code}


def test_every_alert_says_what_it_means_and_what_to_do_and_is_tried() -> None:
    alerts = re.split(r"^\s+- alert: ", RULES, flags=re.MULTILINE)[1:]
    assert len(alerts) >= 10
    for alert in alerts:
        name = alert.split()[0]
        assert re.search(r"severity: (page|ticket)", alert), name
        assert "summary: " in alert, name
        assert "action: " in alert, name
        assert f'"{name}"' in RULE_TESTS, f"{name} is not tried in alerts_test.yml"


@needs_promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_files_and_the_rules_do_what_their_tests_say(arguments: tuple[str, ...]) -> None:
    assert PROMTOOL is not None
    result = subprocess.run(
        [PROMTOOL, *arguments], cwd=DIRECTORY, capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr
