from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff


@pytest.fixture
def write_pair(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Write image and target (8, 64, 80) of a random structure; `target` may change the target before."""

    def write(name, seed=0, target=lambda values: values, image=lambda values: values, spacing=(0.3, 0.2, 0.2)):
        generator = np.random.default_rng(seed)
        where = ndimage.gaussian_filter(generator.normal(size=(8, 64, 80)), 3)
        fine = ndimage.gaussian_filter(generator.normal(size=where.shape), (0, 0.7, 0.7))
        inside = where > where.std()
        stacks = {
            "bf": image(1000 + 200 * (0.3 + inside) * fine),
            "gfp": target(
                100 + 900 * ndimage.gaussian_filter(inside.astype(float), 1) + generator.normal(0, 3, where.shape)
            ),
        }
        for folder, values in stacks.items():
            array = np.asarray(values)
            array = array if array.dtype == np.float32 else array.astype(np.uint16)
            write_ome_tiff(
                tmp_path / folder / f"{name}.tif", array[None], spacing=spacing, channel_names=[folder], overwrite=True
            )
        return tmp_path / "bf" / f"{name}.tif", tmp_path / "gfp" / f"{name}.tif"

    return write
