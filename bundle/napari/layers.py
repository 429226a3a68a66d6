"""Between napari's layers and stacks: what a layer holds, how a prediction is shown, and layers as a file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils import Colormap

from bundle import ROOT
from bundle.errors import BundleError
from bundle.stacks.channel import INPUT_COLOR
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader

if TYPE_CHECKING:
    from napari.layers import Image

    from bundle.predictor import Prediction

UNIT = "micrometer"
BLACK_AND_WHITE = (50, 99.8)  # percentiles: half of a fluorescence image is background
SAMPLE = ROOT / "docs" / "example" / "simulated_cells.ome.tiff"
LayerData = tuple[Any, dict[str, Any], str]
"""Data, attributes and type of a layer, as plug-ins give them to napari."""


@dataclass(frozen=True)
class LayerStack:
    """The stack that a layer holds.

    Attributes:
        array: (Z, Y, X), in memory or read on demand.
        spacing: voxel size in micrometres (Z, Y, X); None where the layer has none.
        origin: where its first voxel lies, in micrometres (Z, Y, X).
    """

    array: Any
    spacing: tuple[float, ...] | None
    origin: tuple[float, ...]


def stack_of(layer: "Image", point: Sequence[float]) -> LayerStack:
    """Take the stack that a layer shows.

    Args:
        layer: its last axes are Z, Y and X; of a pyramid, the finest level is taken.
        point: where the viewer looks, in the layer's world coordinates: of further axes, such as time, it tells which.

    Raises:
        BundleError: the layer is a plane, or has colours.
    """
    array = layer.data[0] if layer.multiscale else layer.data
    if layer.rgb or layer.ndim < 3:
        raise BundleError(
            f"The layer {layer.name} is {'in colours' if layer.rgb else 'one plane'}; give a stack (Z, Y, X)."
        )
    if layer.ndim > 3:
        place = np.round(layer.world_to_data(point))[: layer.ndim - 3].astype(int)
        array = array[tuple(np.clip(place, 0, np.array(array.shape[: layer.ndim - 3]) - 1))]
    scale, units = np.abs(layer.scale[-3:]), layer.units[-3:]
    if all(unit.is_compatible_with(UNIT) for unit in units):
        factors = np.array([(1 * unit).to(UNIT).magnitude for unit in units])
    elif np.all(scale == 1):  # nobody has set it
        return LayerStack(array, None, tuple(map(float, layer.translate[-3:])))
    else:  # before napari had units, scales were in micrometres
        factors = np.ones(3)
    spacing, origin = scale * factors, layer.translate[-3:] * factors
    return LayerStack(array, tuple(map(float, spacing)), tuple(map(float, origin)))


def in_micrometres(layer: "Image", spacing: Sequence[float]) -> None:
    """Let a layer that has no units say its voxel size in micrometres (Z, Y, X), so that predictions lie on it."""
    if not all(unit.is_compatible_with(UNIT) for unit in layer.units[-3:]):
        layer.scale = [*layer.scale[:-3], *spacing]
        layer.units = [*layer.units[:-3], *[UNIT] * 3]


def layers_of(prediction: "Prediction", origin: Sequence[float] = (0, 0, 0)) -> list[LayerData]:
    """Make a layer of each channel, in its colour, added to what lies below, at the prediction's scale.

    Args:
        prediction: of one stack.
        origin: where its first voxel lies, in micrometres (Z, Y, X).
    """
    layers: list[LayerData] = []
    for values, channel in zip(prediction.array, prediction.record["channels"], strict=True):
        black, white = np.percentile(values[:: max(1, len(values) // 16)], BLACK_AND_WHITE)
        attributes = {
            "name": channel["name"],
            "colormap": Colormap(
                [[0, 0, 0], [part / 255 for part in bytes.fromhex(channel["color"])]], channel["name"]
            ),
            "blending": "additive",
            "contrast_limits": (float(black), float(max(white, black + 1e-6))),
            "scale": prediction.spacing,
            "translate": tuple(origin),
            "units": (UNIT,) * 3,
            "metadata": {"prediction": prediction.record},
        }
        layers.append((values, attributes, "image"))
    return layers


def write(path: str, layers: list[LayerData]) -> list[str]:
    """Write image layers as the channels of one OME-TIFF or OME-Zarr, under their names and in their colours.

    Args:
        path: ends in .ome.zarr, or else in .tif or .tiff; what is there is replaced, since napari's dialog has asked.
        layers: (Z, Y, X) of one shape, scale and dtype.

    Returns:
        The path.

    Raises:
        BundleError: the layers do not fit together, or the ending is another.
    """
    if not re.search(r"\.(tiff?|ome\.zarr)$", path, re.IGNORECASE):
        raise BundleError(f"{path} ends in neither .ome.tiff nor .ome.zarr; give it one of these endings.")
    shapes = {np.shape(data) for data, _, _ in layers}
    scales = {tuple(np.abs(attributes["scale"])) for _, attributes, _ in layers}
    if len(shapes) != 1 or len(scales) != 1 or len(next(iter(shapes))) != 3:
        raise BundleError(
            f"Layers of several shapes or scales cannot be channels of {path}; select stacks (Z, Y, X) of one grid."
        )
    arguments: dict[str, Any] = {
        "spacing": tuple(map(float, next(iter(scales)))),
        "channel_names": [attributes["name"] for _, attributes, _ in layers],
        "colors": [_color(attributes.get("colormap")) for _, attributes, _ in layers],
        "overwrite": True,
    }
    array = np.stack([np.asarray(data) for data, _, _ in layers])
    if path.lower().endswith(".ome.zarr"):
        from bundle.stacks.formats.ome_zarr_writer import write_ome_zarr  # here alone: zarr takes long to load

        write_ome_zarr(path, array, **arguments)
    else:
        write_ome_tiff(path, array, **arguments)
    return [path]


def _color(colormap: Any) -> str:
    """The "RRGGBB" of a colormap's bright end; napari gives it as an object or as its attributes."""
    colors = colormap.get("colors") if isinstance(colormap, dict) else getattr(colormap, "colors", None)
    if colors is None:
        return INPUT_COLOR
    return bytes(round(255 * float(part)) for part in np.asarray(colors)[-1][:3]).hex().upper()


def sample() -> list[LayerData]:
    """Give the example stack, a simulated brightfield image, as a layer."""
    with FileReader().open(SAMPLE) as lazy:
        attributes = {"name": "simulated cells", "scale": lazy.spacing, "units": (UNIT,) * 3}
        return [(lazy.read(0), attributes, "image")]
