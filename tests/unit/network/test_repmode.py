"""The network: the mathematics of its mixtures, and the plain nets that it specialises to."""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from bundle.network import RepMode, mode_convolution
from bundle.network.description import EXPERTS, MoDEOptions
from bundle.network.experts import make_expert
from bundle.network.gate import TaskBatch
from bundle.network.gatrep import merge_for_one_task, merge_kernels
from bundle.network.mode_convolution import MoDEConvolution

TASKS = ["dna", "tom20", "zo1"]
TWELVE = [f"marker_{index}" for index in range(12)]


def randomised(network: RepMode, seed: int = 0) -> RepMode:
    """Give batch norms and gates the spread of a trained network, and the signal its size at every level."""
    torch.manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]
    for module in network.modules():
        if isinstance(module, MoDEConvolution):
            nn.init.normal_(module.gate.linear.weight, std=2)
    for norm in norms:
        norm.momentum = 1.0
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.normal_(norm.bias, std=0.2)
    images = torch.randn(len(network.tasks), 1, 16, 32, 32, dtype=network.embedding.dtype)
    network.train()(images, torch.arange(len(network.tasks)))
    for norm in norms:
        deviation = norm.running_var.mean().sqrt()
        norm.running_mean += 0.1 * deviation * torch.randn_like(norm.running_mean)
        norm.running_var = deviation.square() * torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
    with torch.no_grad():
        scale = network.eval()(images).std()
        for parameter in [weight for name, weight in network.unet.last.named_parameters() if "gate" not in name]:
            parameter /= scale
    return network


