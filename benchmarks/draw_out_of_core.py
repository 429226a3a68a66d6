"""Draw the figures of `benchmarks.out_of_core`: python -m benchmarks.draw_out_of_core FIGURES.json PICTURE.png."""

import json
from pathlib import Path

import fire
from matplotlib.figure import Figure


def draw(figures: str, picture: str) -> None:
    """Draw peak memory and the processor's time of slab-by-slab prediction against the volume.

    Args:
        figures: the JSON that the benchmark wrote.
        picture: PNG to write.
    """
    rows = [row for row in json.loads(Path(figures).read_text(encoding="utf-8"))["rows"] if row["out_of_core"]]
    factors = [row["factor"] for row in rows]
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    memory, seconds = figure.subplots(1, 2)
    memory.plot(factors, [row["peak_bytes"] / 1e6 for row in rows], "o-")
    memory.axhline(rows[0]["peak_bytes"] * 1.1 / 1e6 + 30, linestyle="--", color="grey", label="1x + 10 % + 30 MB")
    memory.set(ylabel="peak resident memory (MB)", ylim=(0, rows[0]["peak_bytes"] * 1.4 / 1e6))
    memory.legend(loc="lower right", frameon=False)
    seconds.plot(factors, [row["processor_seconds"] for row in rows], "o-")
    seconds.plot(
        factors,
        [rows[0]["processor_seconds"] * factor for factor in factors],
        "--",
        color="grey",
        label="1x times volume",
    )
    seconds.set(ylabel="processor's time (s)", ylim=(0, None))
    seconds.legend(loc="upper left", frameon=False)
    for axis in (memory, seconds):
        axis.set(xlabel="volume (times the smallest)", xticks=factors)
    figure.savefig(picture, dpi=110)


if __name__ == "__main__":
    fire.Fire(draw)
