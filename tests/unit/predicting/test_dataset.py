import threading

import numpy as np
import pytest
from monai.transforms import Compose, Lambda, LoadImaged

from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.predicting.adaptation import Adaptation
from bundle.predicting.dataset import BlockDataset, ahead
from bundle.predicting.output_values import OutputValues
from bundle.predicting.prediction_run import PredictionRun
from bundle.predicting.saving import SaveBlockd
from bundle.predicting.stack_prediction import StackOpener
from bundle.runtimes import make_engine
from bundle.stacks.formats.ome_tiff_writer import write_ome_tiff
from bundle.stacks.reader import FileReader
from bundle.windows.memory_aware_inferer import MemoryAwareInferer

SPACING = (0.3, 0.2, 0.2)


@pytest.fixture
def blocks(tmp_path):
    """Make the dataset of three stacks, whose files are never finished as no block is ever stored."""
    for name in "abc":
        array = np.random.default_rng(0).integers(0, 255, (1, 3, 8, 9)).astype(np.uint16)
        write_ome_tiff(tmp_path / f"{name}.tif", array, spacing=SPACING, channel_names=["bf"])
    run = PredictionRun(tmp_path, tmp_path / "out")
    inferer, values = MemoryAwareInferer(1, roi_size=16), OutputValues(["dna"], {})
    opener = StackOpener(run, FileReader(), None, SPACING, "before", "input", inferer, values)
    saving = SaveBlockd("pred", "image", Compose([]), run, inferer, values, "m.pt")
    saving.finish = lambda prediction: prediction.close()
    never = Adaptation(RepMode(["dna"], base_width=1), None, make_engine, adapt=False)
    return lambda transform: BlockDataset(run, transform, opener, saving, never, progress=False)


def name_of(item):
    return str(item["image"].meta["filename_or_obj"])[-5:]


def test_a_stack_that_fails_is_passed_over(blocks):
    def prepare(item):
        if str(item["image"]).endswith("b.tif"):
            raise BundleError("b.tif is broken; write it anew.")
        return item

    load = LoadImaged("image", reader=FileReader(), dtype=None, ensure_channel_first=True, expanduser=False)
    dataset = blocks(Compose([Lambda(prepare), load]))
    assert [name_of(item) for item in dataset] == ["a.tif", "c.tif"]
    assert list(dataset.run.failures.values()) == ["b.tif is broken; write it anew."]


def test_a_bug_is_not_passed_over(blocks):
    with pytest.raises(RuntimeError):
        list(blocks(Compose([Lambda(lambda item: item["no such key"])])))


def test_the_next_item_is_made_while_one_is_used():
    begun = []
    second = threading.Event()

    def items():
        for number in range(3):
            begun.append(number)
            if number == 1:
                second.set()
            yield number

    made = ahead(items())
    assert next(made) == 0
    assert second.wait(timeout=30)
    assert begun == [0, 1], "and no more than the next one"
    assert list(made) == [1, 2]


def test_an_error_on_the_way_is_raised_in_its_turn():
    def items():
        yield 1
        raise KeyError("lost")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(KeyError, match="lost"):
        next(made)
