"""What the outputs of each stack are called, and which of them stand."""

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from bundle.errors import BundleError
from bundle.files import remove
from bundle.predicting.output_format import OUTPUT_FORMATS, OutputFormat, check_output_format, output_format
from bundle.stacks.file_series import is_series, series_name
from bundle.stacks.formats.ome_zarr import field_place
from bundle.stacks.formats.plate_writer import complete_plate
from bundle.stacks.reader import FileReader
from bundle.stacks.source import StackSource

STORE = ".zarr"
PREVIEW_ENDING = "_pred.png"
STATISTICS_ENDING = "_pred.json"
UNFINISHED_ENDING = "_pred.unfinished"
PLATES = "ome-zarr"  # the format that has them
OUTPUT_ENDINGS = (
    *(ending for form in OUTPUT_FORMATS.values() for ending in (form.ending, form.spread_ending)),
    PREVIEW_ENDING,
    STATISTICS_ENDING,
)


def stem(path: str | Path) -> str:
    """Name of a stack without its file's ending: cell.ome.tiff -> cell, cells.czi[scene=1] -> cells_s001.

    An image within a Zarr store, such as a plate's field, is called by all of its path there: plate.zarr/B/03/0 ->
    plate_B_03_0.
    """
    source = StackSource.parse(path)
    parts = source.path.parts
    store = next((index for index, part in enumerate(parts[:-1]) if part.lower().endswith(STORE)), None)
    if store is not None:
        return "_".join([_without_ending(parts[store]), *parts[store + 1 :]]) + source.ending
    if is_series(source.path):
        return series_name(source.path) + source.ending
    return _without_ending(source.path.name) + source.ending


def _without_ending(name: str) -> str:
    for ending in FileReader.suffixes:
        for whole in (f".ome{ending}", ending):
            if name.lower().endswith(whole) and len(name) > len(whole):
                return name[: -len(whole)]
    return Path(name).stem


def name_outputs(paths: Sequence[Path]) -> dict[Path, Path]:
    """Name the outputs of each stack, relative to the output folder and without their endings.

    They are called as the stacks are; where two stacks of different folders share a name, all go into folders of
    their own, called as those of the stacks below the one that holds them all.

    Raises:
        BundleError: two stacks of one folder share a name.
    """
    names = {path: Path(stem(path)) for path in paths}
    if len(set(names.values())) < len(names):
        folders = {path: _folder(path) for path in paths}
        above = Path(os.path.commonpath(folders.values()))
        names = {path: folders[path].relative_to(above) / name for path, name in names.items()}
    alike = defaultdict(list)
    for path, name in names.items():
        alike[name].append(path)
    for name, (first, *others) in alike.items():
        if others:
            raise BundleError(
                f"{first} and {others[0]} would both become {name}_pred; predict them into different folders with "
                "--output_dir, or rename one."
            )
    return names


def _folder(path: Path) -> Path:
    """The folder that holds a stack's file, or the Zarr store that it lies in, as an absolute path."""
    file = StackSource.parse(path).path.absolute()  # resolve() would follow a link to another name
    stores = [folder for folder in file.parents if folder.name.lower().endswith(STORE)]
    return stores[-1].parent if stores else file.parent


class Outputs:
    """Where the prediction of each stack of a run goes.

    Args:
        paths: the stacks.
        folder: of the predictions.
        output_format: file format of the predictions, see `output_format`; None = as the input's.
        spread: whether each prediction has a file of its spread beside it.

    Raises:
        BundleError: two stacks of one folder would get the same output, or there is no such format.
    """

    def __init__(
        self, paths: Sequence[Path], folder: Path, output_format: str | None = None, spread: bool = False
    ) -> None:
        self.format_name = check_output_format(output_format)
        self.names = name_outputs(paths)
        self.folder = folder
        self.keeps_spread = spread

    def form(self, path: str | Path) -> OutputFormat:
        """The format of one input's prediction."""
        return output_format(path, self.format_name)

    def of(self, path: str | Path) -> tuple[Path, Path, Path]:
        """The files of one input's prediction: volume (in the run's format), preview (PNG) and statistics (JSON)."""
        volume = self._volume(path, self.form(path))
        return volume, self._named(path, PREVIEW_ENDING), self._named(path, STATISTICS_ENDING)

    def spread(self, path: str | Path) -> Path | None:
        """The file of the spread of one input's prediction, in the run's format; None where there is to be none."""
        form = self.form(path)
        return self._volume(path, form, form.spread_ending) if self.keeps_spread else None

    def unfinished(self, path: str | Path) -> Path:
        """The hidden folder in which one input's prediction is made block by block."""
        place = self._named(path, UNFINISHED_ENDING)
        return place.with_name(f".{place.name}")

    def volume_name(self, path: str | Path, volume: Path | None = None) -> str:
        """What one input's record calls its volume, or another of its: the name, of a plate's field the whole place."""
        volume = volume or self.of(path)[0]
        return volume.name if self._named(path, "").parent == volume.parent else "/".join(volume.parts[-4:])

    def volumes(self, path: str | Path) -> list[Path]:
        """The volumes of one input's earlier predictions that are there, of whatever format, and their spreads."""
        volumes = [self._volume(path, form) for form in OUTPUT_FORMATS.values()]
        return [volume for volume in volumes if volume.exists()] + self.spreads(path)

    def spreads(self, path: str | Path) -> list[Path]:
        """The files of earlier spreads that are there."""
        files = (self._volume(path, form, form.spread_ending) for form in OUTPUT_FORMATS.values())
        return [file for file in files if file.exists()]

    def remove_volumes(self, path: str | Path) -> None:
        """Remove the volumes of one input's earlier predictions, see `volumes`."""
        for volume in self.volumes(path):
            remove(volume)

    def complete_plate(self, path: str | Path) -> None:
        """Write the metadata of the plate that the prediction of a field stands in; nothing for any other input."""
        form = self.form(path)
        endings = (form.ending, form.spread_ending)[: 1 + self.keeps_spread] if form is OUTPUT_FORMATS[PLATES] else ()
        for place in filter(None, (self._plate(path, ending) for ending in endings)):
            complete_plate(place[0], stem(place[0]))

    def _named(self, path: str | Path, ending: str) -> Path:
        return self.folder / f"{self.names.get(Path(path), Path(stem(path)))}{ending}"

    def _volume(self, path: str | Path, form: OutputFormat, ending: str | None = None) -> Path:
        """The volume of one input's prediction; as OME-Zarr, those of a plate's fields are a plate as well."""
        ending = ending or form.ending
        place = self._plate(path, ending) if form is OUTPUT_FORMATS[PLATES] else None
        return self._named(path, ending) if place is None else place[0] / place[1]

    def _plate(self, path: str | Path, ending: str) -> tuple[Path, str] | None:
        """The plate of the predictions of a plate's fields, and the place in it of one; None for any other input."""
        place = field_place(Path(path)) if StackSource.parse(path).path == Path(path) else None
        if place is None:
            return None
        plate, field = place
        return self._named(path, "").with_name(f"{stem(plate)}{ending}"), field
