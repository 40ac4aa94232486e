"""A node of an older release, for tests: the command `sento-node` of this release without the newest rules number.

The number goes before anything else is imported, so that the process neither announces it nor can apply a block under it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sento_proto import rules


def forget_newest_rules() -> None:
    """Make this process one that never heard of the newest rules."""
    rules.RULES = {number: meaning for number, meaning in rules.RULES.items() if number < rules.NEWEST_RULES}
    rules.RULES_KNOWN = tuple(rules.RULES)
    rules.NEWEST_RULES = rules.RULES_KNOWN[-1]


def older_node_command(config: Path) -> Sequence[str]:
    """How such a node is started."""
    return (sys.executable, str(Path(__file__).resolve()), "run", "--config", str(config))


if __name__ == "__main__":
    forget_newest_rules()
    from sento_node.cli import main

    main()
