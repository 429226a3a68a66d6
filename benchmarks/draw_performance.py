"""Draw what `repmode benchmark` measured: python -m benchmarks.draw_performance "['a.json','b.json']" PICTURE.png."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLORS = {"literal": "0.45", "paper": "tab:blue", "fast": "tab:orange", "others": "0.75"}
GROWING = (  # variants whose time is drawn against the size of the stack
    ("literal", "torch", "fp32", "paper"),
    ("repmode", "openvino", "fp32", "paper"),
    ("repmode", "openvino", "fp32", "fast"),
    ("repmode", "openvino", "bf16", "fast"),
    ("repmode", "openvino", "int8", "fast"),
)


def _kind(row: dict[str, Any]) -> str:
    if row["variant"] == "literal":
        return "literal"
    return str(row["quality"]) if row["variant"] == "repmode" else "others"


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return row["variant"], row["engine"], row["precision"], row["quality"]


def _label(row: dict[str, Any]) -> str:
    if row["variant"] == "repmode":
        return f"{row['engine']} {row['precision']}, {row['quality']}"
    return f"{row['variant']} {row['precision']}"


def _draw_ratios(axis: Axes, rows: Sequence[dict[str, Any]]) -> None:
    """Draw a bar for each variant: how many times quicker than the literal network it is."""
    ordered = sorted(rows, key=lambda row: row["ratio_to_literal"])
    ratios = [row["ratio_to_literal"] for row in ordered]
    bars = axis.barh(range(len(ordered)), ratios, color=[COLORS[_kind(row)] for row in ordered])
    axis.bar_label(bars, [f"{ratio:.1f}" for ratio in ratios], padding=3)
    axis.set_yticks(range(len(ordered)), [_label(row) for row in ordered])
    axis.set(xlabel="times as fast as the literal network", xlim=(0, max(ratios) * 1.12))
    axis.set_title(" x ".join(map(str, rows[0]["shape"])) + " voxels, one task", fontsize="medium")


def _draw_growth(axis: Axes, reports: Sequence[Sequence[dict[str, Any]]]) -> None:
    """Draw seconds against voxels for some variants."""
    for key in GROWING:
        rows = [row for rows in reports for row in rows if _key(row) == key]
        points = sorted((math.prod(row["shape"]) / 1e6, row["seconds"]) for row in rows)
        if points:
            axis.plot(*zip(*points, strict=True), "o-", label=_label(rows[0]))
    axis.set(xlabel="voxels of the stack (millions)", ylabel="seconds", xscale="log", yscale="log")
    axis.legend(frameon=False, fontsize="small")


def draw(reports: Sequence[str], picture: str) -> None:
    """Draw the ratios of the first report, and the time against the size of the stacks of all of them.

    Args:
        reports: JSON files of `repmode benchmark`.
        picture: PNG to write.
    """
    contents = [json.loads(Path(report).read_text(encoding="utf-8"))["rows"] for report in reports]
    inference = [[row for row in rows if row["part"] == "inference"] for rows in contents]
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    ratios, growth = figure.subplots(1, 2)
    _draw_ratios(ratios, inference[0])
    _draw_growth(growth, inference)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    fire.Fire(draw)
