"""The prediction of a large stack while it is made: beside its final place, with a note of how far it has come."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from bundle.data.zarr_writer import create_ome_zarr
from bundle.errors import BundleError
from bundle.files import written_whole
from bundle.inference.description import differing


class UnfinishedPrediction:
    """An OME-Zarr that is filled slab by slab in a hidden folder and goes on where an interrupted run ended.

    Only whole chunks count as done, so that no half-written one is ever taken over.

    Args:
        folder: the hidden folder.
        origin: what it is made from (see `describe_origin`).
        overwrite: whether an unfinished prediction made from something else may be thrown away.

    Attributes:
        zarr: path of the OME-Zarr.
        state: what must be kept between runs: the origin, `slices_done`, and what `remember` added.

    Raises:
        BundleError: there is an unfinished prediction made from something else, and `overwrite` is false.
    """

    def __init__(self, folder: Path, origin: Mapping[str, Any], overwrite: bool = False) -> None:
        self.folder = folder
        self.zarr = self.folder / "volume.ome.zarr"
        self._state_file = self.folder / "state.json"
        self.state: dict[str, Any] = {"origin": dict(origin), "slices_done": 0}
        if self._state_file.is_file() and self.zarr.is_dir():
            self._take_over(overwrite)

    def _take_over(self, overwrite: bool) -> None:
        """Go on with what is there when it is made from the same."""
        found = json.loads(self._state_file.read_text(encoding="utf-8"))
        other = differing(self.state["origin"], found["origin"])
        if not other:
            self.state = found
        elif not overwrite:
            raise BundleError(
                f"{self.folder} holds an unfinished prediction that was begun with another {', '.join(other)}; give "
                "the same again to go on with it, or --overwrite True to begin anew."
            )

    @property
    def slices_done(self) -> int:
        """How many slices are written for good."""
        return int(self.state["slices_done"])

    def remember(self, **values: Any) -> None:
        """Keep further values (JSON) for a later run."""
        self.state.update(values)
        with written_whole(self._state_file, overwrite=True) as temporary:
            temporary.write_text(json.dumps(self.state, indent=2), encoding="utf-8")

    def open(self, shape: Sequence[int], **description: Any) -> "zarr.Array[Any]":
        """Open the full-resolution level, made anew unless some of its slices are done.

        Args:
            shape: (C, Z, Y, X).
            description: dtype, spacing, channel_names, colors and attributes as `create_ome_zarr` takes them.
        """
        if self.slices_done:
            return zarr.open_array(self.zarr / "0", mode="r+")
        if self.zarr.exists():
            shutil.rmtree(self.zarr)
        self.folder.mkdir(parents=True, exist_ok=True)
        return create_ome_zarr(self.zarr, shape, **description)

    def write(self, level: "zarr.Array[Any]", start: int, slab: np.ndarray[Any, Any]) -> None:
        """Write a slab (C, z, Y, X) of whole chunks from slice `start` on, and note that it is done."""
        stop = start + slab.shape[1]
        level[:, start:stop] = slab
        self.remember(slices_done=stop)

    def remove(self) -> None:
        """Remove the folder, once the prediction stands or cannot go on."""
        shutil.rmtree(self.folder)
