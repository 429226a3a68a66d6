"""The notebooks of the docs: they run, and the quick one gives what it shows."""

import ast
from pathlib import Path

import pytest
import torch

from bundle.checkpoint import save_network
from bundle.network import RepMode

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "docs" / "notebooks"
NEW = "new/cell_3.ome.tif"
SMALL = "stacks, shape, start_from, epochs, folder = 4, (16, 48, 64), Path({weights!r}), 1, Path({folder!r})"


def outputs(notebook, kind):
    """What the code cells show of a kind, such as "image/png"."""
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [output.data[kind] for output in shown if kind in output.get("data", {})]


def texts(notebook):
    """The values that the cells show, pictures aside."""
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    values = [output.data for output in shown if output.output_type == "execute_result"]
    return [data["text/plain"] for data in values if set(data) == {"text/plain"}]


@pytest.fixture
def read_and_execute(monkeypatch):
    """Give what reads a notebook, and what executes one."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def execute(notebook):
        nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(ROOT)}}).execute()

    return lambda name: nbformat.read(NOTEBOOKS / name, as_version=4), execute


def test_a_prediction_is_what_the_notebook_shows(read_and_execute):
    read, execute = read_and_execute
    notebook = read("predict.ipynb")
    *shapes, correlations = texts(notebook)
    execute(notebook)
    *found_shapes, found = texts(notebook)
    assert found_shapes == shapes
    assert ast.literal_eval(found) == pytest.approx(ast.literal_eval(correlations), abs=0.02)
    assert len(outputs(notebook, "image/png")) == 1


def test_a_marker_is_added_as_the_notebook_does(read_and_execute, tmp_path):
    read, execute = read_and_execute
    notebook = read("add_a_marker.ipynb")
    torch.manual_seed(0)
    save_network(RepMode(["dna"], base_width=1), tmp_path / "start.pt")
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = SMALL.format(weights=str(tmp_path / "start.pt"), folder=str(tmp_path))
    execute(notebook)
    files, shape, _ = texts(notebook)
    assert ast.literal_eval(files) == [*(f"{kind}/cell_{n}.ome.tif" for kind in ("bf", "gfp") for n in range(3)), NEW]
    assert ast.literal_eval(shape) == ((1, 16, 48, 64), ["my_marker"])
    (report,) = outputs(notebook, "text/markdown")
    assert "| the network |" in report
    assert len(outputs(notebook, "image/png")) == 2
    assert (tmp_path / "my_marker" / "report.md").exists()
