"""Which axis of a file's array is which: time (T), channel (C), slice (Z), row (Y) and column (X)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bundle.errors import BundleError
from bundle.stacks.lazy_stack import Scene
from bundle.stacks.source import Advice

KNOWN_AXES = "TCZYX"
UNNAMED_AXES = "IQ"  # tifffile's letters for pages in sequence and for any other axis without a name
COLOUR_AXIS = "S"


def check_axes(axes: str) -> str:
    """Make axis letters in upper case of a user's.

    Raises:
        BundleError: other letters than TCZYX, one of them twice, or no Y and X.
    """
    letters = str(axes).strip().upper()
    if set(letters) - set(KNOWN_AXES) or len(set(letters)) != len(letters) or not {"Y", "X"} <= set(letters):
        raise BundleError(
            f"The axes {axes!r} do not name an array; give --axes the letters of its axes in order, each once, out of "
            f'{KNOWN_AXES}, such as "CZYX".'
        )
    return letters


def settle_axes(path: Path, scene: Scene, axes: str | None, advice: Advice) -> Scene:
    """Give every axis of a scene that is longer than one a letter of TCZYX.

    A single unnamed axis is z, as a TIFF of bare pages is a stack of slices.

    Args:
        path: the file, for errors.
        scene: as the file's format gives it.
        axes: the user's letters, checked; None = the file's.
        advice: what the user can do, for errors.

    Returns:
        The same scene with settled axes.

    Raises:
        BundleError: no stack of real numbers, or axes that cannot be settled; it says what the file has.
    """
    shape = tuple(int(length) for length in scene.source.shape)
    found = f"{scene.axes} {shape}"
    dtype = np.dtype(scene.source.dtype)
    if dtype.kind not in "uifb":
        raise BundleError(f"{path} holds values of type {dtype}, not a stack of real numbers; save its magnitude.")
    if 0 in shape:
        raise BundleError(f"{path} is empty ({found}); save it anew with at least one voxel along each axis.")
    if axes is not None:
        if len(axes) != len(shape):
            raise BundleError(
                f"{path} has {len(shape)} axes ({found}), but --axes {axes} names {len(axes)}; name each axis once."
            )
        return replace(scene, axes=axes, guessed=False)
    settled = scene.axes
    unnamed = [axis for axis in settled if axis in UNNAMED_AXES]
    if len(unnamed) == 1 and "Z" not in settled:
        settled = settled.replace(unnamed[0], "Z")
    lengths = dict(zip(settled, shape, strict=True))
    if lengths.get(COLOUR_AXIS, 1) > 1:
        raise BundleError(
            f"{path} is a colour image ({found}); split its colours into channels and save it as an OME-TIFF."
        )
    beyond = [axis for axis, length in zip(settled, shape, strict=True) if axis not in KNOWN_AXES and length > 1]
    if beyond or any(settled.count(axis) != 1 for axis in "YX") or any(settled.count(axis) > 1 for axis in "TCZ"):
        raise BundleError(
            f"{path} has the axes {found}, which are not channels, slices, rows and columns; "
            f"{advice.axes.format(axes='CZYX')}."
        )
    if scene.guessed:
        _check_guess(path, settled, lengths, advice)
    return replace(scene, axes=settled)


def _check_guess(path: Path, axes: str, lengths: Mapping[str, int], advice: Advice) -> None:
    """Refuse the usual order for an array that looks as if its slices or channels were its last axis, or swapped.

    Args:
        path: the file, for errors.
        axes: the usual ones, (T, C, Z, Y, X).
        lengths: of these.
        advice: what the user can do.

    Raises:
        BundleError: the last axis is the shortest of three or more, or there are more channels than slices.
    """
    *before, last = (lengths[axis] for axis in axes if axis in "ZYX")
    shape = tuple(lengths.values())
    if len(shape) > 2 and last < min(before):
        likely = {3: "YXZ", 4: "ZYXC"}.get(len(shape), "TZYXC")
        reason = f"its last axis is the shortest of them, as if it were slices or channels ({likely})"
    elif lengths.get("C", 1) > lengths.get("Z", 1) > 1:
        likely = "ZCYX" if len(shape) == 4 else "TZCYX"
        reason = f"that would be more channels than slices, as if both were swapped ({likely})"
    else:
        return
    raise BundleError(
        f"{path} says nothing of its axes, and {axes} {shape} would be the usual ones, but {reason}; "
        f"{advice.axes.format(axes=likely)} or --axes {axes}."
    )
