"""Targets out of the masks of a field."""

import numpy as np

from benchmarks.mask_targets import targets_of


def test_masks_become_targets_that_hold_where_cells_are_segmented():
    cells = np.zeros((12, 40, 40), np.uint8)
    cells[4:8, 5:20, 5:20], cells[4:8, 5:20, 20:35] = 1, 2
    nuclei = np.zeros_like(cells)
    nuclei[5:8, 9:16, 9:16] = 1
    tom20 = np.zeros_like(cells)
    tom20[2:9, ::4] = 1
    spacing = (0.29, 0.29, 0.29)
    made = {task: (mask, holds) for task, mask, holds in targets_of(
        {"cell_mask": cells, "dna_mask": nuclei, "tom20_mask": tom20}, spacing)}  # fmt: skip
    assert set(made) == {"membrane_caax_63x", "dna", "lamin_b1", "tom20"}
    membrane, holds = made["membrane_caax_63x"]
    assert membrane[6, 12, 5]
    assert membrane[6, 12, 19]
    assert membrane[6, 12, 20]  # between two neighbours
    assert not membrane[6, 12, 12]
    assert holds[1, 12, 12]  # 1.2 um below
    assert not holds[:, 30, 30].any()
    assert np.array_equal(made["dna"][0], nuclei > 0)
    envelope = made["lamin_b1"][0]
    assert envelope[6, 9, 12]
    assert not envelope[6, 12, 12]
    assert made["tom20"][1].all()
