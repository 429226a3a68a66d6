"""The Model Zoo's gates (its ci/verify_bundle.py in full mode, and its unit tests), and those who open the bundle.

All on the packed bundle, unpacked, in processes of their own that know nothing of this repository.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bundle.commands.pack import pack
from bundle.sharing import NAME
from tests.sharing import ROOT, run_elsewhere, unpack

pytest.importorskip("cyclonedx")

SCHEMA = ROOT.parent / "shared" / "zoo" / "meta_schema_20240725.json"
GATES = """
import json, os, sys, unittest
models, name = "models", sys.argv[1]
root = os.path.join(models, name)
sys.path = [root, *sys.path]
import torch
from monai.bundle import ckpt_export, create_workflow, verify_metadata, verify_net_in_out
from monai.data import load_net_with_metadata

# directory, version and changelog
for file in ("LICENSE", "configs/metadata.json", "models/model.pt", "configs/inference.json"):
    assert os.path.isfile(os.path.join(root, file)), file
assert max(os.path.getsize(os.path.join(place, file)) for place, _, files in os.walk(root) for file in files) < 25e6
meta_file = os.path.join(root, "configs/metadata.json")
metadata = json.load(open(meta_file))
assert metadata["version"] in metadata["changelog"]
assert f"{name}_v{metadata['version']}" not in json.load(open("models/model_info.json"))

# schema, where it is here
if os.path.isfile(os.path.join(root, "eval/schema.json")):
    verify_metadata(meta_file=meta_file, filepath=os.path.join(root, "eval/schema.json"))

# properties, the network's shapes, and TorchScript with what MONAI Deploy reads in it
config = os.path.join(root, "configs/inference.json")
logging_file = os.path.join(root, "configs/logging.conf")
common = dict(meta_file=meta_file, config_file=config, bundle_root=root)
workflow = create_workflow(workflow_type="inference", logging_file=logging_file, **common)
assert workflow.check_properties() == []
verify_net_in_out(net_id="network_def", **common)
exported = os.path.join(root, "models/verify_model.ts")
ckpt_export(net_id="network_def", filepath=exported, ckpt_file=os.path.join(root, "models/model.pt"), **common)
net, inside, extra = load_net_with_metadata(exported, more_extra_files=["inference.json"])
assert inside["network_data_format"] == metadata["network_data_format"]
assert json.loads(extra["inference.json"])["network_def"]
image = torch.randn(1, 1, 16, 16, 16)
torch.testing.assert_close(net.eval()(image), workflow.network_def.eval()(image), rtol=1e-4, atol=1e-4)
assert os.path.realpath(sys.modules["bundle"].__path__[0]) == os.path.realpath(os.path.join(root, "bundle"))

# the zoo's unit tests
sys.path.append("ci/unit_tests")
tests = unittest.defaultTestLoader.loadTestsFromName(f"test_{name}")
result = unittest.TextTestRunner(stream=sys.stdout).run(tests)
assert result.wasSuccessful() and result.testsRun == 3 and not result.skipped
print("\\nall gates passed")
"""
UTILS = '''"""What the zoo's ci/unit_tests/utils.py gives to tests on several GPUs, for the tests of this bundle."""

import os
import subprocess
import sys

from monai.bundle import ConfigParser


def export_config_and_run_mgpu_cmd(config_file, meta_file, override_dict, output_path, logging_file=None, ngpu=2):
    """Write one config of several and what is overridden, and have torchrun run it, with the bundle on its path."""
    parser = ConfigParser()
    parser.read_config(config_file)
    parser.update(override_dict)
    parser.export_config_file(parser.config, output_path, indent=4)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nnodes=1", f"--nproc_per_node={ngpu}"]
    run = ["-m", "monai.bundle", "run", "--config_file", output_path, "--meta_file", meta_file]
    environment = {**os.environ, "PYTHONPATH": override_dict["bundle_root"]}
    subprocess.check_call([*torchrun, *run, "--logging_file", logging_file], env=environment)
