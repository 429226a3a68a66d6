import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from bundle.errors import BundleError
from bundle.knobs import Knob
from bundle.knobs.command import read_function, read_values, run_command

ROOT = Path(__file__).parents[3]
COMMANDS = ("benchmark", "compare_simulation", "export_tasks", "import_official", "simulate")
KNOBS = [
    Knob("output_dir", None, "text", "where to", required=True),
    Knob("tasks", None, "names", "which"),
    Knob("count", 3, "whole number", "how many"),
    Knob("overwrite", False, "flag", "whether"),
]
SOURCE = '''
import a_package_that_is_not_there

def made(output: str, tasks: Sequence[str] | str | None = None, shape: Sequence[int] = SHAPE, overwrite: bool = False):
    """Make something.

    Args:
        output: the file, such
            as this one.
        tasks: names.
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
    assert knobs == [
        Knob("output", None, "text", "the file, such as this one.", required=True),
        Knob("tasks", None, "names", "names."),
        Knob("shape", "$SHAPE", "numbers", 'size, "[Z,Y,X]".'),
        Knob("overwrite", False, "flag", "True to replace it."),
    ]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["--output_dir", "20240311"], {"output_dir": "20240311"}),
        (["20240311", "--overwrite", "false"], {"output_dir": "20240311", "overwrite": False}),
        (
            ["--output-dir=a", "--tasks", "dna,er", "--no-overwrite"],
            {"output_dir": "a", "tasks": ["dna", "er"], "overwrite": False},
        ),
        (["a", "dna", "--count", "0010"], {"output_dir": "a", "tasks": ["dna"], "count": 10}),
    ],
)
def test_values_of_what_was_typed(words, values):
    assert read_values(words, KNOBS, "made") == values


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "made needs --output_dir (where to); --help lists all that it takes."),
        (["--output_dir", "a", "--task", "dna"], "There is no option --task in made; did you mean --tasks?"),
        (["--output_dir", "a", "--overwrite", "flase"], "--overwrite is 'flase'; give True or False."),
        (
            ["--output_dir", "a", "--tasks", "dna", "er"],
            "The word 'er' belongs to no option; join the values by commas: --tasks first,second.",
        ),
    ],
)
def test_slips_are_sentences(words, sentence):
    with pytest.raises(BundleError) as caught:
        read_values(words, KNOBS, "made")
    assert str(caught.value) == sentence


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_what_it_takes(monkeypatch, capsys, command):
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    run_command(f"bundle.commands.{command}", "program")
    shown = capsys.readouterr().out
    assert shown.startswith("Usage: program ")
    assert "--overwrite (True or False; by default False)" in shown


def test_every_command_has_a_name_of_its_own_and_a_script():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    functions = dict(target.split(":")[::-1] for target in project["project"]["scripts"].values())
    assert {f"start_{name}" for name in COMMANDS} <= set(functions)
    assert all(name.startswith("repmode") for name in project["project"]["scripts"])
    for function, module in functions.items():
        assert callable(getattr(import_module(module), function))
    assert {path.stem for path in (ROOT / "scripts").glob("[a-z]*.py")} == set(COMMANDS)
    assert project["tool"]["setuptools"]["packages"]["find"]["include"] == ["bundle*"]
