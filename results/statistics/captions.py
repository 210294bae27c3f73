"""What a ranking block is called, and on what it compares."""

from __future__ import annotations

from skipbench.results.statistics.ranking import RankedMethod, RankingBlock
from skipbench.results.words import counted, printable


def position_text(method: RankedMethod) -> str:
    """`3` or, for equal accuracies, `3.5`."""
    return f"{method.position:g}"


def block_title(block: RankingBlock) -> str:
    """`Suite quick, vectors`; with the protocol where the suite has several."""
    setting = f", protocol {printable(block.setting)}" if block.setting else ""
    return f"Suite {printable(block.suite)}{setting}, {printable(block.inputs)}"


def block_caption(block: RankingBlock) -> str:
    """What was compared on what, and what was left out, in one or two sentences."""
    names = ", ".join(printable(name, 40) for name in block.datasets[:8]) + (", …" if len(block.datasets) > 8 else "")
    sentence = (
        f"{counted(len(block.methods), 'method')} on {counted(len(block.datasets), 'data set')} ({names}), "
        f"{counted(block.n_splits, 'split')}, {counted(block.n_cells, 'cell')}: every method finished every one of them."
    )
    if block.n_cells_left_out:
        reasons = []
        if block.left_out_methods:
            reasons.append(counted(len(block.left_out_methods), "method"))
        if block.left_out_splits:
            reasons.append(counted(len(block.left_out_splits), "split"))
        sentence += f" Left out: {counted(block.n_cells_left_out, 'cell')}" + (f" of {' and '.join(reasons)}." if reasons else ".")
    return sentence
