import numpy as np
import pytest

from bundle.predicting.preview import PreviewPlanes, draw_planes


def draw_preview(image, prediction, tasks, spacing, title):
    planes = PreviewPlanes(image.shape, tasks)
    planes.light(image[image.shape[0] // 2], image[:, image.shape[1] // 2])
    for task, volume in enumerate(prediction):
        planes.add(task, 0, volume)
    return draw_planes(planes, spacing, title)


def titles(figure):
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


def test_every_task_is_shown_twice_with_its_name_and_the_stack_once_from_the_side():
    volume = np.random.default_rng(0).random((4, 10, 12))
    tasks = [f"task {number}" for number in range(7)]
    figure = draw_preview(volume, np.stack([volume] * 7), tasks, (0.5, 0.2, 0.1), "cell.tif")
    found = titles(figure)
    for task in tasks:
        assert task in found
        assert f"{task}, maximum along z" in found
    assert "transmitted light, side view" in found
    assert "cell.tif" in figure.get_suptitle()


def test_the_planes_are_the_middle_slice_and_the_maximum():
    volume = np.random.default_rng(0).random((5, 6, 7))
    figure = draw_preview(volume, volume[None] + 1, ["dna"], (1, 1, 1), "a")
    shown = {axis.get_title(): axis.images[0].get_array() for axis in figure.axes}
    np.testing.assert_allclose(shown["transmitted light"], volume[2], rtol=1e-6)
    np.testing.assert_allclose(shown["dna, maximum along z"], volume.max(0) + 1, rtol=1e-6)


def test_the_scale_bar_is_true():
    figure = draw_preview(
        np.random.default_rng(0).random((2, 100, 100)), np.zeros((0, 2, 100, 100)), [], (1, 1, 0.3), ""
    )
    (bar,), (label,) = figure.axes[0].lines, figure.axes[0].texts
    left, right = bar.get_xdata()
    assert right - left == pytest.approx(5)  # the longest round length within a quarter of 30 µm
    assert label.get_text() == "5 µm"
    assert figure.axes[0].get_xlim() == (0, 30)


def test_a_single_constant_slice_can_be_drawn(tmp_path):
    figure = draw_preview(np.zeros((1, 5, 5)), np.zeros((1, 1, 5, 5)), ["dna"], (1, 1, 1), "a")
    figure.savefig(tmp_path / "a.png")
    assert titles(figure) == ["transmitted light", "dna"]


def test_dollar_signs_in_names_are_no_formula(tmp_path):
    figure = draw_preview(np.zeros((2, 5, 5)), np.zeros((1, 2, 5, 5)), ["$dna^{$"], (1, 1, 1), "a$b^{$.tif")
    figure.savefig(tmp_path / "a.png")
