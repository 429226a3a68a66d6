import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from bundle.commands import COMMANDS
from bundle.errors import BundleError
from bundle.knobs import Knob, read_knobs
from bundle.knobs.command import ConfigCommand, read_function
from bundle.knobs.command_line import read_values
from bundle.knobs.knob import configs, overlays

ROOT = Path(__file__).parents[3]
SOURCE = '''
import a_package_that_is_not_there

def made(
    output: str | Path,
    tasks: Sequence[str] | str | None = None,
    stacks: str | Path | Sequence[str | Path] | None = None,
    shape: Sequence[int] = SHAPE,
    overwrite: bool = False,
):
    """Make something.

    Args:
        output: the file, such
            as this one.
        tasks: names.
        stacks: files.
        shape: size, "[Z,Y,X]".
        overwrite: True to replace it.

    Returns:
        Nothing.
    """
'''


def test_a_functions_knobs_are_its_signature_and_docstring_though_it_cannot_be_imported(tmp_path):
    (tmp_path / "made.py").write_text(SOURCE)
    purpose, knobs = read_function(tmp_path / "made.py", "made")
    assert purpose == "Make something."
    assert knobs == (
        Knob("output", None, "path", "the file, such as this one.", required=True),
        Knob("tasks", None, "names", "names."),
        Knob("stacks", None, "paths", "files."),
        Knob("shape", "$SHAPE", "numbers", 'size, "[Z,Y,X]".'),
        Knob("overwrite", False, "flag", "True to replace it."),
    )


def test_every_config_with_knobs_is_a_command_that_takes_just_these():
    of_configs = {each.config: each for each in COMMANDS.values() if isinstance(each, ConfigCommand)}
    assert set(of_configs) == {path.name for path in configs()}
    for name, command in of_configs.items():
        *knobs, overlays = command.knobs
        assert all(overlay in overlays.text for overlay in command.addable)
        assert tuple(knobs) == read_knobs(ROOT / "configs" / name)
        assert overlays.name == "config"
        assert command.purpose.endswith(".")
        assert "python" not in command.purpose


def test_overlays_that_are_named_add_their_knobs():
    train = COMMANDS["train"]
    words = ["--dataset_dir", "d", "--config", "train_robust.yaml", "my.yaml", "--seed", "train_masks.yaml"]
    laid = {knob.name: knob for knob in train.extended(words).knobs}
    assert {knob.name for knob in train.knobs} < set(laid)
    assert laid["base_width"].default == 8  # as the overlay has it
    assert "magnification" in laid
    assert "masked_share" not in laid  # a value of another option
    assert "masked_share" in {knob.name for knob in train.extended(["--config=train_masks.yaml"]).knobs}
    assert train.extended(["--config"]).knobs == train.knobs
    assert read_values([*words[:4], "--magnification", "0.5", "2"], train, "repmode train")["magnification"] == [0.5, 2]


def test_an_overlays_knob_without_it_is_told_its_name():
    with pytest.raises(BundleError) as caught:
        read_values(["--magnification", "2"], COMMANDS["train"], "repmode train")
    assert str(caught.value) == (
        "--magnification is an option of train_robust.yaml, which is not given; give repmode train that config as "
        "well, or leave the option out."
    )


def test_every_overlay_is_laid_over_a_command():
    added = [name for command in COMMANDS.values() for name in command.addable]
    assert sorted(added) == [path.name for path in overlays()]


def test_every_module_of_a_function_is_a_command_and_has_a_script():
    modules = {path.stem for path in (ROOT / "bundle" / "commands").glob("[a-z]*.py")}
    assert {
        each.module.rpartition(".")[2] for each in COMMANDS.values() if not isinstance(each, ConfigCommand)
    } == modules
    assert {path.stem for path in (ROOT / "scripts").glob("[a-z]*.py")} == modules


def test_there_is_one_program():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    ((name, target),) = project["project"]["scripts"].items()
    module, _, function = target.partition(":")
    assert name == "repmode"
    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "is not there; give --config the path of a YAML file."),
        ("a: [1", "is no YAML (while parsing"),
        ("- a\n", "has no line 'name: value'"),
    ],
)
def test_what_is_no_config_is_told_before_monai_reads_it(tmp_path, content, sentence):
    if content is not None:
        (tmp_path / "my.yaml").write_text(content)
    with pytest.raises(BundleError) as caught:
        COMMANDS["predict"].start({"config": str(tmp_path / "my.yaml")})
    assert str(caught.value).startswith(f"The config {tmp_path / 'my.yaml'} ")
    assert sentence in str(caught.value)
