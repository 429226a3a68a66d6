import pytest

from bundle.stacks.pixel_size import warn_of_far_spacing


def warn(spacing):
    warn_of_far_spacing("cell.tif", spacing, (0.29, 0.29, 0.29))


@pytest.mark.parametrize("spacing", [(1.17, 0.29, 0.29), (0.29, 0.29, 0.0724)])
def test_beyond_four_times_one_sentence_warns(spacing, caplog):
    warn(spacing)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("cell.tif has voxels of")
    assert "4.0 times" in record.getMessage()
    assert '--spacing "[Z,Y,X]"' in record.getMessage()


@pytest.mark.parametrize("spacing", [(1.15, 0.29, 0.29), (0.29, 0.108, 0.073)])
def test_within_it_nothing_is_said(spacing, caplog):
    warn(spacing)
    assert caplog.records == []
