"""Push the bundle to where others look for it, or show what would go where."""

import json
import logging
import re

from bundle.errors import BundleError
from bundle.sharing import NAME
from bundle.sharing.contents import METADATA
from bundle.sharing.huggingface import hub_contents, upload

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
logger = logging.getLogger("bundle.commands.push")


def push(to: str, repository: str | None = None, private: bool = True, dry_run: bool = True) -> None:
    """Show what would go to the hub and under which names; with --dry_run False, upload it.

    Args:
        to: "huggingface".
        repository: where it goes there, such as USER/repmode_fluorescence_prediction.
        private: whether a repository that has to be made is private.
        dry_run: whether to upload nothing; no account and no network is needed then.
    """
    if to != "huggingface":
        raise BundleError(f"to is {to!r}; give --to one of huggingface.")
    contents = hub_contents()
    if repository is None and not dry_run:
        raise BundleError(f"An upload needs the repository that it goes to; give --repository USER/{NAME}.")
    if repository is not None and not REPOSITORY.fullmatch(repository):
        raise BundleError(f"repository is {repository!r}; give --repository as USER/{NAME}.")
    version = json.loads(contents[METADATA])["version"]
    if not dry_run:
        logger.info("Uploaded version %s: %s", version, upload(contents, str(repository), version, private))
        return
    logger.info("%s", contents["README.md"].decode().split("\n---\n")[0] + "\n---\n")
    for path, content in contents.items():
        logger.info("%12s  %s", f"{len(content):,}", path)
    place = repository or f"USER/{NAME}"
    logger.info("\n%d files would go to https://huggingface.co/%s, tagged %s.", len(contents), place, version)
