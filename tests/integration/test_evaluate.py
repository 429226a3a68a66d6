import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from monai.bundle import ConfigWorkflow
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from bundle.checkpoint import save_network
from bundle.data.tiff_reader import TiffReader
from bundle.errors import find_sentence
from bundle.networks import RepMode

ROOT = Path(__file__).parents[2]
TASKS = ["zo1", "tom20", "dna"]
METRICS = ["mse", "mae", "r2", "pearson", "ssim"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    save_network(RepMode(TASKS, base_width=1), path)
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
        ({"split": "holdout"}, "There is no split 'holdout'"),
        ({"tasks": ["lamin_b1"]}, "There is no task 'lamin_b1': choose from zo1, tom20, dna"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(evaluate, tmp_path, overrides, expected):
    assert expected in sentence_of(evaluate, tmp_path, **overrides)
    assert not list(tmp_path.iterdir())


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
