"""The command `repmode`: a command a config, made of its knobs, and one a function of a module here.

Nothing that they need is imported before what was typed is understood.
"""

import sys
from collections.abc import Sequence

from bundle.knobs.command import Command, ConfigCommand, FunctionCommand
from bundle.knobs.command_line import run_program

PROGRAM = "repmode"
PURPOSE = "Predict the 3D fluorescence of many subcellular structures from transmitted-light stacks, and all around it."
COMMANDS: dict[str, Command] = {
    "predict": ConfigCommand("inference.yaml"),
    "train": ConfigCommand("train.yaml"),
    "evaluate": ConfigCommand("evaluate.yaml"),
    "fine-tune": FunctionCommand("bundle.commands.fine_tune"),
    "prepare-allen": FunctionCommand("bundle.commands.prepare_allen"),
    "export": FunctionCommand("bundle.commands.export_tasks"),
    "simulate": FunctionCommand("bundle.commands.simulate"),
    "benchmark": FunctionCommand("bundle.commands.benchmark"),
    "compare-simulation": FunctionCommand("bundle.commands.compare_simulation"),
    "pack": FunctionCommand("bundle.commands.pack"),
    "push": FunctionCommand("bundle.commands.push"),
    "export-bioimageio": FunctionCommand("bundle.commands.export_bioimageio"),
    "import-official": FunctionCommand("bundle.commands.import_official"),
}


def main(words: Sequence[str] | None = None) -> None:
    """Start `repmode`.

    Args:
        words: what was typed behind it; None = what this process was started with.
    """
    run_program(PROGRAM, PURPOSE, COMMANDS, sys.argv[1:] if words is None else words)


def start(command: str) -> None:
    """Start one of its commands, as if it had been typed with what this process was started with."""
    sys.argv = [PROGRAM, command, *sys.argv[1:]]
    main()
