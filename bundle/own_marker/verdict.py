"""What a marker reached, in words: against the mean, against a plain filter, and what to do about it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

CLEAR = 0.02  # of R2: less is not worth telling
OVERFITTED = 0.6  # training loss as a share of the validation's, below which more stacks help more than more epochs
STILL_FALLING = 0.02  # share of the validation's error by which its last step fell

Row = Mapping[str, float]


@dataclass(frozen=True)
class Training:
    """How a training went.

    Attributes:
        train_loss: mean loss of the last epoch.
        validation: error of each validation, in order.
    """

    train_loss: float
    validation: Sequence[float]

    @classmethod
    def read(cls, path: Path) -> "Training":
        """Read a run's metrics.csv."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return cls(float(rows[-1]["train_loss"]), [float(row["val_mse"]) for row in rows if row["val_mse"]])


def mean_row(rows: Sequence[Row]) -> dict[str, float]:
    """Average mse, r2 and pearson over stacks."""
    return {key: float(np.mean([row[key] for row in rows])) for key in ("mse", "r2", "pearson")}


def judge(network: Sequence[Row], baseline: Sequence[Row], training: Training, blocks: bool) -> list[str]:
    """Say in sentences what was reached.

    Args:
        network: mse, r2 and pearson of each test stack, of the network.
        baseline: likewise of the plain filter.
        training: how the training went.
        blocks: whether the test is a block of a stack that was trained on as well.
    """
    reached, plain = mean_row(network), mean_row(baseline)
    share, plain_share = (f"{100 * max(0.0, row['r2']):.0f} %" for row in (reached, plain))
    numbers = (
        f"The network explains {share} of the target's variance (R2 {reached['r2']:.2f}, r {reached['pearson']:.2f}, "
        f"MSE {reached['mse']:.2f}), a plain filter {plain_share} (R2 {plain['r2']:.2f}, r {plain['pearson']:.2f}, MSE "
        f"{plain['mse']:.2f}), predicting the mean none (R2 0, MSE 1)."
    )
    sentences = [_headline(reached["r2"], plain["r2"]), numbers, _weight(len(network), blocks)]
    return [*sentences, *_advice(reached["r2"], plain["r2"], training)]


def _headline(reached: float, plain: float) -> str:
    if reached < CLEAR:
        return "The marker was not learnt: the prediction is no better than the target's mean."
    if reached < plain + CLEAR:
        return "The network is better than the mean, but no better than a plain filter of the image."
    return "The marker was learnt: the prediction is better than the mean and than a plain filter of the image."


def _weight(stacks: int, blocks: bool) -> str:
    """Say how much the numbers are worth."""
    if blocks:
        return (
            "They come from a block of the only stack, whose other blocks were trained on: on other stacks expect "
            "less; measure with at least one more."
        )
    if stacks == 1:
        return "They come from one stack that the network has not seen: how much stacks differ, they cannot tell."
    return f"They are means over {stacks} stacks that the network has not seen."


def _advice(reached: float, plain: float, training: Training) -> list[str]:
    """Say what would help."""
    validation = training.validation
    falling = len(validation) > 1 and validation[-1] < (1 - STILL_FALLING) * min(validation[:-1])
    advice = []
    if falling:
        advice.append("The validation's error was still falling: train longer with --max_epochs.")
    if training.train_loss < OVERFITTED * validation[-1]:
        advice.append("Training stacks are predicted far better than others: more stacks will help most.")
    if reached < plain + CLEAR and not falling:
        advice.append(
            "Look at the warnings, at the registration and at the pictures: is the structure visible in transmitted "
            "light, and is the target exposed enough?"
        )
    return advice
