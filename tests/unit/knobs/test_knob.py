from pathlib import Path

import pytest
import yaml

from bundle.errors import BundleError
from bundle.knobs import Knob, read_knobs
from bundle.knobs.kinds import find_kind
from bundle.knobs.knob import configs, list_knobs, overlay_knobs, overlays, unknown_option
from bundle.runtimes.make import ENGINES
from bundle.stacks.source import ALL
from bundle.windows.memory_aware_inferer import QUALITIES

CONFIG = """
imports:
- $import torch
bundle_root: "$1" # folder
input: "$@bundle_root + '/a'" # path: stacks, as many: as you like

# How
roi_size: [1, 2, 3] # window
tasks: null # names: structures
overwrite: false # whether files may be replaced
dataset_dir: "@input"
later: 3 # no knob
"""


def test_knobs_are_the_commented_block_at_the_top(tmp_path):
    (tmp_path / "a.yaml").write_text(CONFIG)
    assert read_knobs(tmp_path / "a.yaml") == (
        Knob("input", "$@bundle_root + '/a'", "path", "stacks, as many: as you like"),
        Knob("roi_size", [1, 2, 3], "numbers", "window"),
        Knob("tasks", None, "names", "structures"),
        Knob("overwrite", False, "flag", "whether files may be replaced"),
    )


def test_a_knob_whose_kind_nothing_tells_is_an_error_of_ours(tmp_path):
    (tmp_path / "a.yaml").write_text("bundle_root: 1 # folder\nscene: null # which scene\n")
    with pytest.raises(ValueError, match="say the kind of scene"):
        read_knobs(tmp_path / "a.yaml")


@pytest.mark.parametrize("config", configs(), ids=lambda path: path.name)
def test_every_default_is_of_its_knobs_kind(config):
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    knobs = read_knobs(config)
    assert {"output_dir", "overwrite", "device", "checkpoint", "verbose"} - {knob.name for knob in knobs} <= {
        "checkpoint"
    }
    for knob in knobs:
        assert knob.default == content[knob.name]
        if not str(knob.default).startswith("$"):
            assert knob.read(knob.default) == knob.default


@pytest.mark.parametrize("overlay", overlays(), ids=lambda path: path.name)
def test_every_default_of_an_overlay_is_of_its_knobs_kind(overlay):
    knobs = read_knobs(overlay)
    assert len(knobs) > 0
    for knob in knobs:
        if not str(knob.default).startswith("$"):
            assert knob.read(knob.default) == knob.default


def test_knobs_of_an_overlay_are_known_once_all_of_them_are_there():
    robust = yaml.safe_load(Path("configs/train_robust.yaml").read_text(encoding="utf-8"))
    own = read_knobs(Path("configs/train.yaml").resolve())
    added = {knob.name: knob for knob in overlay_knobs(robust, own)}
    assert {"magnification", "task_weights", "inversion"} <= set(added)
    assert "base_width" not in added
    with pytest.raises(BundleError, match="--magnification is 'foo'; give a number or several"):
        added["magnification"].read("foo")
    assert added["task_weights"].read("{dna: 2, zo1: 0.5}") == {"dna": 2, "zo1": 0.5}
    with pytest.raises(BundleError, match="--task_weights is 'dna'; give numbers by name"):
        added["task_weights"].read("dna")
    assert overlay_knobs({"tasks": ["dna"]}, own) == ()


def test_the_choices_are_those_of_the_code():
    kinds = {knob.name: knob for knob in read_knobs(Path("configs") / "inference.yaml")}
    assert kinds["engine"].kind == "one of " + ", ".join(["auto", *ENGINES])
    assert kinds["scene"].read(ALL) == ALL
    assert kinds["quality"].kind == "one of " + ", ".join(QUALITIES)


def test_knobs_that_configs_share_are_of_one_kind():
    kinds = {}
    for config in configs():
        for knob in read_knobs(config):
            kinds.setdefault(knob.name, set()).add(knob.kind)
    assert {name for name, found in kinds.items() if len(found) > 1} == set()


def test_a_slip_is_told_the_nearest_option():
    knobs = read_knobs(Path("configs/inference.yaml").resolve())
    for slip, meant in [("task", "tasks"), ("spacings", "spacing"), ("outputdir", "output_dir"), ("devise", "device")]:
        assert str(unknown_option(slip, knobs, "x")) == f"There is no option --{slip} in x; did you mean --{meant}?"
    assert "--help lists" in str(unknown_option("zzz", knobs, "x"))


def test_an_option_of_another_config_is_told_so():
    knobs = read_knobs(Path("configs/inference.yaml").resolve())
    others = {path.name: read_knobs(path) for path in configs() if path.name != "inference.yaml"}
    error = unknown_option("max_epochs", knobs, "inference.yaml", others)
    assert str(error) == "--max_epochs is an option of train.yaml, not of inference.yaml; leave it out."
    assert isinstance(error, BundleError)


@pytest.mark.parametrize("config", configs(), ids=lambda path: path.name)
def test_help_lists_every_knob_with_its_text(config):
    listed = list_knobs("do", read_knobs(config))
    for knob in read_knobs(config):
        assert f"\n  --{knob.name} ({find_kind(knob.kind).wanted}; " in listed
        assert knob.text.split()[0] in listed
    assert "$" not in listed
