"""All that needs a GPU, once one is at hand: its tests, its part of the benchmark, and the table of both in the docs.

    python -m benchmarks.gpu
    python -m benchmarks.gpu --device cpu --page /tmp/page.md --folder /tmp/figures --shape "[16,48,48]" \
        --patch_size "[16,32,32]" --widths "[2]" --rounds 1   # a dry run of the same lines

The page must hold the two marks that the table goes between.
"""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import fire

from bundle.commands.benchmark import benchmark
from bundle.errors import BundleError
from bundle.files import written_whole

BEGIN, END = "<!-- figures of a GPU: begin -->", "<!-- figures of a GPU: end -->"
DEVICE_TESTS = "tests/integration/test_devices.py"
WANTED = (  # what is to be reached: part, precision, quality, width (None = each), figure and its least value
    ("inference", "fp16", "fast", None, "ratio_to_literal", 6.0),
    ("inference", "fp16", "fast", 32, "share_of_peak", 0.4),
    ("training", "fp32", None, None, "ratio_to_literal", 2.0),
)
FIGURES = {"ratio_to_literal": "times literal", "share_of_peak": "share of the half-precision peak"}
COLUMNS = {
    "base_width": "{}",
    "part": "{}",
    "variant": "{}",
    "engine": "{}",
    "precision": "{}",
    "quality": "{}",
    "seconds": "{:.3g}",
    "ratio_to_literal": "{:.1f}",
    "share_of_peak": "{:.2f}",
    "peak_bytes": "{:.3g}",
    "r": "{:.5f}",
}


def run_tests(device: str) -> str:
    """Run the tests of a device; give pytest's last line.

    Raises:
        BundleError: one fails, or there are none.
    """
    chosen = ["-m", "cuda", "tests"] if device == "cuda" else [DEVICE_TESTS, "-k", device]
    command = [sys.executable, "-m", "pytest", "-q", "-n0", *chosen]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        print(ended.stdout, ended.stderr, file=sys.stderr)
        raise BundleError(f"The tests of {device} did not pass, see above; mend them before anything is measured.")
    return ended.stdout.strip().splitlines()[-1].strip("= ")


def make_table(reports: Sequence[Mapping[str, Any]], tests: str) -> str:
    """Write reports of `repmode benchmark`, a width each, and what is wanted, as Markdown."""
    rows = [{**row, "base_width": report["base_width"]} for report in reports for row in report["rows"]]
    machine = reports[0]["machine"]
    lines = [
        f"{machine['card'] or machine['processor']}, PyTorch {machine['torch']}; tests: {tests}.",
        f"`python -m benchmarks.gpu {shlex.join(sys.argv[1:])}`, {reports[0]['time']}",
        "",
        "| width | part | network | engine | precision | quality | seconds | x literal | share of peak | bytes | r |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(_cell(row, column) for column in COLUMNS)} |" for row in rows),
        "",
        "| wanted | width | measured |",
        "|---|---|---|",
    ]
    for part, precision, quality, width, figure, least in WANTED:
        name = f"{part} {precision} {quality or ''}".strip()
        for row in rows:
            kind = row["variant"], row["part"], row["precision"], row["quality"]
            if kind == ("repmode", part, precision, quality) and width in (None, row["base_width"]):
                lines.append(f"| {name}: {FIGURES[figure]} >= {least:g} | {row['base_width']} | {row[figure]:.2f} |")
    return "\n".join(lines)


def _cell(row: Mapping[str, Any], column: str) -> str:
    value = row.get(column)
    return "-" if value is None else COLUMNS[column].format(value)


def put_between_marks(page: Path, table: str) -> None:
    """Replace what stands between the marks of a page.

    Raises:
        BundleError: the page has no such marks.
    """
    text = page.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    if not marked.search(text):
        raise BundleError(f"{page} lacks the lines {BEGIN} and {END}, which the table goes between; add them.")
    with written_whole(page, overwrite=True) as temporary:
        temporary.write_text(marked.sub(lambda _: f"{BEGIN}\n{table}\n{END}", text), encoding="utf-8")


def measure(
    device: str = "cuda",
    page: str = "docs/performance.md",
    folder: str = "benchmarks/results/gpu",
    widths: Sequence[int] = (8, 32),
    shape: Sequence[int] = (64, 480, 720),
    patch_size: Sequence[int] = (32, 128, 128),
    rounds: int = 3,
) -> None:
    """Run the tests, measure, and write the table.

    Args:
        device: "cuda"; "cpu" runs the same lines without a GPU.
        page: that the table goes into.
        folder: of the reports, a JSON file a width; those of an earlier run are replaced.
        widths: base widths of the network.
        shape: of the stack that is predicted, "[Z,Y,X]" in voxels.
        patch_size: of the eight patches of a training step, "[Z,Y,X]" in voxels.
        rounds: how often each variant is measured.
    """
    tests = run_tests(device)
    reports = []
    for width in widths:
        output = Path(folder) / f"width_{width}.json"
        benchmark(output, "all", width, shape, patch_size, rounds, device, overwrite=True)
        reports.append(json.loads(output.read_text(encoding="utf-8")))
    put_between_marks(Path(page), make_table(reports, tests))


if __name__ == "__main__":
    fire.Fire(measure)
