"""One reader for all file formats: it picks the format by the end of the file's name."""

from pathlib import Path

from bundle.data.lazy_stack import StackFile
from bundle.data.stack import StackReader
from bundle.data.tiff_reader import TiffReader
from bundle.errors import BundleError

FORMATS: tuple[type[StackReader], ...] = (TiffReader,)


class FileReader(StackReader):
    """MONAI reader of every format the bundle knows; see `StackReader` for arguments, array and metadata."""

    suffixes = tuple(suffix for format_reader in FORMATS for suffix in format_reader.suffixes)

    def open_file(self, path: Path) -> StackFile:
        """Open a file with the reader of its format.

        Raises:
            BundleError: no format has such a name; or as the format's reader.
        """
        return self._format(path).open_file(path)

    def reads_folder(self, path: Path) -> bool:
        """Tell whether this folder is a stack of a format that keeps its stacks in folders."""
        return any(format_reader().reads_folder(path) for format_reader in FORMATS)

    def _format(self, path: Path) -> StackReader:
        """The reader of the file's format."""
        for format_reader in FORMATS:
            reader = format_reader()
            if reader.reads_folder(path) or (path.is_file() and reader.verify_suffix(path)):
                return reader
        raise BundleError(f"{path} is of no known format; its name should end in {', '.join(self.suffixes)}.")