def literal_branch(name: str, weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Each expert as the paper draws it: a convolution, or a mean and then a 1x1x1 convolution."""
    if name.startswith("conv"):
        return F.conv3d(x, weight, padding=weight.shape[-1] // 2)
    size = int(name[-1])
    averaged = F.avg_pool3d(x, size, stride=1, padding=size // 2, count_include_pad=True)
    return F.conv3d(averaged, weight)


@pytest.mark.parametrize("name", EXPERTS)
def test_each_experts_kernel_does_what_its_branch_does(name: str) -> None:
    torch.manual_seed(0)
    expert = make_expert(name, 3, 4).double()
    x = torch.randn(2, 3, 7, 6, 9, dtype=torch.float64)
    kernel = expert.kernel()
    merged = F.conv3d(x, kernel, padding=kernel.shape[-1] // 2)
    torch.testing.assert_close(merged, literal_branch(name, expert.weight, x), rtol=0, atol=1e-12)


def literal_mode(layer: MoDEConvolution, x: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
    """A MoDE convolution without merging: every branch on every sample, weighted by the sample's gate."""
    outputs = []
    for sample, one in zip(x, embedding, strict=True):
        gate = layer.gate(one[None])[0]
        branches = [
            literal_branch(name, expert.weight, sample[None])
            for name, expert in zip(EXPERTS, layer.experts, strict=True)
        ]
        outputs.append(sum(gate[e][None, :, None, None, None] * branch for e, branch in enumerate(branches)))
    return torch.cat(outputs)


def test_the_merged_convolution_is_the_gated_sum_of_its_branches_with_the_same_gradients() -> None:
    torch.manual_seed(0)
    layer = MoDEConvolution(2, 3, task_count=4, options=MoDEOptions()).double()
    nn.init.normal_(layer.gate.linear.weight, std=2)
    x = torch.randn(5, 2, 6, 7, 8, dtype=torch.float64, requires_grad=True)
    counts = [2, 1, 2]
    embedding = torch.eye(4, dtype=torch.float64)[:3]
    weights = torch.randn(5, 3, 6, 7, 8, dtype=torch.float64)
    variables = [x, *layer.parameters()]

    merged = layer(x, TaskBatch(embedding, counts))
    literal = literal_mode(layer, x, embedding.repeat_interleave(torch.tensor(counts), dim=0))
    torch.testing.assert_close(merged, literal, rtol=0, atol=1e-12)
    merged_gradients = torch.autograd.grad((merged * weights).sum(), variables)
    literal_gradients = torch.autograd.grad((literal * weights).sum(), variables)
    for ours, theirs in zip(merged_gradients, literal_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def test_the_merged_kernel_passes_gradcheck() -> None:
    torch.manual_seed(0)
    gate = torch.rand(2, 2, 2, dtype=torch.float64, requires_grad=True)
    kernels = [torch.randn(2, 1, size, size, size, dtype=torch.float64, requires_grad=True) for size in (5, 3)]
    assert torch.autograd.gradcheck(lambda g, a, b: merge_kernels(g, a, b), (gate, *kernels))


@pytest.mark.parametrize("sizes", [(5, 3, 1, 3, 5), (3, 1), (1, 1), (9, 5)])
def test_merging_for_one_task_is_merging_for_several(sizes: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    gate = torch.rand(2, len(sizes), 4)
    kernels = [torch.randn(4, 3, size, size, size) for size in sizes]
    exact = merge_kernels(gate.double(), *(kernel.double() for kernel in kernels))
    for task in range(2):
        merged = merge_for_one_task(gate[task], kernels)
        assert merged.dtype == torch.float32
        torch.testing.assert_close(merged.double(), exact[task], rtol=0, atol=2e-6)  # of up to 10


def test_kernels_are_merged_once_for_each_distinct_task(monkeypatch: pytest.MonkeyPatch) -> None:
    merged_tasks: list[int] = []

    def counting(gate: torch.Tensor, *kernels: torch.Tensor) -> torch.Tensor:
        merged_tasks.append(len(gate))
        return merge_kernels(gate, *kernels)

    monkeypatch.setattr(mode_convolution, "merge_kernels", counting)
    network = RepMode(TASKS, base_width=2).eval()
    network(torch.randn(4, 1, 16, 16, 16), torch.tensor([1, 0, 1, 1]))
    assert merged_tasks == [2] * 19


@pytest.mark.parametrize(("base_width", "parameters"), [(32, 123_877_633), (8, 7_781_617)])
def test_the_parameters_are_as_many_as_the_papers(base_width: int, parameters: int) -> None:
    with torch.device("meta"):
        network = RepMode(TWELVE, base_width=base_width)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_tasks_are_given_by_index_by_name_or_one_for_all() -> None:
    network = randomised(RepMode(TASKS, base_width=2))
    image = torch.randn(2, 1, 16, 16, 32)
    by_index = network(image, torch.tensor([2, 0]))
    assert by_index.shape == image.shape
    torch.testing.assert_close(network(image, ["zo1", "dna"]), by_index)
    torch.testing.assert_close(network(image[:1], "zo1"), by_index[:1])
    torch.testing.assert_close(network(image, 2)[:1], by_index[:1])
    every = network(image)
    assert every.shape == (2, 3, 16, 16, 32)
    torch.testing.assert_close(every[0, 2], by_index[0, 0])
    assert not torch.allclose(every[:, 0], every[:, 1]), "tasks differ only if the gate reads them"


@pytest.mark.parametrize("task", ["dnaa", 3, ["dna", "er"], -1])
def test_an_unknown_task_lists_the_known_ones(task: object) -> None:
    network = RepMode(TASKS, base_width=2)
    with pytest.raises(ValueError, match="choose from dna, tom20, zo1"):
        network(torch.zeros(2, 1, 16, 16, 16), task)


def test_three_tasks_for_two_images_are_refused() -> None:
    with pytest.raises(ValueError, match="2 images"):
        RepMode(TASKS, base_width=2)(torch.zeros(2, 1, 16, 16, 16), torch.tensor([0, 1, 2]))


@pytest.mark.parametrize(("shape", "axis"), [((20, 32, 32), "Z"), ((16, 24, 32), "Y"), ((16, 32, 31), "X")])
def test_a_size_that_does_not_divide_by_16_names_axis_size_and_divisor(shape: tuple[int, ...], axis: str) -> None:
    size = next(size for size in shape if size % 16)
    with pytest.raises(ValueError, match=f"Axis {axis} has the size {size}.*16"):
        RepMode(TASKS, base_width=2)(torch.zeros(1, 1, *shape), 0)


def test_an_image_with_two_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(N, 1, Z, Y, X\)"):
        RepMode(TASKS, base_width=2)(torch.zeros(1, 2, 16, 16, 16), 0)


@pytest.mark.parametrize("tasks", [[], "dna", ["dna", "dna"], [1, 2]])
def test_tasks_that_are_no_list_of_distinct_names_are_refused(tasks: object) -> None:
    with pytest.raises(ValueError, match="name"):
        RepMode(tasks, base_width=2)


def test_the_specialised_net_equals_the_gated_one_in_float32() -> None:
    torch.manual_seed(0)  # rounding in the gated network alone comes to 1e-5 with some weights
    network = randomised(RepMode(TWELVE, base_width=8))
    image = torch.randn(1, 1, 16, 32, 32)
    tasks = ["marker_7", "marker_0"]
    with torch.no_grad():
        gated = torch.cat([network(image, task) for task in tasks], dim=1)
        plain = network.specialize(tasks)(image)
    assert gated.std() > 0.1, "a comparison of vanishing numbers would show nothing"
    assert (plain - gated).abs().max() <= 1e-5


def test_the_specialised_net_equals_the_gated_one_in_float64() -> None:
    network = randomised(RepMode(TASKS, base_width=4).double())
    image = torch.randn(2, 1, 16, 32, 16, dtype=torch.float64)
    with torch.no_grad():
        gated = network(image)
        plain = network.specialize()(image)
    assert gated.std() > 0.1
    assert (plain - gated).abs().max() <= 1e-9


def test_a_specialised_net_holds_no_experts_and_leaves_its_network_alone() -> None:
    network = randomised(RepMode(TASKS, base_width=2))
    before = copy.deepcopy(network.state_dict())
    plain = network.specialize("tom20")
    kinds = {type(module) for module in plain.modules() if not list(module.children())}
    assert kinds == {nn.Conv3d, nn.ConvTranspose3d, nn.ReLU}
    for parameter in plain.parameters():
        nn.init.zeros_(parameter)
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_specialising_again_chooses_among_the_tasks() -> None:
    plain = randomised(RepMode(TASKS, base_width=2)).specialize()
    image = torch.randn(1, 1, 16, 16, 16)
    chosen = plain.specialize(["zo1"])
    assert chosen.tasks == ["zo1"]
    assert plain.tasks == TASKS
    assert torch.equal(chosen(image), plain(image)[:, 2:])
    with pytest.raises(ValueError, match="choose from zo1"):
        chosen.specialize("dna")


def test_a_network_in_training_mode_is_not_specialised() -> None:
    with pytest.raises(RuntimeError, match="eval"):
        RepMode(TASKS, base_width=2).specialize()


ABLATIONS = [
    {"experts": ("conv5", "conv1")},
    {"experts": ("conv3", "conv1", "mean3")},
    {"experts": ("mean3", "mean5")},
    {"mean_sizes": (1, 1)},
    {"mean_sizes": (5, 5)},
    {"scope": "encoder"},
    {"scope": "decoder"},
    {"gate_activation": "sigmoid"},
    {"gate_layers": 2},
    {"task_embedding": "gaussian"},
]


@pytest.mark.parametrize("options", ABLATIONS, ids=str)
def test_each_ablation_trains_and_specialises(options: dict[str, object]) -> None:
    network = randomised(RepMode(TASKS, base_width=2, **options).double())
    image = torch.randn(2, 1, 16, 16, 16, dtype=torch.float64)
    trained = copy.deepcopy(network).train()
    trained(image, torch.tensor([0, 2])).square().mean().backward()
    assert all(parameter.grad is not None for parameter in trained.parameters())
    with torch.no_grad():
        assert (network.specialize()(image) - network(image)).abs().max() <= 1e-9


def test_the_ablations_are_different_networks() -> None:
    image = torch.randn(1, 1, 16, 16, 16)
    outputs = []
    for options in [{}, *ABLATIONS]:
        torch.manual_seed(0)
        with torch.no_grad():
            outputs.append(RepMode(TASKS, base_width=2, **options).eval()(image, 0))
    assert all(not torch.equal(one, other) for one, other in itertools.combinations(outputs, 2))


@pytest.mark.parametrize(
    "options",
    [{"experts": ("conv7",)}, {"experts": ()}, {"scope": "middle"}, {"gate_activation": "tanh"}, {"gate_layers": 3},
     {"task_embedding": "word"}],
    ids=str,
)  # fmt: skip
def test_an_unknown_option_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"choose from|1 or 2"):
        RepMode(TASKS, base_width=2, **options)


def test_torchscript_gives_the_same() -> None:
    network = randomised(RepMode(TASKS, base_width=2))
    image = torch.randn(2, 1, 16, 16, 16)
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(torch.jit.script(network)(image), expected)  # the plain net of all tasks
        torch.testing.assert_close(torch.jit.script(network.specialize())(image), expected)
