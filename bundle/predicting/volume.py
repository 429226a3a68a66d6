"""The prediction of a stack while it is made, box by box: in memory, or on disk beside its final place."""

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bundle.errors import BundleError
from bundle.files import remove, written_whole
from bundle.predicting.output_format import OutputFormat
from bundle.predicting.prediction_run import STATE
from bundle.predicting.record import differing
from bundle.preprocessing.resampling import Region
from bundle.stacks.stack_writer import Volume

if TYPE_CHECKING:
    import zarr


def name_of(box: Region) -> str:
    """Name a box by its ends, as "0-16_0-256_256-500" (Z, Y, X)."""
    return "_".join(f"{part.start}-{part.stop}" for part in box)


def _box_of(name: str) -> tuple[slice, ...]:
    """The box of a name."""
    return tuple(slice(*map(int, ends.split("-"))) for ends in name.split("_"))


class PredictedVolume(Protocol):
    """An array (C, Z, Y, X) that is filled box by box and then becomes a file."""

    @property
    def array(self) -> Volume:
        """The stored numbers (C, Z, Y, X)."""

    def is_done(self, box: Region) -> bool:
        """Tell whether an earlier run has filled a box already."""

    def is_noted(self, box: Region) -> bool:
        """Tell whether a box is filled by now, by whatever process."""

    def write(self, box: Region, values: np.ndarray[Any, Any]) -> None:
        """Fill a box with stored numbers (C, z, y, x)."""

    def complete(self, box: Region) -> None:
        """Note that a box is filled for good."""

    def keep(self, form: OutputFormat, path: Path, source: Path, **description: Any) -> None:
        """Make the file of a format, at `path`; see `OutputFormat` for the rest."""

    def remove(self) -> None:
        """Let go of what is not the file."""


class VolumeInMemory:
    """A prediction that fits into memory whole.

    Args:
        shape: (C, Z, Y, X).
        dtype: of the stored numbers.
    """

    def __init__(self, shape: Sequence[int], dtype: str) -> None:
        self.array = np.empty(tuple(shape), dtype)

    def is_done(self, box: Region) -> bool:  # noqa: ARG002 - memory forgets
        """Memory holds nothing of an earlier run."""
        return False

    def is_noted(self, box: Region) -> bool:  # noqa: ARG002 - nor has it notes
        """Nor of another process."""
        return False

    def write(self, box: Region, values: np.ndarray[Any, Any]) -> None:
        """Fill a box with stored numbers (C, z, y, x)."""
        self.array[(slice(None), *box)] = values

    def complete(self, box: Region) -> None:
        """Memory keeps no note."""

    def keep(self, form: OutputFormat, path: Path, source: Path, **description: Any) -> None:
        """Write the file of a format."""
        form.write(path, self.array, source, **description)

    def remove(self) -> None:
        """Nothing is left behind."""