'''
DISTRIBUTED = """
import sys, unittest
sys.path.append("ci/unit_tests")
unittest.defaultTestLoader.testNamePatterns = ["*.test_train_*"]  # prediction by torchrun: test_many_processes.py
tests = unittest.defaultTestLoader.loadTestsFromName(f"test_{sys.argv[1]}_dist")
result = unittest.TextTestRunner(stream=sys.stdout).run(tests)
assert result.wasSuccessful() and result.testsRun == 1 and not result.skipped
print("\\ntrained by several processes")
"""
OUTSIDE = """
import os, sys
import torch
from monai.bundle import ConfigWorkflow, create_workflow, load, run
folder, name, other = sys.argv[1:]
configs = os.path.join(folder, name, "configs")

# weights in the network of either config
image = torch.randn(1, 1, 16, 16, 16)
common = dict(name=name, bundle_dir=folder, source="github", device="cpu")
nets = [load(**common, workflow_type="inference").eval(), load(**common).eval()]
with torch.no_grad():
    first, second = (net(image) for net in nets)
assert first.std() > 0.01 and torch.equal(first, second), (first - second).abs().max()

# made in Python, and run as a command does
yaml, json = (os.path.join(configs, f"inference.{suffix}") for suffix in ("yaml", "json"))
workflow = create_workflow(config_file=yaml, workflow_type="inference", logging_file=False)
assert os.path.samefile(workflow.bundle_root, os.path.join(folder, name))
run(config_file=json, input="cells.tif", spacing=[0.29, 0.29, 0.29], tasks=["dna"], device="cpu")
assert os.path.isfile("predictions/cells_pred.ome.tiff")

# another bundle whose package has the same name
try:
    ConfigWorkflow(os.path.join(other, "configs", "inference.json"), workflow_type=None, logging_file=False).run()
except (ImportError, ModuleNotFoundError, RuntimeError) as error:
    print(f"the other: {error}")
assert load(**common).tasks == nets[0].tasks
print("\\ndriven from outside")
"""


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the packed bundle's folder and zip."""
    folder = tmp_path_factory.mktemp("packed")
    pack(str(folder))
    (package,) = folder.iterdir()
    return package


def put_into_zoo(packed: Path, zoo: Path) -> Path:
    """Unpack the bundle and copy its unit tests to where the zoo has them; the bundle's folder there is given."""
    shutil.copytree(
        ROOT / "tests" / "model_zoo", zoo / "ci" / "unit_tests", ignore=shutil.ignore_patterns("conftest.py")
    )
    return unpack(packed / f"{packed.name}.zip", zoo / "models")


def test_the_zoos_gates_and_unit_tests_pass_on_the_packed_bundle(packed: Path, tmp_path: Path) -> None:
    root = put_into_zoo(packed, tmp_path)
    (tmp_path / "models" / "model_info.json").write_text(json.dumps({f"{NAME}_v0.0.1": {}}))
    if SCHEMA.is_file():
        (root / "eval").mkdir()
        shutil.copy(SCHEMA, root / "eval" / "schema.json")
    result = run_elsewhere(GATES, tmp_path, NAME)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("all gates passed\n")


@pytest.mark.soak
def test_the_zoos_training_on_several_gpus_passes_on_the_packed_bundle(packed: Path, tmp_path: Path) -> None:
    put_into_zoo(packed, tmp_path)
    (tmp_path / "ci" / "unit_tests" / "utils.py").write_text(UTILS)
    result = run_elsewhere(DISTRIBUTED, tmp_path, NAME)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.endswith("trained by several processes\n")


def test_the_packed_bundle_is_driven_from_outside_beside_another_of_its_packages_name(
    packed: Path, tmp_path: Path
) -> None:
    elsewhere, other = tmp_path / "elsewhere", tmp_path / "other"
    elsewhere.mkdir()
    stack = np.random.default_rng(0).normal(1000, 50, (16, 32, 32)).astype(np.uint16)
    tifffile.imwrite(elsewhere / "cells.tif", stack, photometric="minisblack")
    (other / "bundle").mkdir(parents=True)
    (other / "configs").mkdir()
    (other / "bundle" / "__init__.py").write_text("")
    (other / "bundle" / "nets.py").write_text("class Net:\n    pass\n")
    config = {"net": {"_target_": "bundle.nets.Net"}, "run": ["$@net"]}
    (other / "configs" / "inference.json").write_text(json.dumps(config))
    (other / "configs" / "metadata.json").write_text("{}")
    result = run_elsewhere(OUTSIDE, elsewhere, str(packed), NAME, str(other))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "the other: Cannot locate" in result.stdout
    assert "bundle.nets.Net" in result.stdout
    assert result.stdout.endswith("driven from outside\n")
