"""Make a bundle checkpoint of one of the RepMode authors' checkpoints, without running code from it."""

import logging
from pathlib import Path

from bundle.checkpoint import save_network
from bundle.official import read_official

logger = logging.getLogger("bundle.commands.import_official")


def import_official(checkpoint: str | Path, output: str | Path, overwrite: bool = False) -> None:
    """Write the network of an authors' checkpoint as a flat state dict that `--checkpoint` takes everywhere here.

    Args:
        checkpoint: the authors' file, such as model_best_avg.p.
        output: where the bundle checkpoint goes, such as models/official.pt.
        overwrite: whether a file that is there already may be replaced.
    """
    network = read_official(checkpoint)
    save_network(network, output, overwrite=overwrite)
    logger.info(
        "%s -> %s: width %d, tasks %s", Path(checkpoint).name, output, network.base_width, ", ".join(network.tasks)
    )
