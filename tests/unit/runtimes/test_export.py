"""Exported nets: each file read back gives what the gated network gives, and nothing is overwritten unasked."""

import copy
import json
import math
from pathlib import Path

import pytest
import torch

import bundle.commands.export_tasks as script
from bundle.checkpoint import load_network, save_network
from bundle.commands.export_tasks import export_tasks
from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.runtimes import FORMATS, Engine, Format, check, formats, load_checkpoint

TASKS = ["dna", "er"]
FLOATS = [name for name, form in FORMATS.items() if form.precision == "fp32"]


@pytest.fixture(scope="module")
def checkpoint(network: RepMode, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.pt"
    save_network(network, path)
    return path


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return torch.randn(1, 1, 32, 64, 64, generator=torch.Generator().manual_seed(0))


def skip_without(form: Format) -> None:
    for package in form.packages:
        pytest.importorskip(package)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_read_back_gives_what_the_network_gives(
    network: RepMode, image: torch.Tensor, tmp_path: Path, name: str
) -> None:
    form = FORMATS[name]
    skip_without(form)
    tasks = ["er", "dna"] if name != "onnx" else ["er"]  # whose exporter takes seconds for each
    path = tmp_path / f"tasks{form.ending}"
    net = network.specialize(tasks)
    file = check.export_file(network, net, form, path, image, calibration=[image])
    assert sorted(tmp_path.iterdir()) == sorted(form.files(path))
    assert file.size == sum(part.stat().st_size for part in tmp_path.iterdir())
    assert file.parameters == sum(weight.numel() for weight in net.parameters())
    assert file.correlation > form.least_correlation
    loaded = load_checkpoint(path)
    assert (loaded.tasks, loaded.spacing, loaded.zscore_order) == (tasks, (0.3, 0.2, 0.2), "before")
    assert loaded.target_statistics == {"er": (100.0, 20.0)}
    window = image[..., :32, :32, :48]
    prediction = loaded.specialize("er")(torch.cat([window, -window]))
    expected = network(torch.cat([window, -window]), "er")
    tolerance = 1e-4 if form.precision == "fp32" else 0.5 * float(expected.std())
    torch.testing.assert_close(prediction, expected, rtol=0, atol=tolerance)
    if isinstance(loaded, Engine):
        assert loaded.precision == form.precision


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].module != "bundle.runtimes.state_dict"])
def test_a_damaged_file_is_named(tmp_path: Path, name: str) -> None:
    form = FORMATS[name]
    skip_without(form)
    path = tmp_path / f"tasks{form.ending}"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(BundleError, match=r"tasks.* that this bundle wrote.*; export it again"):
        load_checkpoint(path)


@pytest.mark.parametrize("ending", [".ts", ".xml", ".pt"])
def test_a_missing_file_is_named(tmp_path: Path, ending: str) -> None:
    with pytest.raises(BundleError, match=f"There is no checkpoint .*weights{ending}"):
        load_checkpoint(tmp_path / f"weights{ending}")


