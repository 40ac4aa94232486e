"""How the registry stands, judged from what its sites say of themselves, of each other, and from which of them say nothing. Pure: no IO, no clock.

`report` is what one look at a site brought, `survivability` counts which losses the registry survives, `contacts` is what sites know of each other,
`noticing` names everything that is not as it should be, `judging` puts them together with the sentence of `wording`, `json_form` is all of it for programs.
"""

from __future__ import annotations

from sento_client.site_status.json_form import FORMAT, status_value
from sento_client.site_status.judging import Judgement, judge
from sento_client.site_status.problems import Problem, Trouble
from sento_client.site_status.report import SERVING, SiteReport
from sento_client.site_status.sentence import Writing
from sento_client.site_status.survivability import Loss

__all__ = [
    "FORMAT",
    "SERVING",
    "Judgement",
    "Loss",
    "Problem",
    "SiteReport",
    "Trouble",
    "Writing",
    "judge",
    "status_value",
]
