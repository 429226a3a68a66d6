"""Which channel of a stack is meant, and the colour in which viewers show it."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ensure_tuple_rep

from bundle.errors import BundleError
from bundle.stacks.lazy_stack import UNNAMED_CHANNEL, LazyStack
from bundle.stacks.source import ADVICE, Advice

# "dic" and "phase" only as words of their own: "prediction" and "metaphase" name other things.
TRANSMITTED_LIGHT = re.compile(
    r"bright[ _-]?field|transmitted|transmission|oblique|phase[ _-]?contrast|"
    r"(?<![a-z])(phase|dic|bf|tl|trans)(?![a-z])",
    re.IGNORECASE,
)
MOST_LISTED = 12  # channels that an error names


def find_channel(
    names: Sequence[str], channel: float | str | None, where: str, advice: str = "choose one by name or index"
) -> int:
    """Find one channel.

    Args:
        names: the stack's channel names.
        channel: its name (case does not matter; a number may be a name, such as a wavelength), else its index (from 0),
            or None for the only channel, else the one whose name says brightfield, transmitted light, phase or DIC.
        where: the file, for the error.
        advice: what the user can do, for the error.

    Returns:
        The index of the channel.

    Raises:
        BundleError: no such channel, or None fits none or several; it lists the channels.
    """
    if channel is None:
        found = [index for index, name in enumerate(names) if len(names) == 1 or TRANSMITTED_LIGHT.search(name)]
        problem = f"has {len(found) or 'no'} channels named as transmitted light"
    else:
        wanted = str(channel).strip()
        found = [index for index, name in enumerate(names) if name.strip().casefold() == wanted.casefold()]
        problem = f"has {len(found) or 'no'} channel{'s' if found else ''} named '{wanted}'"
        if not found and wanted.isdecimal():
            found = [int(wanted)] if int(wanted) < len(names) else []
            problem = f"has no channel {wanted}"
    if len(found) != 1:
        listed = [f"{index}: {name}" for index, name in enumerate(names)]
        if len(listed) > MOST_LISTED:
            listed[MOST_LISTED - 1 : -1] = ["..."]
        raise BundleError(f"{where} {problem}; {advice} ({', '.join(listed)}).")
    return found[0]


def choose_channel(lazy: LazyStack, channel: float | str | None, advice: Advice) -> int:
    """Find one channel of an open stack, see `find_channel`; channels that may be slices are told.

    Raises:
        BundleError: as `find_channel`, and none is named where the file has single planes of several nameless channels.
    """
    names = lazy.channel_names
    nameless = not any(lazy.scene.channel_names)
    if channel is None and lazy.shape[1] == 1 and len(names) > 1 and nameless:
        axes = advice.axes.format(axes=lazy.named_axes.replace("Z", "").replace("C", "Z"))
        raise BundleError(
            f"{lazy.path} holds {len(names)} channels of one slice without names ({lazy.named_axes}); if these are its "
            f"slices, {axes}, else {advice.channel}."
        )
    return find_channel(names, channel, str(lazy.path), advice.channel)


class SelectChanneld(MapTransform):  # type: ignore[misc]
    """Keep one channel of each stack: (C, Z, Y, X) -> (1, Z, Y, X); `meta["channel_names"]` follows.

    Args:
        keys: the stacks' keys.
        channel: index, name or None (see `find_channel`), the same for each key.
        channel_keys: instead, for each key the dictionary key under which each item carries its own `channel`.
        allow_missing_keys: whether a key may be absent.

    Raises:
        BundleError: when called on a stack without that channel, or one that is not (C, Z, Y, X).
    """

    def __init__(
        self,
        keys: KeysCollection,
        channel: float | str | None = None,
        channel_keys: KeysCollection | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if channel is not None and channel_keys is not None:
            raise ValueError("Give either channel or channel_keys, not both.")
        self.channel = channel
        self.channel_keys: tuple[Hashable | None, ...] = ensure_tuple_rep(channel_keys, len(self.keys))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Select the channel of each stack."""
        items = dict(data)
        for key, channel_key in self.key_iterator(items, self.channel_keys):
            if channel_key is None:
                items[key] = select_channel(items[key], self.channel)
            else:
                advice = ADVICE["manifest"].channel.format(column=channel_key)
                items[key] = select_channel(items[key], items[channel_key], advice)
        return items


def select_channel(
    image: torch.Tensor, channel: float | str | None, advice: str = ADVICE["options"].channel
) -> torch.Tensor:
    """Keep one channel of a stack (C, Z, Y, X), see `find_channel`; gives (1, Z, Y, X) of the same dtype."""
    meta = image.meta if isinstance(image, MetaTensor) else {}
    where = str(meta.get("filename_or_obj", "The stack"))
    if image.ndim != 4:
        raise BundleError(f"{where} is not 3D: its shape is {tuple(image.shape)}; give a stack (C, Z, Y, X).")
    names = list(meta.get("channel_names", ()))
    if len(names) != image.shape[0]:
        names = [UNNAMED_CHANNEL.format(index) for index in range(image.shape[0])]
    index = find_channel(names, channel, where, advice)
    selected = image[index : index + 1]
    if isinstance(selected, MetaTensor):
        selected.meta["channel_names"] = [names[index]]
    return selected


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