class VolumeOnDisk:
    """A prediction in an OME-Zarr in a hidden folder, which goes on where an interrupted run ended.

    Boxes of whole chunks are noted as done once they are written, each by an empty file named by it, so that no
    half-written chunk is ever taken over and many workers can fill one volume; a later run may cut the stack into
    other boxes.

    Args:
        folder: the hidden folder.
        record: what the prediction is made from, as JSON holds it.
        overwrite: whether an unfinished prediction made from something else may be thrown away.

    Attributes:
        state: what is kept between runs: the record, and what `remember` added.

    Raises:
        BundleError: there is an unfinished prediction made from something else, and `overwrite` is false.
    """

    def __init__(self, folder: Path, record: Mapping[str, Any], overwrite: bool = False) -> None:
        self.folder = folder
        self.zarr = folder / "volume.ome.zarr"
        self._state_file = folder / STATE
        self._notes = folder / "done"
        self.state: dict[str, Any] = {"record": dict(record)}
        self._boxes: set[str] = set()
        self._array: zarr.Array[Any] | None = None
        self._chunks_done: np.ndarray[Any, np.dtype[np.bool_]] | None = None
        if self._state_file.is_file():
            self._take_over(overwrite)

    def _take_over(self, overwrite: bool) -> None:
        """Go on with what is there when it is made from the same."""
        try:
            found = json.loads(self._state_file.read_text(encoding="utf-8"))
            other = differing(self.state["record"], found["record"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            other = ["record"]
        if not other:
            self.state = found
            if self.zarr.is_dir():
                self._boxes = set(self._noted())
            else:
                self.state.pop("made", None)
        elif not overwrite:
            raise BundleError(
                f"{self.folder} holds an unfinished prediction that was begun with another {', '.join(other)}; give "
                "the same again to go on with it, or --overwrite True to begin anew."
            )

    def open(self, shape: Sequence[int], **description: Any) -> None:
        """Open the array, made anew unless another process has made it for the same prediction.

        Args:
            shape: (C, Z, Y, X).
            description: dtype, spacing, channel_names, colors and attributes as `create_ome_zarr` takes them.
        """
        import zarr  # here, as in the next line, since it takes long to load

        from bundle.stacks.formats.ome_zarr_writer import create_ome_zarr

        if "made" in self.state:
            self._array = zarr.open_array(self.zarr / "0", mode="r+")
        else:
            for earlier in (self.zarr, self._notes):
                remove(earlier)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._array = create_ome_zarr(self.zarr, shape, **description)
            self._notes.mkdir()
            self.remember(made=True)
        chunk_counts = [-(-length // chunk) for length, chunk in zip(shape[1:], self.chunks, strict=True)]
        self._chunks_done = np.zeros(chunk_counts, bool)
        for name in self._boxes:
            self._chunks_done[self._chunks_of(_box_of(name))] = True

    def _noted(self) -> list[str]:
        """Names of the boxes that are done, by whomever."""
        return [note.name for note in self._notes.iterdir()] if self._notes.is_dir() else []

    @property
    def voxels_done(self) -> int:
        """How many voxels earlier runs have filled."""
        return sum(math.prod(part.stop - part.start for part in _box_of(name)) for name in self._boxes)

    @property
    def array(self) -> "zarr.Array[Any]":
        """The full-resolution level (C, Z, Y, X)."""
        assert self._array is not None, "open comes first"
        return self._array

    @property
    def chunks(self) -> tuple[int, ...]:
        """Voxels of a chunk (Z, Y, X)."""
        return self.array.chunks[1:]

    def _chunks_of(self, box: Sequence[slice]) -> tuple[slice, ...]:
        """The chunks that make up a box."""
        return tuple(
            slice(part.start // chunk, -(-part.stop // chunk)) for part, chunk in zip(box, self.chunks, strict=True)
        )

    def is_done(self, box: Region) -> bool:
        """Tell whether every chunk of a box is written."""
        assert self._chunks_done is not None, "open comes first"
        return bool(self._chunks_done[self._chunks_of(box)].all())

    def write(self, box: Region, values: np.ndarray[Any, Any]) -> None:
        """Fill a box of whole chunks with stored numbers (C, z, y, x)."""
        self.array[(slice(None), *box)] = values

    def complete(self, box: Region) -> None:
        """Note that a box is filled for good, for a later run."""
        assert self._chunks_done is not None, "open comes first"
        self._chunks_done[self._chunks_of(box)] = True
        self._notes.mkdir(exist_ok=True)
        (self._notes / name_of(box)).touch()

    def is_noted(self, box: Region) -> bool:
        """Tell whether a box of just these ends was filled by now, by whatever process."""
        if not self.is_done(box) and (self._notes / name_of(box)).exists():
            assert self._chunks_done is not None, "open comes first"
            self._chunks_done[self._chunks_of(box)] = True
        return self.is_done(box)

    def remember(self, **values: Any) -> None:
        """Keep further values (JSON) for a later run."""
        self.state.update(values)
        self.folder.mkdir(parents=True, exist_ok=True)
        with written_whole(self._state_file, overwrite=True) as temporary:
            temporary.write_text(json.dumps(self.state, indent=2), encoding="utf-8")

    def keep(self, form: OutputFormat, path: Path, source: Path, **description: Any) -> None:
        """Make the file of a format, which may take the OME-Zarr away."""
        form.keep(path, self.zarr, source, **description)

    def remove(self) -> None:
        """Remove the hidden folder, once the prediction stands or cannot go on."""
        shutil.rmtree(self.folder, ignore_errors=True)
