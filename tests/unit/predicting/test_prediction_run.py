import json
import logging
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.predicting.inputs import find_stacks
from bundle.predicting.prediction_run import PredictionRun
from bundle.windows.inferer import WindowInferer


@pytest.fixture
def folder(tmp_path):
    for name in ("b.tif", "a.ome.tiff", "notes.txt", ".hidden.tif", "a_pred.ome.tiff", "sub/c.tif"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def names(paths):
    return [path.name for path in paths]


def test_a_folder_gives_its_visible_stacks_but_no_predictions(folder):
    assert names(find_stacks(folder)) == ["a.ome.tiff", "b.tif"]


def test_files_globs_and_lists(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert find_stacks("notes.txt") == [Path("notes.txt")]
    assert names(find_stacks("*.tif*")) == names(find_stacks(f"{folder}/*.tif*"))
    assert names(find_stacks("**/*.tif"))[-1] == "c.tif"
    assert names(find_stacks(["b.tif", "sub", "b.tif"])) == ["b.tif", "c.tif"]


def test_a_glob_gives_what_the_folder_gives(tmp_path):
    """Brackets, percent, at, capitals, hidden files, earlier predictions, links, other files and folders."""
    folder = tmp_path / "exp [day 1] 50% serum"
    (folder / "sub").mkdir(parents=True)
    stacks = ["%5_sample.ome.tif", "@home.ome.tif", "Zelle ä, 2 & 3.OME.TIF", "cell [1].ome.tif", "$a$.nd2"]
    for name in [*stacks, "._a.tif", ".b.tif", "cell_pred.ome.tiff", "cell_pred.NII.GZ", "notes.txt", "sub/c.tif"]:
        (folder / name).touch()
    (folder / "link.tif").symlink_to(folder / "cell [1].ome.tif")
    (folder / "broken.tif").symlink_to(folder / "gone.tif")
    expected = sorted([*stacks, "link.tif"])
    assert names(find_stacks(folder)) == names(find_stacks(folder / "*")) == expected
    assert names(find_stacks(folder / "*.TIF")) == [name for name in expected if name.lower().endswith("tif")]
    for name in expected:
        assert find_stacks(folder / name) == [folder / name]
    assert names(find_stacks(f"{folder}/cell [[]1].*")) == ["cell [1].ome.tif"]


def test_what_is_named_is_taken_once_however_it_is_spelt(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert names(find_stacks(["a_pred.ome.tiff", folder / "a_pred.ome.tiff", ".hidden.tif"])) == [
        "a_pred.ome.tiff",
        ".hidden.tif",
    ]


def test_a_glob_of_folders_gives_their_stacks(folder):
    assert names(find_stacks(folder / "s*")) == ["c.tif"]


def test_a_glob_that_matches_no_stack_and_a_folder_of_folders_say_so(folder):
    with pytest.raises(BundleError, match=r"\(1 other files and folders match\); give --calibration"):
        find_stacks(folder / "*.txt", "calibration")
    (folder / "above" / "below").mkdir(parents=True)
    with pytest.raises(BundleError, match=r'above holds no stack .*"[^"]*above/\*\*/\*" for those of the folders'):
        find_stacks(folder / "above")


@pytest.mark.parametrize("source", ["gone.tif", "a_p*", "*.png", "empty", []])
def test_nothing_there_is_an_error(folder, monkeypatch, source):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    with pytest.raises(BundleError, match="--input"):
        find_stacks(source)


def test_folders_that_are_stacks(folder):
    for name in ("d.ome.zarr", "sub/e.zarr", "d_pred.ome.zarr"):
        (folder / name).mkdir()
    assert names(find_stacks(folder)) == ["a.ome.tiff", "b.tif", "d.ome.zarr"]
    assert names(find_stacks(folder / "d.ome.zarr")) == ["d.ome.zarr"]
    assert names(find_stacks(f"{folder}/sub/*")) == ["c.tif", "e.zarr"]


def test_each_scene_and_timepoint_is_a_stack_of_its_own(folder):
    np.savez(folder / "sub" / "x.npz", np.zeros((2, 1, 3, 4, 4)), np.zeros((3, 4, 4)))
    run = PredictionRun([folder / "b.tif", folder / "sub" / "x.npz"], folder / "out", scene="all", timepoint="all")
    expected = ["b.tif", *(f"x.npz[scene={scene},timepoint={point}]" for scene, point in ((0, 0), (0, 1), (1, 0)))]
    assert names(run.inputs) == expected  # b.tif is empty: reading it will say so
    assert run.outputs.of(run.inputs[2])[1] == folder / "out" / "x_s000_t001_pred.png"
    run.check()
    chosen = PredictionRun(folder / "sub" / "x.npz", folder / "out", scene=1)
    assert names(chosen.inputs) == ["x.npz[scene=1]"]


def test_outputs_stand_in_the_output_folder(folder):
    run = PredictionRun(folder / "a.ome.tiff", folder / "out")
    assert names(run.outputs.of("x/a.ome.tiff")) == ["a_pred.ome.tiff", "a_pred.png", "a_pred.json"]
    assert {path.parent for path in run.outputs.of("x/a.ome.tiff")} == {folder / "out"}


def test_existing_outputs_are_refused_before_anything_is_done(folder):
    with pytest.raises(BundleError, match=r"a_pred\.ome\.tiff exists already; give --overwrite True"):
        PredictionRun(folder / "a.ome.tiff", folder).check()
    PredictionRun(folder / "a.ome.tiff", folder, overwrite=True).check()


def test_two_inputs_of_one_folder_and_name_are_refused(folder):
    (folder / "b.ome.tif").touch()
    with pytest.raises(BundleError, match=r"b\.ome\.tif and .*b\.tif would both become b_pred"):
        PredictionRun(folder, folder / "out")


def test_inputs_of_one_name_in_several_folders_have_outputs_in_several_folders(tmp_path):
    for day in ("day1", "day2"):
        (tmp_path / day / "Pos0").mkdir(parents=True)
        (tmp_path / day / "Pos0" / "img.ome.tif").touch()
    run = PredictionRun(tmp_path / "day*" / "Pos0" / "*.tif", tmp_path / "out")
    assert [run.outputs.of(path)[2].relative_to(tmp_path / "out").as_posix() for path in run.inputs] == [
        "day1/Pos0/img_pred.json",
        "day2/Pos0/img_pred.json",
    ]


def test_an_output_folder_that_cannot_be_is_an_error(folder):
    with pytest.raises(BundleError, match=r"notes\.txt.*--output_dir"):
        PredictionRun(folder / "b.tif", folder / "notes.txt").check()


def test_all_well(folder, caplog):
    with caplog.at_level(logging.INFO, "bundle"):
        PredictionRun(folder, folder / "out").finish()
    assert "2 of 2 stacks predicted" in caplog.text


def test_one_of_many_is_reported_at_once_and_counted_at_the_end(folder, caplog):
    run = PredictionRun(folder, folder / "out")
    run.fail(folder / "b.tif", BundleError("b.tif is broken; mend it."))
    assert [record.getMessage() for record in caplog.records] == ["b.tif is broken; mend it."]
    with pytest.raises(BundleError, match=r"1 of 2 stacks could not be predicted \(b\.tif\)"):
        run.finish()


def test_the_only_one_is_told_once(folder, caplog):
    run = PredictionRun(folder / "b.tif", folder / "out")
    run.fail(folder / "b.tif", BundleError("b.tif is broken; mend it."))
    assert not caplog.records
    with pytest.raises(BundleError, match=r"^b\.tif is broken; mend it\.$"):
        run.finish()


def test_failures_of_the_disk_count_and_bugs_do_not(folder):
    run = PredictionRun(folder, folder / "out")
    wrapped = RuntimeError("applying transform")
    wrapped.__cause__ = OSError("disk full")
    run.fail(folder / "b.tif", wrapped)
    assert "disk full" in run.failures[folder / "b.tif"]
    with pytest.raises(ZeroDivisionError):
        run.fail(folder / "b.tif", ZeroDivisionError("a bug"))


@pytest.mark.parametrize("column", ["image", "file"])
def test_a_csv_names_stacks_relative_to_itself(folder, tmp_path, column):
    (folder / "sub" / "list.csv").write_text(f"day,{column}\n1,c.tif\n2,../b.tif\n3, c.tif\n4,\n", encoding="utf-8")
    assert [path.resolve() for path in find_stacks(folder / "sub" / "list.csv")] == [
        tmp_path / "sub" / "c.tif",
        tmp_path / "b.tif",
    ]


@pytest.mark.parametrize("content", [b"stack\nb.tif\n", b"", b"image\n", b"\xff\xfe\x00\x81"])
def test_a_csv_without_stacks_is_an_error(folder, content):
    (folder / "list.csv").write_bytes(content)
    with pytest.raises(BundleError, match=r"list\.csv"):
        find_stacks(folder / "list.csv")


def test_an_input_is_never_an_output(folder):
    run = PredictionRun([folder / "a.ome.tiff", folder / "a_pred.ome.tiff"], folder, overwrite=True)
    with pytest.raises(BundleError, match=r"a_pred\.ome\.tiff is an input.*--output_dir"):
        run.check()
    assert (folder / "a_pred.ome.tiff").exists()


def test_a_prediction_beside_one_of_another_format_is_not_finished(folder):
    run = make_run(folder)
    write_prediction(run, folder / "b.tif")
    assert run.is_finished(folder / "b.tif")
    (folder / "out" / "b_pred.ome.zarr").mkdir()
    assert not run.is_finished(folder / "b.tif")
    with pytest.raises(BundleError, match=r"b_pred\.ome\.zarr exists already|b_pred\.ome\.tiff exists already"):
        run.check()


def write_prediction(run, path):
    volume, preview, statistics = run.outputs.of(path)
    volume.parent.mkdir(exist_ok=True)
    volume.touch()
    preview.touch()
    statistics.write_text(json.dumps({"volume": volume.name, "origin": run.origin(path)}), encoding="utf-8")


def make_run(folder, overlap=0.5, **options):
    run = PredictionRun(folder, folder / "out", skip_finished=True, **options)
    run.make_with(inferer=WindowInferer(16, overlap=overlap))
    return run


def test_finished_stacks_are_passed_over(folder, caplog):
    write_prediction(make_run(folder), folder / "b.tif")
    run = make_run(folder)
    with caplog.at_level(logging.INFO, "bundle"):
        run.check()
        run.finish()
    assert names(run.pending) == ["a.ome.tiff"]
    assert "1 of 2 stacks are predicted already" in caplog.text
    assert "1 of 2 stacks predicted into" in caplog.text


def test_a_prediction_from_something_else_is_not_finished(folder):
    write_prediction(make_run(folder), folder / "b.tif")
    with pytest.raises(BundleError, match=r"b_pred.*exists already.*--overwrite True"):
        make_run(folder, overlap=0.25).check()
    (folder / "b.tif").write_text("changed")
    with pytest.raises(BundleError, match=r"b_pred.*exists already.*--overwrite True"):
        make_run(folder).check()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_prediction_that_lacks_a_file_is_not_finished(folder, number):
    run = make_run(folder)
    write_prediction(run, folder / "b.tif")
    run.outputs.of(folder / "b.tif")[number].unlink()
    assert not run.is_finished(folder / "b.tif")


def test_with_overwrite_nothing_is_passed_over(folder):
    write_prediction(make_run(folder), folder / "b.tif")
    run = make_run(folder, overwrite=True)
    run.check()
    assert names(run.pending) == ["a.ome.tiff", "b.tif"]


def test_different_voxel_sizes_are_noted(folder, caplog):
    run = PredictionRun(folder, folder / "out")
    for path, width in zip(run.inputs, (0.1, 0.2), strict=True):
        with run.measured(path):
            run.summary.note("ZYX", (3, 4, 5), (0.3, width, width))
    run.finish()
    assert "2 different voxel sizes" in caplog.text
    assert "0.3 x 0.2 x 0.2" in caplog.text
