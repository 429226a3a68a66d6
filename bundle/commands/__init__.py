"""The commands beside the configs, each a function of a module of its name; a person may start them anywhere.

Nothing that they need is imported before what was typed is understood.
"""

from bundle.knobs.command import run_command


def start_benchmark() -> None:
    """Start `repmode-benchmark`."""
    run_command("bundle.commands.benchmark", "repmode-benchmark")


def start_compare_simulation() -> None:
    """Start `repmode-compare-simulation`."""
    run_command("bundle.commands.compare_simulation", "repmode-compare-simulation")


def start_export_bioimageio() -> None:
    """Start `repmode-export-bioimageio`."""
    run_command("bundle.commands.export_bioimageio", "repmode-export-bioimageio")


def start_export_tasks() -> None:
    """Start `repmode-export`."""
    run_command("bundle.commands.export_tasks", "repmode-export")


def start_import_official() -> None:
    """Start `repmode-import-official`."""
    run_command("bundle.commands.import_official", "repmode-import-official")


def start_pack() -> None:
    """Start `repmode-pack`."""
    run_command("bundle.commands.pack", "repmode-pack")


def start_push() -> None:
    """Start `repmode-push`."""
    run_command("bundle.commands.push", "repmode-push")


def start_simulate() -> None:
    """Start `repmode-simulate`."""
    run_command("bundle.commands.simulate", "repmode-simulate")
