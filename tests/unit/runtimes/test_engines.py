"""Engines: each gives what the gated network gives, at any size; what cannot be is said in one sentence."""

import logging

import pytest
import torch
from monai.engines import SupervisedEvaluator

from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.runtimes import ENGINES, Engine, make, make_engine

TASKS = ["dna", "er"]
SIZES = [(16, 32, 48), (32, 16, 16)]
TOLERANCES = {"fp32": 1e-5, "bf16": 0.05}


@pytest.fixture(scope="module")
def images() -> list[torch.Tensor]:
    return [torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0)) for size in SIZES]


@pytest.mark.parametrize(
    ("engine", "precision", "tasks"),
    [
        ("torch", "fp32", ["er", "dna"]),
        ("torch", "bf16", ["er", "dna"]),
        ("openvino", "fp32", ["er", "dna"]),
        ("openvino", "bf16", ["er", "dna"]),
        ("onnx", "fp32", ["er"]),  # ONNX's exporter takes seconds for each
    ],
)
def test_an_engine_gives_what_the_network_gives(
    network: RepMode, images: list[torch.Tensor], engine: str, precision: str, tasks: list[str]
) -> None:
    pytest.importorskip(ENGINES[engine].package)
    try:
        made = make_engine(network.specialize(tasks), engine, precision)
    except BundleError:
        pytest.skip("this processor has no bfloat16")
    assert (made.name, made.precision, made.tasks, made.spacing) == (engine, precision, tasks, (0.3, 0.2, 0.2))
    assert made.target_statistics == {"er": (100.0, 20.0)}
    assert made.zscore_order == network.zscore_order
    for image in images:
        expected = torch.cat([network(image, task) for task in tasks], dim=1)
        prediction = made(image)
        assert prediction.dtype == torch.float32
        torch.testing.assert_close(prediction, expected, rtol=0, atol=TOLERANCES[precision])


def test_eight_bit_integers_follow_the_network(
    network: RepMode, images: list[torch.Tensor], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("nncf")
    made = make_engine(network.specialize("er"), "openvino", "int8", calibration=[image[:1] for image in images])
    for image in images:
        pair = torch.stack([made(image).flatten(), network(image, "er").flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.98
        assert not torch.allclose(*pair, rtol=1e-4)
    logging.getLogger("bundle").warning("still heard")
    assert "still heard" in caplog.text


def test_a_net_and_its_engine_answer_later_what_they_answered_before(
    network: RepMode, images: list[torch.Tensor]
) -> None:
    net = network.specialize()
    made = make_engine(net)
    first = made(images[0])
    kept = first.clone()
    made(images[0] + 1)
    assert torch.equal(first, kept)
    assert all(weight.dtype == torch.float32 for weight in net.parameters())


def test_some_of_an_engines_tasks_can_be_chosen(network: RepMode, images: list[torch.Tensor]) -> None:
    made = make_engine(network.specialize(), "torch")
    assert made.specialize() is made
    chosen = made.specialize("er")
    assert (chosen.tasks, chosen.description.tasks) == (["er"], ("er",))
    assert torch.equal(chosen(images[0]), made(images[0])[:, 1:])
    with pytest.raises(BundleError, match="choose from dna, er"):
        made.specialize("actin")


def test_an_engine_lives_in_monais_evaluator(network: RepMode, images: list[torch.Tensor]) -> None:
    made = make_engine(network.specialize())
    evaluator = SupervisedEvaluator(
        device=torch.device("cpu"), val_data_loader=[{"image": images[0], "label": images[0]}], network=made
    )
    evaluator.run()
    expected = network(images[0])
    torch.testing.assert_close(torch.stack(list(evaluator.state.output[0]["pred"])), expected[0], rtol=0, atol=1e-5)


def test_auto_takes_openvino_on_the_cpu_if_it_is_installed(network: RepMode, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = "openvino" if ENGINES["openvino"].is_installed() else "torch"
    assert make_engine(network.specialize()).name == installed
    monkeypatch.setattr(make, "find_spec", lambda _: None)
    assert make_engine(network.specialize()).name == "torch"
    assert make.choose_engine("auto", torch.device("cuda")) == "torch"
    assert make.choose_precision("auto", torch.device("cuda")) == "fp16"


@pytest.mark.parametrize(
    ("engine", "precision", "device", "sentence"),
    [
        ("tensorrt", "auto", "cpu", "no engine 'tensorrt'; give --engine one of auto, torch, openvino, onnx"),
        ("auto", "fp8", "cpu", "no precision 'fp8'; give --precision one of auto, fp32, bf16, fp16, int8"),
        ("openvino", "auto", "cuda", "cannot use the device cuda, only cpu; give --engine torch"),
        ("torch", "fp16", "cpu", "cannot compute in fp16 on the device cpu; give --precision one of fp32, bf16"),
        ("torch", "int8", "cpu", "cannot compute in int8"),
        ("openvino", "int8", "cpu", "needs stacks to calibrate it on; give --calibration"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    network: RepMode, engine: str, precision: str, device: str, sentence: str
) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    with pytest.raises(BundleError, match=sentence.replace("(", r"\(")):
        make_engine(network.specialize(), engine, precision, device)


def test_a_missing_runtime_is_named_with_its_install_command(network: RepMode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "find_spec", lambda _: None)
    with pytest.raises(BundleError, match=r'pip install -e "\.\[onnx\]"'):
        make_engine(network.specialize(), "onnx")


def test_the_engine_of_an_exported_net_is_taken_as_it_is_or_refused(network: RepMode) -> None:
    exported: Engine = make_engine(network.specialize(), "torch", "fp32")
    assert make_engine(exported) is exported
    with pytest.raises(BundleError, match="exported net for the engine torch, not onnx; leave --engine out"):
        make_engine(exported, "onnx" if ENGINES["onnx"].is_installed() else "openvino")
    exported.name = "onnx"
    with pytest.raises(BundleError, match="onnx, which cannot use the device cuda; give --device cpu"):
        make_engine(exported, device="cuda")
    exported.name = "torch"
    with pytest.raises(BundleError, match="exported net for the precision fp32, not bf16"):
        make_engine(exported, "torch", "bf16")


@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_stacks_for_a_calibration_that_is_not_made_are_told(network, caplog, precision):
    make_engine(network.specialize(), "torch", precision)
    assert not caplog.messages
    make_engine(network.specialize(), "torch", precision, calibration=[torch.zeros(1, 1, 16, 16, 16)])
    assert "--calibration are not used" in caplog.text
