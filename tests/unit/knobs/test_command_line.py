from dataclasses import dataclass

import pytest

from bundle.commands import COMMANDS, PROGRAM, PURPOSE, main
from bundle.errors import BundleError
from bundle.knobs import Knob
from bundle.knobs.command import Command
from bundle.knobs.command_line import read_values, write_completion


@dataclass(frozen=True)
class Made(Command):
    """A command of some knobs."""

    knobs: tuple[Knob, ...] = ()
    purpose: str = "Make something."

    def start(self, values):
        raise AssertionError(values)


PREDICT = Made(
    (
        Knob("input", "here", "paths", "what"),
        Knob("tasks", None, "names", "which"),
        Knob("spacing", None, "numbers", "how large, 50 % of it"),
        Knob("scene", None, "index or text", "which scene"),
        Knob("overwrite", False, "flag", "whether"),
        Knob("quality", "fast", "one of fast, paper", "how well"),
    )
)
SIMULATE = Made(
    (Knob("output_dir", None, "path", "where to", required=True), Knob("count", 3, "whole number", "how many"))
)


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ([], {}),
        (["a.tif"], {"input": "a.tif"}),
        (["a.tif", "b (2).tif", "007", "$x", "c,d.tif"], {"input": ["a.tif", "b (2).tif", "007", "$x", "c,d.tif"]}),
        (["--input", "a.tif", "b.tif"], {"input": ["a.tif", "b.tif"]}),
        (["a.tif", "--tasks", "dna", "tom20"], {"input": "a.tif", "tasks": ["dna", "tom20"]}),
        (["--tasks", "dna", "tom20", "--", "a.tif"], {"input": "a.tif", "tasks": ["dna", "tom20"]}),
        (["--tasks", "dna,tom20"], {"tasks": ["dna", "tom20"]}),
        (["--tasks", "dna,", "tom20"], {"tasks": ["dna", "tom20"]}),
        (["--tasks=dna"], {"tasks": ["dna"]}),
        (["--tasks", "['dna',", "'tom20']"], {"tasks": ["dna", "tom20"]}),
        (["--tasks", "none"], {"tasks": None}),
        (["--spacing", "0.3", "0.1", "0.1"], {"spacing": [0.3, 0.1, 0.1]}),
        (["--spacing", "[0.3,0.1,0.1]"], {"spacing": [0.3, 0.1, 0.1]}),
        (["--scene", "2", "--quality", "Paper"], {"scene": 2, "quality": "paper"}),
        (["--overwrite"], {"overwrite": True}),
        (["--overwrite", "--scene", "all"], {"overwrite": True, "scene": "all"}),
        (["--overwrite", "no"], {"overwrite": False}),
        (["--overwrite=True"], {"overwrite": True}),
        (["--no-overwrite"], {"overwrite": False}),
        (["--nooverwrite"], {"overwrite": False}),
    ],
)
def test_values_of_what_was_typed(words, values):
    assert read_values(words, PREDICT, "repmode predict") == values


def test_a_file_behind_a_flag_is_an_input(tmp_path):
    stack = tmp_path / "a.tif"
    stack.touch()
    assert read_values(["--overwrite", str(stack)], PREDICT, "x") == {"overwrite": True, "input": str(stack)}


def test_dashes_within_a_name_are_underscores():
    assert read_values(["--output-dir", "20240311", "--count", "0010"], SIMULATE, "x") == {
        "output_dir": "20240311",
        "count": 10,
    }


@pytest.mark.parametrize(
    ("command", "words", "sentence"),
    [
        (SIMULATE, [], "repmode x needs --output_dir (where to); --help lists all that it takes."),
        (
            SIMULATE,
            ["a", "b"],
            "The word 'b' belongs to no option; repmode x takes one output_dir: put quotes around spaces.",
        ),
        (SIMULATE, ["a", "--count", "two"], "--count is 'two'; give a whole number."),
        (SIMULATE, ["a", "--count"], "--count is given without a value; give a whole number behind it."),
        (
            SIMULATE,
            ["a", "--output_dir", "b"],
            "The word 'a' belongs to no option, and --output_dir is given; leave one out.",
        ),
        (PREDICT, ["--task", "dna"], "There is no option --task in repmode x; did you mean --tasks?"),
        (PREDICT, ["--count", "3"], "--count is an option of repmode simulate, not of repmode x; leave it out."),
        (PREDICT, ["--zzz"], "There is no option --zzz in repmode x; --help lists those there are."),
        (PREDICT, ["--overwrite", "flase"], "--overwrite is 'flase'; give True or False."),
        (PREDICT, ["--quality", "best"], "--quality is 'best'; give one of fast, paper."),
        (
            PREDICT,
            ["--tasks", "--overwrite"],
            "--tasks is given without a value; give a name or several, such as dna,tom20 behind it.",
        ),
        (
            PREDICT,
            ["--tasks", "dna", "--tasks=tom20"],
            "--tasks is given twice; give it once (several values of one option by spaces).",
        ),
        (PREDICT, ["--spacing", "a", "b"], "--spacing is ['a', 'b']; give a number or several, such as \"[1,2,3]\"."),
    ],
)
def test_slips_are_sentences(command, words, sentence):
    with pytest.raises(BundleError) as caught:
        read_values(words, command, "repmode x", {"repmode simulate": SIMULATE.knobs})
    assert str(caught.value) == sentence


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_programs_help_lists_its_commands(capsys, words):
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, command in COMMANDS.items():
        assert f"{name} {command.purpose}" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_lists_its_knobs_with_their_texts(capsys, name):
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    shown = "".join(capsys.readouterr().out.split())
    assert shown.startswith(f"usage:repmode{name}[")
    for knob in COMMANDS[name].knobs:
        assert f"--{knob.name}" in shown
        assert "".join(knob.text.split()) in shown
    assert "$" not in shown


def test_an_unknown_command_is_told_those_there_are():
    with pytest.raises(BundleError, match=r"^There is no command 'pridict a.tif' in repmode \(predict, train, "):
        main(["pridict", "a.tif"])


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_a_shell_completes_commands_and_options(shell):
    script = write_completion(PROGRAM, PURPOSE, COMMANDS, shell)
    assert all(name in script for name in COMMANDS)
    assert "--skip_finished" in script or "skip_finished" in script
