"""Write requirements.lock: what the package and its extras need, in the versions of the environment that runs this."""

import re
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

PACKAGE = "repmode-bundle"
EXTRAS = ("onnx", "openvino", "int8", "allen", "nd2", "lif", "sharing", "bioimageio")
LOCK = Path(__file__).parents[1] / "requirements.lock"
HEAD = "# Made by python .ci/lock.py in an environment in which the tests passed; read by .ci/audit.py.\n"


def name_of(name: str) -> str:
    """A name as the index has it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(name: str, extras: frozenset[str], found: dict[str, set[str]]) -> None:
    """Add what a distribution with some of its extras needs, and what that needs, to the extras by name."""
    if extras | {""} <= found.get(name, set()):
        return
    found.setdefault(name, set()).update(extras | {""})
    for text in metadata.requires(name) or ():
        requirement = Requirement(text)
        markers = [{"extra": extra} for extra in extras | {""}]
        if requirement.marker is None or any(map(requirement.marker.evaluate, markers)):
            needed(name_of(requirement.name), frozenset(requirement.extras), found)


def main() -> None:
    """Write the file."""
    found: dict[str, set[str]] = {}
    needed(PACKAGE, frozenset(EXTRAS), found)
    versions = {name: metadata.version(name).partition("+")[0] for name in found if name != PACKAGE}
    LOCK.write_text(HEAD + "".join(f"{name}=={version}\n" for name, version in sorted(versions.items())), "utf-8")


if __name__ == "__main__":
    main()
