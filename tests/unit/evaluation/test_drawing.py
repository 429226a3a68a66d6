import io

import numpy as np
import pytest

from bundle.evaluation.drawing import COLUMNS, EvaluatedVolume, draw_overview, draw_task


def make_volume(shape, task="dna"):
    generator = np.random.default_rng(0)
    image, target, noise = generator.standard_normal((3, *shape), dtype=np.float32)
    metrics = {"mse": 0.25, "r2": 0.5}
    return EvaluatedVolume(image, target, target + 0.1 * noise, (0.29, 0.2, 0.2), task, "cells/a.tif", metrics)


def panels(figure):
    return [axis for axis in figure.axes if axis.images and axis.get_label() != "<colorbar>"]


@pytest.mark.parametrize(("slices", "rows"), [(6, 2), (1, 1)])
def test_a_task_shows_input_target_prediction_and_error_in_true_proportions(slices, rows):
    figure = draw_task(make_volume((slices, 20, 30)))
    shown = panels(figure)
    assert [axis.get_title() for axis in shown[:4]] == list(COLUMNS)
    assert len(shown) == 4 * rows
    assert shown[0].images[0].get_extent() == pytest.approx([0, 6.0, 4.0, 0])
    if rows == 2:
        assert shown[4].images[0].get_extent() == pytest.approx([0, 6.0, 6 * 0.29, 0])
    assert shown[1].images[0].get_clim() == shown[2].images[0].get_clim()
    low, high = shown[3].images[0].get_clim()
    assert low == -high
    assert "cells/a.tif" in figure.get_suptitle()
    assert "mse 0.250" in figure.get_suptitle()
    assert any("µm" in text.get_text() for text in shown[0].texts)


def test_the_overview_has_a_row_a_task():
    figure = draw_overview([make_volume((4, 16, 16), task) for task in ("dna", "zo1", "tom20")], "r2")
    shown = panels(figure)
    assert len(shown) == 12
    assert [shown[row * 4].get_ylabel() for row in range(3)] == ["dna\nr2 0.50", "zo1\nr2 0.50", "tom20\nr2 0.50"]
    figure.savefig(io.BytesIO(), format="png", dpi=20)
