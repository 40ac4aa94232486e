"""Relationships: which words may stand in a residence record for what a member is to the head of the household.

The standard names every relationship by steps from the head: a grandchild is 子の子 and never 孫.
"""

from __future__ import annotations

HEAD = "世帯主"
KINSMAN = "縁故者"
LODGER = "同居人"

_ALONE = frozenset({HEAD, KINSMAN, LODGER})
_STEPS = frozenset(
    {
        *("夫", "妻", "夫(未届)", "妻(未届)"),
        *("子", "子(子の夫)", "子(子の妻)"),
        *("父", "母", "兄", "姉", "弟", "妹"),
    }
)
_MAX_STEPS = 4


def is_allowed(relationship: str) -> bool:
    """Tell whether the text is a relationship of the resident record standard, its section on 続柄.

    Allowed: 世帯主, 縁故者, 同居人, and up to four steps of the closed list joined by の.
    """
    if relationship in _ALONE:
        return True
    steps = _split_steps(relationship)
    return len(steps) <= _MAX_STEPS and all(step in _STEPS for step in steps)


def _split_steps(relationship: str) -> list[str]:
    """Split at each の that stands outside brackets: 子(子の妻) is one step."""
    steps, depth = [""], 0
    for letter in relationship:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "の" and depth == 0:
            steps.append("")
        else:
            steps[-1] += letter
    return steps
