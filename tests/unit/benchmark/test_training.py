"""What the benchmark of training measures."""

import pytest

from bundle.benchmark.training import VARIANTS, Trainer, count_operations, prepare_gradients, prepare_step

CASE = {"base_width": 2, "shape": (16, 32, 48), "tasks": (3, 1)}


def test_all_variants_take_the_same_first_step() -> None:
    losses = {str(variant): prepare_step(variant, **CASE)()[0] for variant in VARIANTS}
    literal = losses["literal fp32"]
    assert losses["repmode fp32"] == pytest.approx(literal, rel=1e-6)
    assert losses["repmode bf16"] == pytest.approx(literal, rel=1e-2)
    errors = prepare_gradients(VARIANTS, **CASE)()
    assert errors["literal fp32"] == 0
    assert 0 < errors["repmode fp32"] < 1e-4
    assert 1e-4 < errors["repmode bf16"] < 1


def test_steps_learn() -> None:
    trainer = Trainer(VARIANTS[1], **CASE)
    before = [parameter.clone() for parameter in trainer.network.parameters()]
    trainer.step()
    losses = trainer.step()
    assert losses[1] < losses[0]
    assert all((new != old).any() for new, old in zip(trainer.network.parameters(), before, strict=True))


def test_operations_grow_with_the_batch_and_count_the_backward_pass() -> None:
    one = count_operations(2, (16, 16, 16), samples=1)
    assert count_operations(2, (16, 16, 16), samples=3) == 3 * one
    last_convolution = 3 * 2 * 2 * 5**3 * 16**3  # passes, an addition each, input channels, kernel, voxels
    assert one > 5 * last_convolution
