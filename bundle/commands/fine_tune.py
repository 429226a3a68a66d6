"""From a laboratory's own stacks to a trained and measured marker."""

import logging
from collections.abc import Sequence
from pathlib import Path

from bundle import ROOT
from bundle.checkpoint import load_network
from bundle.errors import BundleError
from bundle.files import refuse_existing, written_whole
from bundle.own_marker.baseline import measure_baseline
from bundle.own_marker.checking import CheckedStack, StackChecker, compare_spacing
from bundle.own_marker.collecting import LabelledStack, collect_stacks
from bundle.own_marker.report import write_report
from bundle.own_marker.splitting import Part, plan_parts, write_parts
from bundle.own_marker.verdict import Training, judge
from bundle.own_marker.workflows import MarkerRun, measure_marker, train_marker
from bundle.stacks.stack import check_spacing

logger = logging.getLogger("bundle.commands.fine_tune")

DEFAULT_CHECKPOINT = ROOT / "models" / "model.pt"
REPORT = "report.md"


def fine_tune(
    images: str | Path | Sequence[str | Path],
    task: str,
    output_dir: str | Path,
    targets: str | Path | Sequence[str | Path] | None = None,
    image_channel: str | None = None,
    target_channel: str | None = None,
    default_spacing: Sequence[float] | None = None,
    checkpoint: str | Path = DEFAULT_CHECKPOINT,
    max_epochs: int | None = None,
    seed: int = 42,
    device: str | None = None,
    overwrite: bool = False,
) -> None:
    """Pair, check and split your own stacks, train a marker on them, measure it and say in words what was reached.

    Args:
        images: transmitted-light stacks: a folder or glob such as "bf/*.tif"; without targets, files with both
            channels, or a CSV with the columns image and target (and image_channel, target_channel, split).
        task: name of the marker, such as my_marker.
        output_dir: folder of dataset.csv, the weights, the pictures and the report; a run that was stopped goes on
            there.
        targets: fluorescence stacks, paired with the images by name, such as "gfp/*.tif".
        image_channel: name or index of the transmitted-light channel, where its name does not tell.
        target_channel: name or index of the fluorescence channel, where there are several.
        default_spacing: voxel size in um, "[Z,Y,X]", of files that carry none.
        checkpoint: the weights to start from.
        max_epochs: epochs of training; as configs/fine_tune.yaml has it where not given.
        seed: of the split, weights and patches.
        device: where the network trains, such as cpu or cuda:0; a GPU where there is one.
        overwrite: True to start anew and replace what an earlier run left in the folder.
    """
    folder = Path(output_dir).expanduser()
    refuse_existing(folder / REPORT, overwrite)
    network = load_network(checkpoint)
    spacing = network.spacing
    if default_spacing is not None:
        spacing = check_spacing(default_spacing, "default_spacing")
    marker = MarkerRun(folder, task, checkpoint, spacing, seed, overwrite, max_epochs, device)
    checked, told = _check(*collect_stacks(images, targets, image_channel, target_channel, task), spacing)
    parts = plan_parts(checked, seed)
    write_parts(folder, parts, task, overwrite)
    _tell_parts(parts)
    train_marker(marker, network)
    measured = measure_marker(marker)
    plain = measure_baseline(marker)
    blocks = any(part.split == "test" and part.axis is not None for part in parts)
    words = judge(measured, plain, Training.read(marker.log), blocks)
    with written_whole(folder / REPORT, overwrite) as temporary:
        write_report(temporary, task, parts, told, measured, plain, words)
    print("\n".join([*words, f"Report: {folder / REPORT}"]))


def _check(
    stacks: Sequence[LabelledStack], unpaired: Sequence[str], default_spacing: Sequence[float]
) -> tuple[list[CheckedStack], list[str]]:
    """Check all stacks; those that cannot be used are told and left out.

    Returns:
        The others, and every sentence that was told.

    Raises:
        BundleError: none is left.
    """
    checker, checked, told = StackChecker(default_spacing), [], list(unpaired)
    for stack in stacks:
        try:
            checked.append(checker.check(stack))
        except BundleError as error:
            told.append(f"{error} It is left out.")
    if not checked:
        raise BundleError(" ".join(["No stack can be used.", *told]))
    told += [sentence for each in checked for sentence in each.warnings]
    told += compare_spacing(checked)
    for sentence in told:
        logger.warning(sentence)
    return checked, told


def _tell_parts(parts: Sequence[Part]) -> None:
    """Log what is trained on, validated and tested with."""
    for split in ("train", "validation", "test"):
        chosen = [part for part in parts if part.split == split]
        named = [f"{part.checked.stack.name}{' (a block)' if part.axis is not None else ''}" for part in chosen]
        logger.info("%s: %s", split, ", ".join(named))
