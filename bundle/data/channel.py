"""Which channel of a stack is meant: by index, by name, or the one that a transmitted-light image must be."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform
from monai.utils import ensure_tuple_rep

from bundle.data.advice import ADVICE, Advice
from bundle.data.lazy_stack import UNNAMED_CHANNEL, LazyStack
from bundle.errors import BundleError

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
