"""Who installs what pyproject.toml or metadata.json lists can run the bundle."""

import ast
import json
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
METADATA = json.loads((ROOT / "configs" / "metadata.json").read_text(encoding="utf-8"))
DEPENDENCIES = {canonicalize_name(Requirement(line).name): Requirement(line) for line in PROJECT["dependencies"]}
EXTRAS = {
    canonicalize_name(Requirement(line).name)
    for extra, lines in PROJECT["optional-dependencies"].items()
    if extra not in ("test", "dev")
    for line in lines
}
VERSIONS = {
    canonicalize_name(name): version
    for name, version in {
        **METADATA["required_packages_version"],
        "monai": METADATA["monai_version"],
        "torch": METADATA["pytorch_version"],
        "numpy": METADATA["numpy_version"],
    }.items()
}


def imported(path):
    """The packages that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


DISTRIBUTIONS = packages_distributions()
PACKAGES = {name for path in (ROOT / "bundle").rglob("*.py") for name in imported(path)}


@pytest.mark.parametrize("package", sorted(PACKAGES - set(sys.stdlib_module_names) - {"bundle"}))
def test_every_package_that_is_imported_is_listed(package):
    distributions = {canonicalize_name(name) for name in DISTRIBUTIONS.get(package, [package])}
    assert distributions & (set(DEPENDENCIES) | EXTRAS), f"{package} is not in pyproject.toml"


def test_the_metadata_lists_the_same_packages_as_the_project():
    assert set(VERSIONS) == set(DEPENDENCIES)


@pytest.mark.parametrize("package", sorted(DEPENDENCIES))
def test_the_metadatas_versions_are_within_the_projects_bounds(package):
    assert DEPENDENCIES[package].specifier.contains(VERSIONS[package])


LOCKED = dict(line.split("==") for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()[1:])


@pytest.mark.parametrize("package", sorted(DEPENDENCIES))
def test_the_lock_that_is_audited_holds_every_package_within_the_projects_bounds(package):
    assert DEPENDENCIES[package].specifier.contains(LOCKED[package])
