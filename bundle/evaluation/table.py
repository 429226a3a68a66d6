"""Metrics of single volumes, gathered by task."""

import csv
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np

ALL = "All"
Row = dict[str, str | int | float]


def summarize_tasks(
    volumes: Sequence[Mapping[str, str | float]], tasks: Sequence[str], metrics: Sequence[str]
) -> list[Row]:
    """Gather the metrics of volumes by task.

    Args:
        volumes: for each volume its `task` and its metrics.
        tasks: names of the tasks, in the order of the rows; those without a volume get none.
        metrics: names of the metrics.

    Returns:
        One row a task, then "All" over all volumes: `task`, `volumes` (their count) and for each metric its mean
        `<metric>` and its standard deviation `<metric>_std` (of the population), both over the volumes that have one.
    """
    groups = {task: [volume for volume in volumes if volume["task"] == task] for task in tasks}
    groups[ALL] = list(volumes)
    return [_summarize(name, group, metrics) for name, group in groups.items() if group]


def _summarize(name: str, volumes: Sequence[Mapping[str, str | int | float]], metrics: Sequence[str]) -> Row:
    row: Row = {"task": name, "volumes": len(volumes)}
    for metric in metrics:
        values = [float(volume[metric]) for volume in volumes]
        defined = [value for value in values if not math.isnan(value)]
        row[metric] = float(np.mean(defined)) if defined else math.nan
        row[f"{metric}_std"] = float(np.std(defined)) if defined else math.nan
    return row


def format_csv(rows: Sequence[Mapping[str, object]]) -> str:
    """Return rows of the same keys as CSV text with a header; undefined numbers are empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: "" if value != value else value for key, value in row.items()})  # NaN differs from itself
    return text.getvalue()


def format_table(rows: Sequence[Row], metrics: Sequence[str]) -> str:
    """Return a table for the terminal: a line a task, mean and standard deviation of each metric."""
    width = max(len(str(row["task"])) for row in rows)
    lines = [f"{'task':<{width}}  volumes  " + "  ".join(f"{metric:>15}" for metric in metrics)]
    for row in rows:
        cells = [f"{row[metric]:.3f} ± {row[f'{metric}_std']:.3f}" for metric in metrics]
        lines.append(f"{row['task']:<{width}}  {row['volumes']:>7}  " + "  ".join(f"{cell:>15}" for cell in cells))
    return "\n".join(lines)
