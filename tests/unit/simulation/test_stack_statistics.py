from pathlib import Path

import pytest
import tifffile

from bundle.simulation.stack_statistics import REAL_BRIGHTFIELD, StackStatistics, comparison_table, measure_stack

REAL_STACK = Path(__file__).resolve().parents[4] / "shared" / "data" / "real_brightfield_dna.ome.tif"


def test_the_table_shows_both_sides_and_their_difference():
    table = comparison_table(StackStatistics((0.9, 0.7, 0.5, 0.2), (0.1, 0.2, 0.3, 0.2, 0.2)))
    lines = table.splitlines()
    assert len(lines) == 2 + 4 + 5
    assert lines[2] == "| z-correlation at lag 1 | 0.808 | 0.900 | +0.092 |"


@pytest.mark.skipif(not REAL_STACK.exists(), reason="the real stack is not here")
def test_the_reference_is_what_the_real_stack_measures():
    found = measure_stack(tifffile.imread(REAL_STACK)[0])
    assert found.z_correlation == pytest.approx(REAL_BRIGHTFIELD.z_correlation, abs=1e-3)
    assert found.band_power == pytest.approx(REAL_BRIGHTFIELD.band_power, abs=1e-3)
