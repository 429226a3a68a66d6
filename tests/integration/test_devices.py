"""A GPU gives what the CPU gives; without one, the CPU runs the same lines: pytest -m cuda runs the GPU's alone."""

import numpy as np
import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import nn

from bundle import Predictor
from bundle.checkpoint import save_network
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.runtimes.pytorch import TorchEngine
from bundle.windows.inferer import WindowInferer
from bundle.windows.memory import free_memory
from bundle.windows.memory_aware_inferer import MemoryAwareInferer
from tests.networks import that_saw_images

TASKS = ["dna", "er"]
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
GPU = pytest.param("cuda", marks=[pytest.mark.cuda, NO_GPU])
on_each_device = pytest.mark.parametrize("device", ["cpu", GPU])
in_each_precision = pytest.mark.parametrize(
    ("precision", "tf32", "tolerance", "gradient_tolerance"),  # in standard deviations, and in lengths
    [("fp32", False, 1e-4, 1e-3), ("fp32", True, 5e-3, 0.03), ("fp16", True, 0.02, 0.2), ("bf16", True, 0.1, 0.6)],
)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return that_saw_images(RepMode(TASKS, base_width=2, spacing=(0.3, 0.2, 0.2)))


@pytest.fixture(scope="module")
def image():
    return torch.randn(2, 1, 16, 16, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _settings_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", torch.backends.cudnn.allow_tf32)


def assert_alike(found, expected, tolerance):
    """The largest difference is below a share of the standard deviation, of each channel."""
    assert found.shape == expected.shape
    for channel in range(expected.shape[1]):
        difference = (found[:, channel].cpu() - expected[:, channel]).abs().max()
        assert difference < tolerance * expected[:, channel].std()


@on_each_device
@in_each_precision
def test_an_engine_gives_what_the_network_gives_on_the_cpu(
    network, image, device, precision, tf32, tolerance, gradient_tolerance
):
    del gradient_tolerance  # of a training step
    torch.backends.cudnn.allow_tf32 = tf32
    engine = TorchEngine.make(network.specialize(TASKS), precision, torch.device(device))
    with torch.no_grad():
        found = engine(image.to(device))
        expected = torch.cat([network(image, task) for task in TASKS], dim=1)
    assert (found.device.type, found.dtype) == (device, torch.float32)
    assert_alike(found, expected, tolerance)


def two_steps(device, precision):
    """Gradients of the first step of a training, and the losses of two, as MONAI's trainer takes them."""
    torch.manual_seed(2)
    network = RepMode([*TASKS, "golgi"], base_width=2).to(device)
    image, target = torch.randn(2, 3, 1, 16, 32, 32).to(device)
    task = torch.tensor([2, 0, 1], device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler(device, enabled=precision == "fp16")
    losses, gradients = [], []
    for _ in range(2):
        optimizer.zero_grad()
        with torch.autocast(device, DTYPES[precision], enabled=precision != "fp32"):
            prediction = network(image, task=task)
        loss = nn.functional.mse_loss(prediction.float(), target)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        gradients.append(torch.cat([parameter.grad.flatten().cpu() for parameter in network.parameters()]))
        scaler.step(optimizer)
        scaler.update()
        losses.append(float(loss))
    return gradients[0], losses


@pytest.fixture(scope="module")
def expected_steps():
    return two_steps("cpu", "fp32")


@on_each_device
@in_each_precision
def test_a_training_step_is_that_of_the_cpu(expected_steps, device, precision, tf32, tolerance, gradient_tolerance):
    torch.backends.cudnn.allow_tf32 = tf32
    gradient, losses = two_steps(device, precision)
    expected, expected_losses = expected_steps
    assert (gradient - expected).norm() < gradient_tolerance * expected.norm()
    assert expected_losses[1] < 0.98 * expected_losses[0]
    assert losses == pytest.approx(expected_losses, rel=tolerance / 10)


@pytest.fixture(scope="module")
def checkpoint(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(network, path)
    return path


@pytest.mark.parametrize(
    ("device", "precision", "tolerance"),
    [
        ("cpu", "fp32", 1e-4),
        *(
            pytest.param("cuda", precision, tolerance, marks=GPU.marks)
            for precision, tolerance in (("fp32", 5e-3), ("fp16", 0.03), ("bf16", 0.2))
        ),
    ],
)
@pytest.mark.parametrize("knobs", [{"views": 2}, {"adapt": True, "sw_batch_size": 2}])
def test_a_stack_is_predicted_as_on_the_cpu(checkpoint, device, precision, tolerance, knobs):
    array = np.random.default_rng(3).normal(1000, 60, (16, 32, 40)).astype(np.float32)
    options = {"spacing": [0.3, 0.2, 0.2], "engine": "torch", "progress": False, "roi_size": [16, 32, 32], **knobs}
    expected, found = (
        Predictor(checkpoint, ["dna"], device=where, precision=how, **options).predict(array).array
        for where, how in (("cpu", "fp32"), (device, precision))
    )
    assert_alike(torch.from_numpy(found)[None], torch.from_numpy(expected)[None], tolerance)


class OnCard(torch.Tensor):
    """A tensor that says it is on a card, wherever it is."""

    is_cuda = True


@on_each_device
@pytest.mark.parametrize("failures", [0, 1, 2])
def test_a_prediction_that_does_not_fit_is_put_together_elsewhere(network, device, monkeypatch, failures):
    """Whole on the device, in parts, and in the computer's memory: MONAI's ladder."""
    image = torch.randn(2, 1, 16, 24, 32, generator=torch.Generator().manual_seed(4))
    engine = TorchEngine.make(network.specialize("dna"), "fp32", torch.device(device))
    stitch, tried = SlidingWindowInferer.__call__, []

    def small_card(self, *args, buffer_steps, **kwargs):
        tried.append(buffer_steps)
        if len(tried) <= failures:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return stitch(self, *args, buffer_steps=buffer_steps, **kwargs)

    with torch.no_grad():
        expected = WindowInferer((16, 16, 16))(image, network.specialize("dna"))
        monkeypatch.setattr(SlidingWindowInferer, "__call__", small_card)
        inferer = WindowInferer((16, 16, 16), sw_device=device)
        found = inferer(image.to(device).as_subclass(OnCard), engine).as_subclass(torch.Tensor)
    assert len(tried) == failures + 1
    assert found.device.type == ("cpu" if failures == 2 else device)
    assert_alike(found, expected, 5e-3)


@on_each_device
def test_memory_that_really_runs_out_is_a_sentence(device):
    assert free_memory(device) > 0
    inferer = MemoryAwareInferer(1, roi_size=16, device=device)
    with pytest.raises(BundleError, match=r"Memory ran out at windows of \[16, 16, 16\]"):
        inferer(torch.zeros(1, 1, 16, 16, 16, device=device), lambda _: torch.empty(2**50, device=device))
    huge = MemoryAwareInferer(1e12, roi_size=16, device=device)
    with pytest.raises(BundleError, match="GB are free"):
        huge.fit((16, 16, 16))


@pytest.mark.parametrize(
    ("device", "backend"), [("cpu", "aot_eager"), pytest.param("cuda", "inductor", marks=GPU.marks)]
)
def test_a_compiled_net_gives_what_the_network_gives(network, image, device, backend):
    compiled = torch.compile(network.specialize("er").to(device), backend=backend)
    with torch.no_grad():
        assert_alike(compiled(image.to(device)), network(image, "er"), 5e-3)


@pytest.mark.parametrize(
    ("device", "backend"),
    [pytest.param("cpu", "aot_eager", marks=pytest.mark.soak), pytest.param("cuda", "inductor", marks=GPU.marks)],
)
def test_a_compiled_network_is_trained_as_it_is(image, device, backend):
    network = RepMode(TASKS, base_width=1).to(device)
    gradients = []
    for each in (network, torch.compile(network, backend=backend)):
        network.zero_grad()
        each(image.to(device), task=torch.tensor([1, 0], device=device)).square().mean().backward()
        gradients.append(torch.cat([parameter.grad.flatten().cpu() for parameter in network.parameters()]))
    assert (gradients[1] - gradients[0]).norm() < 0.02 * gradients[0].norm()
