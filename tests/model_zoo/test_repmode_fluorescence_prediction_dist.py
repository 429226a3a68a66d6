"""The Model Zoo's test of this bundle on several GPUs, in its form: for its ci/unit_tests, started from its root.

Here, tests/interoperability/test_model_zoo.py runs its training on the packed bundle; where there is no GPU, two CPU
processes take part.
"""

import os
import shutil
import tempfile
import unittest

import torch
from test_repmode_fluorescence_prediction import BUNDLE_ROOT, TRAIN, write_dataset
from utils import export_config_and_run_mgpu_cmd

PROCESSES = min(torch.cuda.device_count(), 2) or 2  # as many as there are stacks for validation
SMALL = {"bundle_root": BUNDLE_ROOT, "roi_size": [16, 32, 32]}


@unittest.skipUnless(os.path.isdir(BUNDLE_ROOT), "this is not the root of a model zoo with this bundle in it")
class TestRepModeFluorescencePredictionMGPU(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        write_dataset(self.folder)

    def tearDown(self) -> None:
        shutil.rmtree(self.folder)

    def run_mgpu(self, config: str, overlay: str, **override: object) -> list[str]:
        """Run a config with its overlay, and list what it wrote."""
        configs, output_dir = os.path.join(BUNDLE_ROOT, "configs"), os.path.join(self.folder, "output")
        export_config_and_run_mgpu_cmd(
            config_file=[os.path.join(configs, config), os.path.join(configs, overlay)],
            meta_file=os.path.join(configs, "metadata.json"),
            logging_file=os.path.join(configs, "logging.conf"),
            override_dict={**SMALL, "output_dir": output_dir, **override},
            output_path=os.path.join(self.folder, "override.json"),
            ngpu=PROCESSES,
        )
        return os.listdir(output_dir)

    def test_train_mgpu_config(self) -> None:
        written = self.run_mgpu("train.json", "multi_gpu_train.yaml", dataset_dir=self.folder, **TRAIN)
        self.assertIn("model.pt", written)

    def test_infer_mgpu_config(self) -> None:
        stacks = [os.path.join(self.folder, f"{number}.ome.tiff") for number in range(2)]
        written = self.run_mgpu("inference.json", "multi_gpu_inference.yaml", input=stacks, channel=0, tasks=["dna"])
        self.assertTrue({"0_pred.ome.tiff", "1_pred.ome.tiff"} <= set(written))


if __name__ == "__main__":
    unittest.main()
