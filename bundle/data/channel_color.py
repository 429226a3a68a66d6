"""The colour in which viewers show each channel: one table for the known structures, distinct others for any name."""

from collections.abc import Sequence

INPUT_COLOR = "FFFFFF"

# Structures that lie beside or inside each other in a cell stand far apart on the colour circle.
TASK_COLORS = {
    "alpha_tubulin": "00FF7F",
    "beta_actin": "FF5F00",
    "desmoplakin": "FFD700",
    "dna": "3F7FFF",
    "fibrillarin": "FF3FA5",
    "lamin_b1": "00BFFF",
    "membrane_caax_63x": "B0E000",
    "myosin_iib": "FF3030",
    "sec61_beta": "9F5FFF",
    "st6gal1": "FFA54F",
    "tom20": "FF00FF",
    "zo1": "00FFFF",
}


def channel_colors(names: Sequence[str]) -> list[str]:
    """Choose a colour for each channel.

    Args:
        names: the channels' names; a name of `TASK_COLORS` gets its colour there, the others those left over, in turn.

    Returns:
        One "RRGGBB" a channel, distinct as long as there are no more channels than colours.
    """
    left_over = [color for task, color in TASK_COLORS.items() if task not in names] or list(TASK_COLORS.values())
    others = [name for name in names if name not in TASK_COLORS]
    return [
        TASK_COLORS[name] if name in TASK_COLORS else left_over[others.index(name) % len(left_over)] for name in names
    ]
