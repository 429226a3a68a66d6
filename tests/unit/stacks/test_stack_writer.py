"""The writers of all formats through MONAI's SaveImage."""

import nibabel
import numpy as np
import pytest
from monai.data import MetaTensor
from monai.transforms import SaveImage, SaveImaged

from bundle.errors import BundleError
from bundle.stacks.formats.nifti import NiftiWriter
from bundle.stacks.formats.ome_tiff_writer import OMETiffWriter
from bundle.stacks.formats.ome_zarr_writer import OMEZarrWriter
from bundle.stacks.reader import FileReader
from bundle.stacks.stack_writer import stored_dtype

SPACING = (0.5, 0.2, 0.1)
FORMATS = [".ome.tiff", ".nii.gz", ".ome.zarr"]


def writer(ending):
    return {".ome.tiff": OMETiffWriter, ".nii.gz": NiftiWriter, ".ome.zarr": OMEZarrWriter}[ending]


@pytest.fixture
def image():
    array = np.random.default_rng(0).normal(size=(3, 4, 5, 6)).astype(np.float32)
    meta = {"filename_or_obj": "cell.ome.tiff", "channel_names": ["a", "b", "c"], "spatial_shape": array.shape[1:]}
    return MetaTensor(array, affine=np.diag([*SPACING, 1.0]), meta=meta)


@pytest.mark.parametrize("ending", FORMATS)
def test_monai_saves_through_each_writer(tmp_path, image, ending):
    options = {"output_dir": tmp_path, "output_ext": ending, "writer": writer(ending), "separate_folder": False}
    SaveImaged("image", output_postfix="x", **options)({"image": image})
    (path,) = tmp_path.iterdir()
    assert path.name.endswith(f"_x{ending}")
    stack = FileReader().load(path)
    np.testing.assert_array_equal(stack.array, image.numpy())
    assert stack.spacing == pytest.approx(SPACING)
    assert stack.channel_names == ["a", "b", "c"]


@pytest.mark.parametrize("ending", FORMATS)
def test_saving_again_needs_leave(tmp_path, image, ending):
    saver = SaveImage(output_dir=tmp_path, output_ext=ending, writer=writer(ending), separate_folder=False)
    saver(image)
    with pytest.raises(RuntimeError) as caught:
        saver(image)
    assert "exists already" in str(caught.value.__cause__ or caught.value.args)
    saver.set_options(init_kwargs={"overwrite": True})
    saver(image)


def test_nifti_of_a_nifti_keeps_its_place(tmp_path, image):
    affine = np.diag([0.1, -0.2, 0.5, 1.0])
    affine[:3, 3] = (1, 2, 3)
    source = nibabel.Nifti1Image(np.zeros((6, 5, 4), np.float32), affine)
    source.header.set_xyzt_units("micron")
    nibabel.save(source, tmp_path / "cell.nii.gz")
    image.meta["filename_or_obj"] = str(tmp_path / "cell.nii.gz")
    SaveImage(output_dir=tmp_path / "out", output_ext=".nii.gz", writer=NiftiWriter, separate_folder=False)(image)
    (path,) = (tmp_path / "out").iterdir()
    np.testing.assert_allclose(nibabel.load(path).affine, affine, atol=1e-6)


def test_numbers_that_no_file_holds_are_refused():
    with pytest.raises(BundleError, match=r"a\.nii cannot be written: it does not hold complex64"):
        stored_dtype("a.nii", np.dtype(np.complex64))
