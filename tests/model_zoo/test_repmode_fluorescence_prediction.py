"""The Model Zoo's unit test of this bundle, in its form: for its ci/unit_tests, started from its root.

Here, tests/interoperability/test_model_zoo.py runs it on the packed bundle.
"""

import csv
import os
import shutil
import sys
import tempfile
import unittest

import numpy as np
import tifffile
from monai.bundle import ConfigWorkflow

BUNDLE_ROOT = "models/repmode_fluorescence_prediction"
SMALL = {"roi_size": [16, 32, 32], "device": "cpu"}
TRAIN = {"base_width": 2, "max_epochs": 1, "patch_size": [16, 32, 32], "batch_size": 2, "tasks": ["dna", "zo1"]}


def check_workflow(workflow: ConfigWorkflow) -> None:
    """Check the properties of a workflow, and run it."""
    workflow.initialize()
    missing = workflow.check_properties()
    if missing:
        raise ValueError(f"The workflow has no {missing}.")
    workflow.run()
    workflow.finalize()


def write_dataset(folder: str) -> None:
    """Write small stacks of noise with a dataset.csv: four for training, two for validation, two for the test."""
    random = np.random.default_rng(0)
    rows = [["split", "task", "image", "image_channel", "target", "target_channel"]]
    for number in range(8):
        name, task = f"{number}.ome.tiff", ["dna", "zo1"][number % 2]
        split = ["train", "train", "train", "train", "validation", "validation", "test", "test"][number]
        metadata = {"axes": "CZYX", "PhysicalSizeX": 0.29, "PhysicalSizeY": 0.29, "PhysicalSizeZ": 0.29}
        units = {f"PhysicalSize{axis}Unit": "µm" for axis in "XYZ"}
        stack = random.normal(1000, 50, (2, 16, 32, 32)).astype(np.uint16)
        tifffile.imwrite(os.path.join(folder, name), stack, metadata={**metadata, **units})
        rows.append([split, task, name, "0", name, "1"])
    with open(os.path.join(folder, "dataset.csv"), "w", newline="") as file:
        csv.writer(file).writerows(rows)


@unittest.skipUnless(os.path.isdir(BUNDLE_ROOT), "this is not the root of a model zoo with this bundle in it")
class TestRepModeFluorescencePrediction(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        sys.path = [BUNDLE_ROOT, *sys.path]
        write_dataset(self.folder)

    def tearDown(self) -> None:
        shutil.rmtree(self.folder)

    def workflow(self, name: str, workflow_type: str, **override: object) -> ConfigWorkflow:
        return ConfigWorkflow(
            workflow_type=workflow_type,
            config_file=os.path.join(BUNDLE_ROOT, f"configs/{name}.json"),
            logging_file=os.path.join(BUNDLE_ROOT, "configs/logging.conf"),
            meta_file=os.path.join(BUNDLE_ROOT, "configs/metadata.json"),
            bundle_root=BUNDLE_ROOT,
            output_dir=os.path.join(self.folder, name),
            **SMALL,
            **override,
        )

    def test_train_config(self) -> None:
        check_workflow(self.workflow("train", "train", dataset_dir=self.folder, **TRAIN))
        self.assertIn("model.pt", os.listdir(os.path.join(self.folder, "train")))

    def test_evaluate_config(self) -> None:
        check_workflow(self.workflow("evaluate", "evaluation", dataset_dir=self.folder, tasks=["dna"]))
        self.assertIn("volumes.csv", os.listdir(os.path.join(self.folder, "evaluate")))

    def test_infer_config(self) -> None:
        stack = os.path.join(self.folder, "0.ome.tiff")
        check_workflow(self.workflow("inference", "inference", input=stack, channel=0, tasks=["dna"]))
        self.assertIn("0_pred.ome.tiff", os.listdir(os.path.join(self.folder, "inference")))


if __name__ == "__main__":
    unittest.main()
