"""Pack the bundle as it is shared: a folder and a zip for the Model Zoo and for anyone else."""

import json
import logging
from pathlib import Path

from bundle.files import folder_written_whole
from bundle.sharing import NAME
from bundle.sharing.contents import METADATA
from bundle.sharing.package import package_contents, write_folder, write_zip
from bundle.sharing.signature import sign_folder

logger = logging.getLogger("bundle.commands.pack")


def pack(output_dir: str | Path, sign_key: str | Path | None = None, overwrite: bool = False) -> None:
    """Pack what is shared: configs as YAML and JSON, code, weights, documentation, manifest and bill of materials.

    The same inputs give the same bytes, but for the signature.

    Args:
        output_dir: a folder of the version's name is made in it, with the packed bundle, the same as a zip, and the
            signature.
        sign_key: a private elliptic-curve key (PEM, without a password) to sign the packed bundle with.
        overwrite: whether a package of this version that is there already may be replaced.
    """
    contents = package_contents()
    stem = f"{NAME}_v{json.loads(contents[METADATA])['version']}"
    place = Path(output_dir) / stem
    with folder_written_whole(place, overwrite) as temporary:
        write_folder(contents, temporary / NAME)
        write_zip(contents, temporary / f"{stem}.zip")
        if sign_key is not None:
            sign_folder(temporary / NAME, Path(sign_key), temporary / f"{stem}.sig")
    logger.info("Packed %d files, %.1f MB: %s", len(contents), sum(map(len, contents.values())) / 1e6, place / NAME)
