import numpy as np
import pytest
import tifffile

from bundle.errors import BundleError
from bundle.stacks.formats.tiff_damage import open_tiff
from bundle.stacks.reader import FileReader


def write_circle(path, pages, back_to):
    """Pages of which the last one names an earlier one as the next."""
    tifffile.imwrite(path, np.zeros((pages, 2, 2), np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        offset, last = file.pages[back_to].offset, file.pages[pages - 1]
        place = last.offset + 2 + 12 * len(last.tags)
    content = bytearray(path.read_bytes())
    assert content[place : place + 4] == bytes(4)
    content[place : place + 4] = offset.to_bytes(4, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(("pages", "back_to"), [(1, 0), (3, 0), (3, 2), (150, 20)])
def test_pages_in_a_circle_are_a_sentence(tmp_path, pages, back_to):
    """Found by coverage-guided fuzzing: tifffile went on for ever."""
    write_circle(tmp_path / "a.tif", pages, back_to)
    reader = FileReader(channel=0)
    with pytest.raises(BundleError, match=r"a\.tif cannot be read as a TIFF stack \(its page at byte \d+ comes after"):
        reader.get_data(reader.read(str(tmp_path / "a.tif")))


@pytest.mark.parametrize("big", [False, True])
def test_pages_that_end_are_read(tmp_path, big):
    stack = np.arange(120, dtype=np.uint16).reshape(5, 4, 6)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None, bigtiff=big)
    with open_tiff(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.asarray(), stack)
