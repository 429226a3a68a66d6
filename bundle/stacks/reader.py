"""One reader for all file formats: it picks the format by the end of the file's name."""

from pathlib import Path

from bundle.errors import BundleError
from bundle.stacks.formats.array import ArrayReader
from bundle.stacks.formats.nifti import NiftiReader
from bundle.stacks.formats.numpy import NumpyReader
from bundle.stacks.formats.ome_zarr import OMEZarrReader
from bundle.stacks.formats.series import SeriesReader
from bundle.stacks.formats.tiff import TiffReader
from bundle.stacks.formats.vendor import CziReader, LifReader, Nd2Reader
from bundle.stacks.lazy_stack import StackFile
from bundle.stacks.stack import StackReader

FORMATS: tuple[type[StackReader], ...] = (
    ArrayReader,
    TiffReader,
    NiftiReader,
    NumpyReader,
    OMEZarrReader,
    CziReader,
    Nd2Reader,
    LifReader,
    SeriesReader,
)


class FileReader(StackReader):
    """MONAI reader of every format the bundle knows; see `StackReader` for arguments, array and metadata."""

    _readers = tuple(format_reader() for format_reader in FORMATS)
    suffixes = tuple(suffix for reader in FORMATS for suffix in reader.suffixes)

    def open_file(self, path: Path) -> StackFile:
        """Open a file with the reader of its format.

        Raises:
            BundleError: no format has such a name; or as the format's reader.
        """
        return self._format(path).open_file(path)

    def kind_of(self, path: Path) -> str:
        """What a file of its format is called in errors."""
        return self._format(path).kind

    def reads(self, path: Path) -> bool:
        """Tell whether a file, folder, series or lent array is of some format."""
        return any(reader.reads(path) for reader in self._readers)

    def reads_folder(self, path: Path) -> bool:
        """Tell whether this folder is a stack of a format that keeps its stacks in folders."""
        return any(reader.reads_folder(path) for reader in self._readers)

    def _format(self, path: Path) -> StackReader:
        """The reader of the file's format."""
        for reader in self._readers:
            if reader.reads(path):
                return reader
        raise BundleError(f"{path} is of no known format; its name should end in {', '.join(self.suffixes)}.")