def folder_content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["state_dict", "openvino"])
def test_an_export_that_fails_leaves_the_good_file_of_that_name(
    network: RepMode, image: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    form = FORMATS[name]
    skip_without(form)
    path = tmp_path / f"er{form.ending}"
    check.export_file(network, network.specialize("er"), form, path, image)
    before = folder_content(tmp_path)
    assert len(before) == len(form.files(path))
    other = network.specialize("dna")

    load_program = Format.load_program
    with monkeypatch.context() as patched:
        patched.setattr(Format, "load_program", lambda *given: lambda window: load_program(*given)(window) + 1)
        with pytest.raises(BundleError, match=r"is not written, since it would differ from the gated network by 1 "):
            check.export_file(network, other, form, path, image, overwrite=True)
    assert folder_content(tmp_path) == before
    with monkeypatch.context() as patched:
        patched.setattr(Format, "read", lambda *_: network.specialize("er"))
        with pytest.raises(BundleError, match="does not hold the net that was written"):
            check.export_file(network, other, form, path, image, overwrite=True)
    assert folder_content(tmp_path) == before
    check.export_file(network, other, form, path, image, overwrite=True)
    assert load_checkpoint(path).tasks == ["dna"]
    assert folder_content(tmp_path).keys() == before.keys()


def test_an_export_that_is_off_leaves_nothing(
    network: RepMode, image: torch.Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Format, "load_program", lambda *_: lambda window: window)
    with pytest.raises(BundleError, match="is not written"):
        check.export_file(network, network.specialize("er"), FORMATS["state_dict"], tmp_path / "er.pt", image)
    assert list(tmp_path.iterdir()) == []


def test_the_fingerprint_of_a_graph_is_of_its_weights_too(network: RepMode, tmp_path: Path) -> None:
    form = FORMATS["openvino"]
    skip_without(form)
    other = copy.deepcopy(network)
    other.unet.last.experts[0].weight *= 2
    for name, net in (("a", network), ("b", other)):
        form.write(net.specialize("er"), tmp_path / f"{name}.xml")
    first = load_checkpoint(tmp_path / "a.xml")
    assert first.specialize("er").fingerprint == first.fingerprint
    (tmp_path / "b.xml").write_bytes((tmp_path / "a.xml").read_bytes())
    assert load_checkpoint(tmp_path / "b.xml").fingerprint != first.fingerprint
    (tmp_path / "b.bin").write_bytes((tmp_path / "a.bin").read_bytes())
    assert load_checkpoint(tmp_path / "b.xml").fingerprint == first.fingerprint


def test_the_script_writes_a_net_a_task_and_says_how_they_compare(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    export_tasks(str(tmp_path / "out"), formats=["state_dict", "torchscript"], checkpoint=str(checkpoint))
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["dna.pt", "dna.ts", "er.pt", "er.ts", "exports.json"]
    rows = json.loads((tmp_path / "out" / "exports.json").read_text())
    assert [row["path"] for row in rows] == ["dna.pt", "dna.ts", "er.pt", "er.ts"]
    assert all(row["max_difference"] < 1e-4 and row["milliseconds"] > 0 for row in rows)
    assert f"{rows[0]['parameters']:,}" in caplog.text
    image = torch.randn(1, 1, 16, 32, 16)
    expected = load_network(checkpoint)(image, "er")
    script = torch.jit.load(tmp_path / "out" / "er.ts")
    torch.testing.assert_close(script(image), expected, rtol=0, atol=1e-5)


def test_one_net_of_all_tasks_that_is_not_overwritten_unasked(checkpoint: Path, tmp_path: Path) -> None:
    options = {"formats": "state_dict", "together": True, "checkpoint": str(checkpoint)}
    export_tasks(str(tmp_path), **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["exports.json", "tasks.pt"]
    assert load_network(tmp_path / "tasks.pt").tasks == TASKS
    with pytest.raises(BundleError, match="overwrite"):
        export_tasks(str(tmp_path), **options)
    export_tasks(str(tmp_path), **options, overwrite=True)


def test_eight_bit_integers_are_calibrated_on_given_stacks(checkpoint: Path, tmp_path: Path) -> None:
    skip_without(FORMATS["openvino_int8"])
    with pytest.raises(BundleError, match="needs stacks to calibrate it on"):
        export_tasks(str(tmp_path / "out"), formats="openvino_int8", checkpoint=str(checkpoint))
    export_tasks(
        str(tmp_path / "out"),
        tasks="er",
        formats="openvino_int8",
        calibration=str(script.EXAMPLE),
        checkpoint=str(checkpoint),
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["er_int8.bin", "er_int8.xml", "exports.json"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tasks": "actin"}, "choose from dna, er"),
        ({"formats": ["coreml"]}, "no format 'coreml'; give --formats some of state_dict"),
    ],
)
def test_what_is_unknown_is_refused_before_anything_is_written(
    checkpoint: Path, tmp_path: Path, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(BundleError, match=sentence):
        export_tasks(str(tmp_path / "out"), checkpoint=str(checkpoint), **options)
    assert not (tmp_path / "out").exists()


def test_a_compact_net_and_a_network_in_training_are_refused(
    network: RepMode, checkpoint: Path, image: torch.Tensor, tmp_path: Path
) -> None:
    save_network(network.specialize("er"), tmp_path / "er.pt")
    with pytest.raises(BundleError, match="compact net already"):
        export_tasks(str(tmp_path / "again"), checkpoint=str(tmp_path / "er.pt"))
    training = load_network(checkpoint).train()
    with pytest.raises(BundleError, match=r"in training mode cannot be exported"):
        check.export_file(training, network.specialize("er"), FORMATS["state_dict"], tmp_path / "x.pt", image)
    assert not (tmp_path / "x.pt").exists()


def test_weights_for_other_tasks_are_refused(network: RepMode, image: torch.Tensor, tmp_path: Path) -> None:
    other = RepMode(["zo1"], base_width=1).eval().specialize()
    with pytest.raises(BundleError, match="choose from dna, er"):
        check.export_file(network, other, FORMATS["state_dict"], tmp_path / "x.pt", image)
    assert not (tmp_path / "x.pt").exists()


def test_a_missing_package_is_named_with_its_install_command(
    network: RepMode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda _: None)
    with pytest.raises(BundleError, match=r'openvino_int8 needs openvino; pip install -e "\.\[openvino\]"'):
        FORMATS["openvino_int8"].write(network.specialize("er"), tmp_path / "er_int8.xml")


def test_float_formats_may_be_off_by_rounding_alone() -> None:
    assert all(FORMATS[name].most_difference <= 1e-4 for name in FLOATS)
    assert [form.name for form in FORMATS.values() if math.isinf(form.most_difference)] == ["openvino_int8"]
