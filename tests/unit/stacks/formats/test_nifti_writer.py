import json

import nibabel
import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.stacks.formats.nifti import NiftiReader, write_nifti

SPACING = (0.29, 0.2, 0.1)


@pytest.fixture
def array():
    return np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)


def test_nibabel_sees_x_y_z_channels_spacing_and_names(tmp_path, array):
    path = tmp_path / "new" / "a.nii.gz"
    write_nifti(path, array, spacing=SPACING, channel_names=["dna", "zo1", "µ"], attributes={"scale": [1, 2, 3]})
    image = nibabel.load(path)
    np.testing.assert_array_equal(np.asarray(image.dataobj)[:, :, :, 0], array.transpose(3, 2, 1, 0))
    assert image.header.get_zooms()[:3] == pytest.approx(SPACING[::-1])
    assert image.header.get_xyzt_units()[0] == "micron"
    comment = json.loads(image.header.extensions[0].get_content())
    assert comment["channel_names"] == ["dna", "zo1", "µ"]
    assert len(set(comment["channel_colors"])) == 3
    assert comment["repmode-bundle"] == {"scale": [1, 2, 3]}
    assert [file.name for file in path.parent.iterdir()] == ["a.nii.gz"]


@pytest.mark.parametrize("channels", [1, 3])
def test_our_reader_reads_it_back(tmp_path, array, channels):
    names = ["a", "b", "c"][:channels]
    write_nifti(tmp_path / "a.nii", array[:channels], spacing=SPACING, channel_names=names)
    stack = NiftiReader().load(tmp_path / "a.nii")
    np.testing.assert_array_equal(stack.array, array[:channels])
    assert stack.channel_names == names
    assert stack.spacing == pytest.approx(SPACING)


@pytest.mark.parametrize(("unit", "micrometres"), [("mm", 1e3), ("micron", 1), (None, 1)])
def test_it_lies_where_its_source_lies(tmp_path, array, unit, micrometres):
    """A source with flipped and swapped axes and an origin, in its own unit; the prediction has twice its spacing."""
    affine = np.array([[0, 2e-3, 0, 7], [-1e-3, 0, 0, 8], [0, 0, 3e-3, 9], [0, 0, 0, 1]])
    source = nibabel.Nifti1Image(np.zeros((6, 5, 4), np.uint8), affine)
    source.header.set_xyzt_units(unit)
    nibabel.save(source, tmp_path / "source.nii.gz")
    spacing = [2 * size * micrometres for size in (3e-3, 2e-3, 1e-3)]
    write_nifti(
        tmp_path / "a.nii.gz", array[:1], spacing=spacing, channel_names=["a"], source=tmp_path / "source.nii.gz"
    )
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_allclose(image.affine, affine * [2, 2, 2, 1], rtol=1e-6)
    assert image.header.get_xyzt_units()[0] == (unit or "unknown")


def test_nothing_is_overwritten_unasked_nor_left_half_written(tmp_path, array, monkeypatch):
    path = tmp_path / "a.nii.gz"
    path.write_text("precious")
    with pytest.raises(BundleError, match=r"a\.nii\.gz exists already"):
        write_nifti(path, array[:1], spacing=SPACING, channel_names=["a"])

    def fail(_, file):
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(nibabel.Nifti1Header, "write_to", fail)
    with pytest.raises(OSError, match="disk full"):
        write_nifti(path, array[:1], spacing=SPACING, channel_names=["a"], overwrite=True)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["precious"]
