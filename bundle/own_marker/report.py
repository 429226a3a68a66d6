"""The page that a fine-tuning leaves: what was found, which stacks were for what, what was reached, how to go on."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.own_marker.splitting import Part
from bundle.own_marker.verdict import mean_row

Row = Mapping[str, float]


def write_report(
    path: Path,
    task: str,
    parts: Sequence[Part],
    told: Sequence[str],
    network: Sequence[Row],
    baseline: Sequence[Row],
    words: Sequence[str],
) -> None:
    """Write the page as Markdown.

    Args:
        path: where to.
        task: name of the marker.
        parts: the stacks and blocks, and what each was for.
        told: sentences about stacks that were left out or may be worse.
        network: mse, r2 and pearson of each test stack, of the network.
        baseline: likewise of the plain filter.
        words: what was reached.
    """
    predict = "repmode predict more/*.tif --checkpoint training/model.pt"
    lines = [
        f"# {task}",
        *["", " ".join(words), ""],
        "| on the test stacks (means) | MSE | R2 | Pearson's r |",
        "|---|---|---|---|",
        "| predicting the mean | 1.000 | 0.000 | - |",
        _line("a plain filter of image and texture", mean_row(baseline)),
        _line("the network", mean_row(network)),
        *["", "![Input, target, prediction and error](evaluation/overview.png)", ""],
        "## Stacks",
        *["", "| stack | for | voxels (Z, Y, X) | voxel size in um |", "|---|---|---|---|"],
        *(_part(part) for part in parts),
        *["", *(f"- {sentence}" for sentence in told or ["Nothing was found wrong with them."])],
        *["", "## Predict more", "", f"```\n{predict}\n```", ""],
    ]
    path.write_text("\n".join(lines), encoding="utf-8")


def _line(name: str, row: Row) -> str:
    return f"| {name} | {row['mse']:.3f} | {row['r2']:.3f} | {row['pearson']:.3f} |"


def _part(part: Part) -> str:
    """One line of the table of stacks."""
    shape = list(part.checked.shape)
    where = ""
    if part.axis is not None:
        first, end = part.place
        shape[part.axis] = end - first
        where = f", {'zyx'[part.axis]} from {first} to {end - 1}"
    spacing = ", ".join(f"{size:g}" for size in part.checked.spacing)
    return f"| {part.checked.stack.name}{where} | {part.split} | {'x'.join(map(str, shape))} | {spacing} |"
