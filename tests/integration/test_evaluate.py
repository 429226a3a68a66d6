import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.bundle import ConfigWorkflow
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from bundle.checkpoint import save_network
from bundle.datasets.manifest import ManifestRow, read_rows, write_manifest
from bundle.errors import find_sentence
from bundle.network import RepMode
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.formats.tiff import TiffReader
from tests.networks import that_saw_images

ROOT = Path(__file__).parents[2]
TASKS = ["zo1", "tom20", "dna"]
METRICS = ["mse", "mae", "r2", "pearson", "ssim"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    save_network(that_saw_images(RepMode(TASKS, base_width=1)), path)
    return path


@pytest.fixture
def evaluate(run_workflow, dataset_dir, checkpoint):
    def run(output_dir, **overrides):
        options = {"dataset_dir": str(dataset_dir), "checkpoint": str(checkpoint), "output_dir": str(output_dir)}
        return run_workflow(
            "evaluate.yaml", "infer", **{"roi_size": [16, 48, 48], "device": "cpu", **options, **overrides}
        )

    return run


def read_table(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_report_has_a_row_a_volume_a_row_a_task_and_figures(evaluate, tmp_path, capsys):
    evaluate(tmp_path)
    volumes = read_table(tmp_path / "volumes.csv")
    assert [(row["file"], row["task"]) for row in volumes] == [
        ("dna_5.ome.tiff", "dna"),
        ("tom20_5.ome.tiff", "tom20"),
        ("zo1_2.ome.tiff", "zo1"),
    ]
    tasks = read_table(tmp_path / "tasks.csv")
    assert [row["task"] for row in tasks] == [*TASKS, "All"]
    for metric in METRICS:
        values = [float(row[metric]) for row in volumes]
        assert float(tasks[-1][metric]) == pytest.approx(np.mean(values))
        assert float(tasks[-1][f"{metric}_std"]) == pytest.approx(np.std(values))
    printed = capsys.readouterr().out
    assert all(name in printed for name in [*TASKS, "All", *METRICS])
    for name in ["overview.png", *(f"figures/{task}.png" for task in TASKS)]:
        assert imread(tmp_path / name).std() > 0.05
    assert not list(tmp_path.rglob(".*"))


def test_an_evaluation_says_what_it_was(evaluate, dataset_dir, checkpoint, tmp_path):
    evaluate(tmp_path, tasks="dna")
    (start,) = json.loads((tmp_path / "evaluation.json").read_text())
    assert start["checkpoint_sha256"] == hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest()
    assert start["manifest_sha256"] == hashlib.sha256((dataset_dir / "dataset.csv").read_bytes()).hexdigest()
    assert start["versions"]["torch"] == torch.__version__
    assert "tasks:\n- dna" in (tmp_path / "evaluation.yaml").read_text()


def test_the_metrics_are_those_of_the_prediction_in_zscores(evaluate, dataset_dir, checkpoint, tmp_path):
    evaluate(tmp_path, tasks=["dna"])
    (row,) = read_table(tmp_path / "volumes.csv")
    reader = TiffReader()
    stack, _ = reader.get_data(reader.read(str(dataset_dir / "dna_5.ome.tiff")))
    image, target = ((channel - channel.mean()) / channel.std() for channel in stack.astype(np.float64))
    padded = np.pad(image, [(0, 0), (4, 4), (4, 4)])  # one window of 16x48x48
    network = RepMode(TASKS, base_width=1).eval()
    network.load_state_dict(torch.load(checkpoint, weights_only=True))
    with torch.no_grad():
        prediction = network(torch.tensor(padded[None, None], dtype=torch.float32), "dna")[0, 0, :, 4:-4, 4:-4].numpy()
    assert float(row["mse"]) == pytest.approx(np.mean((prediction - target) ** 2), rel=1e-4)
    assert float(row["mae"]) == pytest.approx(np.mean(np.abs(prediction - target)), rel=1e-4)
    assert float(row["r2"]) == pytest.approx(r2_score(target.ravel(), prediction.ravel()), abs=1e-4)
    assert float(row["pearson"]) == pytest.approx(pearsonr(target.ravel(), prediction.ravel()).statistic, abs=1e-4)


def sentence_of(evaluate, *arguments, **overrides):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - MONAI wraps it
        evaluate(*arguments, **overrides)
    sentence = find_sentence(caught.value)
    assert sentence is not None, caught.value
    return sentence


def test_a_report_is_not_overwritten_unasked(evaluate, tmp_path):
    evaluate(tmp_path, tasks=["zo1"])
    before = (tmp_path / "volumes.csv").read_bytes()
    assert "volumes.csv exists already" in sentence_of(evaluate, tmp_path, tasks=["dna"])
    assert (tmp_path / "volumes.csv").read_bytes() == before
    evaluate(tmp_path, tasks=["dna"], overwrite=True, split="validation")
    assert [row["file"] for row in read_table(tmp_path / "volumes.csv")] == ["dna_4.ome.tiff"]


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"checkpoint": "/nowhere/model.pt"}, "/nowhere/model.pt"),
        ({"dataset_dir": "/nowhere"}, "/nowhere/dataset.csv"),
        ({"roi_size": 0}, "roi_size is 0"),
        ({"default_spacing": 0}, "default_spacing 0"),
        ({"split": "holdout"}, "--split is 'holdout'; give one of train"),
        ({"tasks": ["lamin_b1"]}, "There is no task 'lamin_b1': choose from zo1, tom20, dna"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(evaluate, tmp_path, overrides, expected):
    assert expected in sentence_of(evaluate, tmp_path, **overrides)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def flawed_dir(tmp_path_factory):
    """Two good test stacks among a blank, a damaged, a missing one, one with NaN and one whose target is cropped."""
    folder = tmp_path_factory.mktemp("flawed")
    generator = np.random.default_rng(5)
    rows = []
    for number, flaw in enumerate(["", "blank", "damaged", "missing", "nan", "cropped", ""]):
        image = generator.normal(100, 10, (16, 24, 24)).astype(np.float32)
        target = image + generator.normal(0, 5, image.shape).astype(np.float32)
        if flaw == "blank":
            target[:] = 0
        if flaw == "nan":
            target[3, 3, 3] = np.nan
        names = (f"{flaw}{number}.ome.tif", f"{flaw}{number}_target.ome.tif")
        target = target[:, :-1] if flaw == "cropped" else target
        for name, stack in zip(names, (image, target), strict=True):
            write_ome_tiff(folder / name, stack[None], spacing=(0.29,) * 3, channel_names=["a"])
        if flaw == "damaged":
            (folder / names[1]).write_bytes((folder / names[1]).read_bytes()[:300])
        if flaw == "missing":
            (folder / names[1]).unlink()
        rows.append(ManifestRow("test", "dna" if number else "zo1", names[0], "", names[1], ""))
    write_manifest(folder / "dataset.csv", rows)
    return folder


@pytest.mark.parametrize("num_workers", [0, 1])
def test_stacks_that_cannot_be_measured_are_told_and_left_out(evaluate, flawed_dir, tmp_path, caplog, num_workers):
    report = tmp_path / "report"
    sentence = sentence_of(evaluate, report, dataset_dir=str(flawed_dir), num_workers=num_workers)
    flawed = ["blank1", "damaged2", "missing3", "nan4", "cropped5"]
    assert sentence.startswith("5 of 7 stacks could not be measured (")
    assert all(name in sentence for name in flawed)
    volumes = read_table(report / "volumes.csv")
    assert [row["status"] for row in volumes] == ["measured", *["failed"] * 5, "measured"]
    for line, row, name in zip(range(3, 8), volumes[1:6], flawed, strict=True):
        assert row["file"].startswith(name)
        assert row["error"].startswith(f"Line {line} of dataset.csv: ")
        assert name in row["error"]
        assert row["mse"] == ""
        assert caplog.text.count(row["error"]) == 1
    assert [(row["task"], row["volumes"]) for row in read_table(report / "tasks.csv")] == [
        ("zo1", "1"),
        ("dna", "1"),
        ("All", "2"),
    ]
    only = tmp_path / "only"
    evaluate(only, dataset_dir=str(without_flaws(flawed_dir, tmp_path)))
    assert read_table(only / "tasks.csv") == read_table(report / "tasks.csv")
    assert [row["mse"] for row in read_table(only / "volumes.csv")] == [volumes[0]["mse"], volumes[6]["mse"]]


def without_flaws(flawed_dir, tmp_path):
    """A dataset of the good stacks alone."""
    rows = [row for row in read_rows(flawed_dir / "dataset.csv").values() if row.image.startswith(("0", "6"))]
    absolute = [replace(row, image=str(flawed_dir / row.image), target=str(flawed_dir / row.target)) for row in rows]
    write_manifest(tmp_path / "dataset.csv", absolute)
    return tmp_path


def test_where_nothing_can_be_measured_there_is_no_report(evaluate, flawed_dir, tmp_path):
    rows = [row for row in read_rows(flawed_dir / "dataset.csv").values() if row.image.startswith(("blank", "nan"))]
    for count in (1, 2):
        (tmp_path / "dataset.csv").unlink(missing_ok=True)
        write_manifest(
            tmp_path / "dataset.csv",
            [
                replace(row, image=str(flawed_dir / row.image), target=str(flawed_dir / row.target))
                for row in rows[:count]
            ],
        )
        sentence = sentence_of(evaluate, tmp_path / "report", dataset_dir=str(tmp_path))
        assert "blank1" in sentence
        assert ("2 of 2" in sentence) == (count == 2)
        assert not list((tmp_path / "report").glob("*"))


def test_a_prediction_that_is_not_finite_is_no_measurement(evaluate, checkpoint, tmp_path, caplog):
    state = torch.load(checkpoint, weights_only=True)
    state["unet.last.gate.linear.bias"][:] = torch.nan
    torch.save(state, tmp_path / "broken.pt")
    sentence = sentence_of(evaluate, tmp_path / "report", checkpoint=str(tmp_path / "broken.pt"))
    assert sentence.startswith("3 of 3 stacks could not be measured")
    assert "--amp" not in caplog.text
    assert not list((tmp_path / "report").glob("*"))


def test_one_task_may_be_given_by_its_name_alone(evaluate, tmp_path):
    evaluate(tmp_path, tasks="dna")
    assert [row["task"] for row in read_table(tmp_path / "volumes.csv")] == ["dna"]


def test_a_report_that_cannot_be_written_leaves_nothing_that_blocks_the_next_try(evaluate, tmp_path, monkeypatch):
    def fail(*_arguments, **_options):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("matplotlib.figure.Figure.savefig", fail)
        with pytest.raises(RuntimeError):
            evaluate(tmp_path, tasks="dna")
    assert not list(tmp_path.iterdir())
    evaluate(tmp_path, tasks="dna")
    assert (tmp_path / "volumes.csv").exists()


def test_a_new_report_keeps_no_figure_of_the_one_it_replaces(evaluate, tmp_path):
    evaluate(tmp_path, tasks=["dna", "zo1"])
    (tmp_path / "figures" / "mine.png").touch()
    evaluate(tmp_path, tasks=["dna"], overwrite=True)
    assert {path.name for path in (tmp_path / "figures").iterdir()} == {"dna.png", "mine.png"}


def test_a_compact_net_cannot_be_evaluated(evaluate, tmp_path):
    save_network(RepMode(["dna"], base_width=1).eval().specialize(), tmp_path / "dna.pt")
    assert "evaluate the model.pt it was made from" in sentence_of(
        evaluate, tmp_path / "report", checkpoint=str(tmp_path / "dna.pt")
    )


def test_monai_finds_every_property(dataset_dir, checkpoint):
    workflow = ConfigWorkflow(
        config_file=str(ROOT / "configs" / "evaluate.yaml"),
        workflow_type="infer",
        logging_file=False,
        dataset_dir=str(dataset_dir),
        checkpoint=str(checkpoint),
    )
    workflow.initialize()
    assert workflow.check_properties() == []
