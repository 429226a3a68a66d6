"""Compact nets: each file read back gives what the gated network gives, and nothing is overwritten unasked."""

from pathlib import Path

import pytest
import torch

from bundle import export
from bundle.checkpoint import load_network, save_network
from bundle.errors import BundleError
from bundle.networks import RepMode
from scripts.export_tasks import export_tasks


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_network(RepMode(["dna", "er"], base_width=2), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_each_task_gets_a_state_dict_and_a_torchscript_file(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    export_tasks(str(tmp_path / "out"), tasks="er", checkpoint=str(checkpoint))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["er.pt", "er.ts"]
    image = torch.randn(1, 1, 16, 32, 16)
    expected = load_network(checkpoint)(image, "er")
    compact = load_network(tmp_path / "out" / "er.pt")
    torch.testing.assert_close(compact(image), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.jit.load(tmp_path / "out" / "er.ts")(image), expected, rtol=0, atol=1e-5)
    parameters = sum(parameter.numel() for parameter in compact.parameters())
    assert f"{parameters:,}" in caplog.text


def test_all_tasks_are_exported_by_default_and_not_overwritten_unasked(checkpoint: Path, tmp_path: Path) -> None:
    export_tasks(str(tmp_path / "out"), checkpoint=str(checkpoint))
    assert len(list((tmp_path / "out").iterdir())) == 4
    with pytest.raises(BundleError, match="overwrite"):
        export_tasks(str(tmp_path / "out"), checkpoint=str(checkpoint))
    export_tasks(str(tmp_path / "out"), checkpoint=str(checkpoint), overwrite=True)


def test_an_unknown_task_and_a_compact_net_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="choose from dna, er"):
        export_tasks(str(tmp_path / "out"), tasks="actin", checkpoint=str(checkpoint))
    assert not (tmp_path / "out").exists()
    export_tasks(str(tmp_path / "out"), tasks="er", checkpoint=str(checkpoint))
    with pytest.raises(BundleError, match="compact net already"):
        export_tasks(str(tmp_path / "again"), checkpoint=str(tmp_path / "out" / "er.pt"))


def test_an_export_that_differs_is_refused(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "load_network", lambda _: lambda image: image + 1)
    with pytest.raises(BundleError, match="differs from the gated network"):
        export_tasks(str(tmp_path / "out"), tasks="er", checkpoint=str(checkpoint))
