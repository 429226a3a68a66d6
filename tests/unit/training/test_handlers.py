import csv
import math
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import CacheDataset
from monai.inferers import SimpleInferer
from monai.transforms import Compose, RandFlipd, RandSpatialCropd

from bundle.errors import BundleError
from bundle.training import (
    AutocastInferer,
    BestNetworkSaver,
    EpochLog,
    IntervalValidation,
    NonFiniteLossStop,
    TaskErrors,
    TransformSeed,
)
from bundle.training.random_state import get_random_state, set_random_state


def draw() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]


def test_random_state_comes_back_even_through_a_file_without_code(tmp_path):
    np.random.standard_normal()  # leaves a cached value behind
    torch.save(get_random_state(), tmp_path / "state.pt")
    first = draw()
    assert draw() != first
    set_random_state(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draw() == first


def test_transforms_follow_from_torchs_generator():
    transforms = Compose([RandSpatialCropd("x", (4, 4, 4), random_size=False), RandFlipd("x", prob=0.5)])
    dataset = CacheDataset([{"x": torch.arange(512.0).view(1, 8, 8, 8)}], transforms, progress=False)
    seed = TransformSeed(dataset)

    def epoch(number: int) -> torch.Tensor:
        torch.manual_seed(number)
        seed(None)
        return torch.stack([dataset[0]["x"].as_tensor() for _ in range(3)])

    first = epoch(1)
    assert not torch.equal(epoch(2), first)
    assert torch.equal(epoch(1), first)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(loss):
    engine = SimpleNamespace(
        state=SimpleNamespace(
            output={"loss": torch.tensor(loss)}, epoch=3, iteration=17, batch={"file": ["b.tif", "a.tif", "b.tif"]}
        )
    )
    with pytest.raises(BundleError, match=r"epoch 3, iteration 17, with patches of a\.tif, b\.tif; .*--learning_rate"):
        NonFiniteLossStop()(engine)


def test_a_finite_loss_goes_on():
    NonFiniteLossStop()(SimpleNamespace(state=SimpleNamespace(output={"loss": torch.tensor(2.0)})))


def run_evaluator(handlers, batches, values):
    evaluator = Engine(lambda _engine, batch: batch)
    evaluator.state.metric_details = {"val_mse": torch.tensor(values).view(-1, 1)}
    for handler in handlers:
        handler.attach(evaluator)
    evaluator.run(batches)
    return evaluator.state.metrics


def test_errors_are_averaged_over_the_volumes_of_each_task():
    names = [[{"task_name": "dna"}], [{"task_name": "tom20"}], [{"task_name": "dna"}]]
    metrics = run_evaluator([TaskErrors("val_mse", ["dna", "tom20", "zo1"])], names, [1.0, 5.0, 2.0])
    assert metrics == {"val_mse_dna": 1.5, "val_mse_tom20": 5.0}


@pytest.mark.parametrize(("epochs", "expected"), [(6, [3, 6]), (7, [3, 6, 7]), (2, [2])])
def test_validation_every_few_epochs_and_at_the_end(epochs, expected):
    validated: list[int] = []
    handler = IntervalValidation(interval=3)
    handler.validator = SimpleNamespace(run=validated.append)
    trainer = Engine(lambda _engine, batch: batch)
    handler.attach(trainer)
    trainer.run([0], max_epochs=epochs)
    assert validated == expected


@pytest.fixture
def evaluator():
    engine = Engine(lambda _engine, batch: batch)
    engine.state.key_metric_name = "val_mse"
    return engine


def log_epochs(path, evaluator, max_epochs, done=0):
    def step(engine, _batch):
        return [{"loss": float(engine.state.epoch)}]

    def validate(engine):
        evaluator.state.epoch = engine.state.epoch
        evaluator.state.metrics = {"val_mse": 0.5, "val_mse_dna": 0.25}

    trainer = Engine(step)
    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=2), validate)
    EpochLog(path, evaluator, ["dna", "tom20"]).attach(trainer)
    trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine.state, "epoch", done))
    trainer.run([0, 1], max_epochs=max_epochs)
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_log_has_a_row_an_epoch_and_the_validations(tmp_path, evaluator):
    rows = log_epochs(tmp_path / "metrics.csv", evaluator, max_epochs=3)
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [float(row["train_loss"]) for row in rows] == [1.0, 2.0, 3.0]
    assert [row["val_mse"] for row in rows] == ["", "0.5", ""]
    assert [row["val_mse_dna"] for row in rows] == ["", "0.25", ""]
    assert [row["val_mse_tom20"] for row in rows] == ["", "", ""]


def test_a_resumed_log_goes_on_without_epochs_that_are_done_again(tmp_path, evaluator):
    path = tmp_path / "metrics.csv"
    log_epochs(path, evaluator, max_epochs=3)
    with path.open("a") as file:
        file.write("4,8")  # killed while writing
    rows = log_epochs(path, evaluator, max_epochs=4, done=2)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]


def test_a_log_of_other_tasks_is_not_mixed_in(tmp_path, evaluator):
    (tmp_path / "metrics.csv").write_text("epoch,iteration\n1,2\n")
    with pytest.raises(BundleError, match="other columns"):
        log_epochs(tmp_path / "metrics.csv", evaluator, max_epochs=1)


@pytest.mark.parametrize("of_volumes", [[math.nan, math.nan], [0.5, math.inf]])
def test_a_validation_that_is_not_a_number_is_not_kept(tmp_path, evaluator, of_volumes):
    evaluator.state.metrics = {"val_mse": 0.0}  # MONAI's mean of no number
    evaluator.state.metric_details = {"val_mse": torch.tensor(of_volumes).view(-1, 1)}
    evaluator.state.epoch = evaluator.state.best_metric_epoch = 1
    with pytest.raises(BundleError, match="val_mse is not finite for all stacks"):
        BestNetworkSaver(tmp_path / "model.pt", network=None)(evaluator)
    assert not list(tmp_path.iterdir())


def test_autocast_computes_in_bfloat16_and_answers_in_float32():
    network = torch.nn.Conv3d(1, 1, 3)
    image = torch.randn(1, 1, 5, 5, 5)
    exact = AutocastInferer(SimpleInferer(), enabled=False)(image, network)
    rounded = AutocastInferer(SimpleInferer(), enabled=True)(image, network)
    assert torch.equal(exact, network(image))
    assert rounded.dtype == torch.float32
    assert torch.equal(rounded, rounded.bfloat16().float())
    assert torch.allclose(rounded, exact, atol=0.05)
