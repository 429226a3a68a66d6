"""The Model Zoo's gates, offline, on the bundle's own configs and a small checkpoint."""

from pathlib import Path

import onnxruntime
import pytest
import torch
from monai.bundle import ConfigParser, ckpt_export, onnx_export, verify_metadata, verify_net_in_out

import bundle
from bundle.checkpoint import load_network, save_network
from bundle.network import RepMode

ROOT = Path(__file__).parents[2]
METADATA = ROOT / "configs" / "metadata.json"
INFERENCE = ROOT / "configs" / "inference.yaml"
SCHEMA = ROOT.parent / "shared" / "zoo" / "meta_schema_20240725.json"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("models") / "model.pt"
    save_network(RepMode(["dna", "zo1"], base_width=2), path)
    return path


@pytest.fixture(scope="module")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle's metadata, for two tasks."""
    parser = ConfigParser(ConfigParser.load_config_file(METADATA))
    parser["network_data_format"]["outputs"]["pred"]["num_channels"] = 2
    path = tmp_path_factory.mktemp("configs") / "metadata.json"
    ConfigParser.export_config_file(parser.get(), path)
    return path


@pytest.mark.skipif(not SCHEMA.is_file(), reason="the zoo's schema is not here")
def test_the_metadata_follow_the_zoos_schema(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_bytes(SCHEMA.read_bytes())
    verify_metadata(meta_file=str(METADATA), filepath=str(schema))
    incomplete = ConfigParser.load_config_file(METADATA)
    del incomplete["network_data_format"]
    ConfigParser.export_config_file(incomplete, tmp_path / "metadata.json")
    with pytest.raises(ValueError, match="network_data_format"):
        verify_metadata(meta_file=str(tmp_path / "metadata.json"), filepath=str(schema))


def test_the_metadata_name_the_tasks_of_the_shipped_weights_in_their_order() -> None:
    output = ConfigParser.load_config_file(METADATA)["network_data_format"]["outputs"]["pred"]
    tasks = load_network(ROOT / "models" / "model.pt").tasks
    assert list(output["channel_def"].values()) == tasks
    assert output["num_channels"] == len(tasks)


def test_the_version_is_the_same_everywhere() -> None:
    content = ConfigParser.load_config_file(METADATA)
    assert content["version"] == bundle.__version__
    assert bundle.__version__ in content["changelog"]
    assert f"## {bundle.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"version: {bundle.__version__}" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


def test_the_network_takes_and_gives_what_the_metadata_say(checkpoint: Path, metadata: Path) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(metadata),
        config_file=str(INFERENCE),
        device="cpu",
        n=1,
        checkpoint=str(checkpoint),
    )


def test_monais_torchscript_export_gives_what_the_network_gives(
    checkpoint: Path, metadata: Path, tmp_path: Path
) -> None:
    ckpt_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(checkpoint),
        meta_file=str(metadata),
        config_file=str(INFERENCE),
        key_in_ckpt="",
        input_shape=[1, 1, 16, 16, 16],
        checkpoint=str(checkpoint),
    )
    image = torch.randn(1, 1, 16, 32, 16)
    torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(image), load_network(checkpoint)(image))


def test_monais_onnx_export_gives_what_the_network_gives(metadata: Path, tmp_path: Path) -> None:
    checkpoint = tmp_path / "model.pt"
    save_network(RepMode(["dna"], base_width=2), checkpoint)  # one task: it writes out the network of each
    onnx_export(
        net_id="network_def",
        filepath=str(tmp_path / "model.onnx"),
        ckpt_file=str(checkpoint),
        meta_file=str(metadata),
        config_file=str(INFERENCE),
        key_in_ckpt="",
        input_shape=[1, 1, 16, 16, 32],
        checkpoint=str(checkpoint),
    )
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    image = torch.randn(1, 1, 16, 16, 32)
    (prediction,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    torch.testing.assert_close(torch.from_numpy(prediction), load_network(checkpoint)(image), rtol=1e-4, atol=1e-5)
