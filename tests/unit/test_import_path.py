"""A config makes its own bundle importable, and says so where another package has the name already."""

import runpy
import shutil
import sys
import types
from pathlib import Path

import pytest
from monai.bundle import ConfigWorkflow

import bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Run the file in a copy of the bundle whose `__init__.py` is as given, beside a loaded `bundle`."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def run(loaded, version="0.0"):
        folder = tmp_path / "copy" / "bundle"
        folder.mkdir(parents=True)
        shutil.copy(ROOT / "bundle" / "import_path.py", folder)
        (folder / "__init__.py").write_text(version)
        if loaded is None:
            monkeypatch.delitem(sys.modules, "bundle")
        else:
            monkeypatch.setitem(sys.modules, "bundle", loaded)
        runpy.run_path(str(folder / "import_path.py"))["make_importable"]()
        return folder

    return run


def another(folder):
    loaded = types.ModuleType("bundle")
    loaded.__path__ = [str(folder)]
    return loaded


def test_the_bundle_comes_first_where_none_is_loaded(start):
    folder = start(None)
    assert sys.path[0] == str(folder.parent)


def test_a_copy_of_the_same_version_serves_as_well(start):
    before = list(sys.path)
    start(bundle, version=(ROOT / "bundle" / "__init__.py").read_text(encoding="utf-8"))
    assert sys.path == before


def test_another_package_or_version_is_an_error_that_names_both(start, tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(
        ImportError, match=rf"'bundle' of {tmp_path}, which is not the bundle in {tmp_path / 'copy'}; run"
    ):
        start(another(tmp_path / "other"))


def test_every_config_says_so_before_anything_of_it_is_used(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "bundle", another(tmp_path))
    for name in ("inference", "evaluate", "train"):
        workflow = ConfigWorkflow(str(ROOT / "configs" / f"{name}.yaml"), workflow_type=None, logging_file=False)
        with pytest.raises(RuntimeError) as caught:
            workflow.initialize()
        assert isinstance(caught.value.__cause__, ImportError)
        assert "in a process of its own" in str(caught.value.__cause__)
