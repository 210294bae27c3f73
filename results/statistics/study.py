"""What a suite found out beyond its ranking, as Markdown: convergence, what skips change in it, widths, recipes, times, engines."""

from __future__ import annotations

import pandas as pd

from skipbench.checks import SkipbenchError
from skipbench.results.statistics.censored_fits import DRAWS
from skipbench.results.statistics.convergence_tables import convergence_sections
from skipbench.results.statistics.cost_tables import cost_sections


def study_markdown(frame: pd.DataFrame, *, draws: int = DRAWS) -> str:
    """All tables that these records fill. draws: of each bootstrap.

    Raises SkipbenchError where there is nothing to say: no cell with iterations of gradient descent, no practical network, no two engines.
    """
    sections = [*convergence_sections(frame, draws=draws), *cost_sections(frame)]
    if not sections:
        raise SkipbenchError(
            "no finished cell among these records has iterations of gradient descent, and none is of a practical network: "
            "run a suite such as convergence or cifar10-networks first"
        )
    return "\n\n".join(sections) + "\n"
