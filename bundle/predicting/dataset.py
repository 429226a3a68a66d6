"""The blocks of a run's stacks one after the other, read ahead; a stack that fails leaves the others."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import torch
from monai.data import IterableDataset, MetaTensor
from monai.engines import SupervisedEvaluator
from monai.utils import TraceKeys
from tqdm import tqdm

from bundle.network.known_images import KnownImages
from bundle.predicting.adaptation import Adaptation
from bundle.predicting.blocks import Block, slabs_of
from bundle.predicting.likeness import compare_with_training, warn_of_unlike
from bundle.predicting.prediction_run import PredictionRun
from bundle.predicting.saving import SaveBlockd
from bundle.predicting.stack_prediction import BlockPart, StackOpener, StackPrediction
from bundle.preprocessing.resample_transform import REGION, as_ends
from bundle.preprocessing.resampling import Region

logger = logging.getLogger(__name__)


T = TypeVar("T")
Made = StackPrediction | dict[str, Any] | Exception | None
"""A stack that was opened, one of its blocks preprocessed, why one of these failed, or None where it ends."""
Step = tuple[Path, Made]


class BlockDataset(IterableDataset):  # type: ignore[misc]
    """Each block of each input of a run, preprocessed; a stack that fails is recorded in the run and left.

    While a block is predicted, a thread reads and preprocesses the next one. When a block is asked for, the one before
    is stored; behind the last block of a stack its files are written.

    Args:
        data: the run.
        transform: preprocessing, called with {"image": what the block reads}.
        opener: opens the stacks.
        saving: stores the blocks and writes the files.
        adaptation: makes a network of its own for a stack that is unlike those of the training, or for each.
        progress: whether bars over the windows are shown.
        known_images: what the network keeps of its training images, to warn of stacks unlike them; None = no warning.
    """

    unrecorded = ("data", "run", "opener", "saving", "progress", "adaptation", "known_images")

    def __init__(
        self,
        data: PredictionRun,
        transform: Callable[[dict[str, Any]], dict[str, Any]],
        opener: StackOpener,
        saving: SaveBlockd,
        adaptation: Adaptation,
        progress: bool = True,
        known_images: KnownImages | None = None,
    ) -> None:
        super().__init__(data=data.inputs, transform=transform)
        self.run = data
        self.opener = opener
        self.saving = saving
        self.progress = progress
        self.adaptation = adaptation
        self.known_images = known_images

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the blocks that can be preprocessed."""
        total = len(self.run.pending)
        steps = ahead(self._steps())
        with tqdm(desc="stacks", unit="stack", total=total, disable=total < 2) as bar:
            for number, (path, first) in enumerate(steps, start=1):
                logger.info("Stack %d of %d: %s", number, total, path)
                with self.run.measured(path):
                    yield from self._blocks(path, _to_its_end(first, steps))
                bar.update()

    def _blocks(self, path: Path, steps: Iterable[Made]) -> Iterator[dict[str, Any]]:
        """Yield the blocks of one stack, and finish it."""
        prediction = None
        for step in steps:
            if isinstance(step, Exception):
                self.run.fail(path, step)
            elif isinstance(step, StackPrediction):
                prediction = step
                meta = prediction.metadata
                self.run.summary.note(meta["axes"], meta["spatial_shape"], meta["spacing"])
                self.saving.begin(prediction, self.progress)
            elif path not in self.run.failures:
                yield step  # type: ignore[misc]
        if prediction is not None:
            self.saving.finish(prediction)
        self.run.leave(path)

    def _steps(self) -> Iterator[Step]:
        """Open one stack after the other and preprocess its blocks; a stack's end is a step, too."""
        for path in self.run.work():
            try:
                prediction = self.opener.open(path)
                self._adapt(prediction)
                yield path, prediction
                for block in prediction.blocks_left(self.run):
                    yield path, self._preprocess(prediction, block)
            except Exception as error:  # MONAI wraps what a transform raises; the run sorts it out
                yield path, error
            yield path, None

    def _adapt(self, prediction: StackPrediction) -> None:
        """Compare a stack with those of the training, and let the network follow it."""
        if self.known_images is not None:
            prediction.likeness = compare_with_training(prediction, self.transform, self.known_images)
        share = prediction.adapted_share = self.adaptation.share_for(prediction.likeness)
        if prediction.likeness is not None:
            told = f"know that {share:.0%} of its batch norm's statistics are from it"
            warn_of_unlike(prediction.path, prediction.likeness, told if share else self.adaptation.remedy)
        if share and prediction.blocks:
            prediction.network = self.adaptation(prediction, self.transform, share)

    def _preprocess(self, prediction: StackPrediction, block: Block) -> dict[str, Any]:
        """Preprocess what a block's windows see, slab by slab: the file's voxels are never there all at once."""
        own, network = prediction.light.own, prediction.light.network
        slabs = [self.transform({"image": BlockPart(prediction, slab)}) for slab in slabs_of(block, own, network)]
        image = join_slabs([slab["image"] for slab in slabs], block.windows)
        return {**slabs[0], "image": image}


def _to_its_end(first: Made, steps: Iterator[Step]) -> Iterator[Made]:
    """Yield what belongs to the stack at hand: whether more stacks follow may depend on what becomes of it."""
    made = first
    while made is not None:
        yield made
        made = next(steps)[1]


def join_slabs(slabs: Sequence[MetaTensor], region: Region) -> MetaTensor:
    """Join the preprocessed slabs (1, z, Y, X) of a block to the image of its windows, which cover a region.

    Whatever was done to the slabs can be undone as if it had been done to the image.
    """
    image = MetaTensor(torch.cat([slab.as_tensor() for slab in slabs], dim=1)).copy_meta_from(slabs[0])
    image.meta[REGION] = as_ends(region)
    for applied in image.applied_operations:
        if REGION in applied[TraceKeys.EXTRA_INFO]:
            applied[TraceKeys.EXTRA_INFO][REGION] = as_ends(region).tolist()
    return image


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield what an iterator gives, which makes the next item in a thread meanwhile."""
    end = object()
    worker = ThreadPoolExecutor(max_workers=1)
    try:
        following = worker.submit(next, items, end)
        while (item := following.result()) is not end:
            following = worker.submit(next, items, end)
            yield item  # type: ignore[misc]
    finally:  # not awaited: where nobody asks for more, it may be the worker itself that throws this generator away
        worker.shutdown(wait=False, cancel_futures=True)


class StackEvaluator(SupervisedEvaluator):  # type: ignore[misc]
    """Predicts and postprocesses a run's stacks; one that fails is recorded in the run, and the next one follows.

    Args:
        run: the run; it raises again what is no stack's fault.
        made_with: what predictions depend on besides their files, by name: one that is there counts as finished only
            if it was made with the same.
        adaptation: makes a network of its own for a stack that is unlike those of the training, or for each.
        kwargs: of `SupervisedEvaluator`; a batch is one stack, named by its image's `filename_or_obj`.
    """

    def __init__(self, run: PredictionRun, made_with: Mapping[str, Any], adaptation: Adaptation, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stacks = run
        self.made_with = made_with
        self.adaptation = adaptation

    def run(self, global_epoch: int = 1) -> None:
        """Predict the stacks that are not finished.

        Raises:
            BundleError: what is there would be lost, or a stack failed; see `PredictionRun`.
        """
        self.stacks.make_with(**self.made_with, adaptation=self.adaptation)
        self.adaptation.check()
        self.stacks.check()
        if self.stacks.pending:
            super().run(global_epoch)
        self.stacks.finish()

    def _iteration(self, engine: "StackEvaluator", batchdata: dict[str, Any]) -> dict[str, Any]:
        """Predict one stack."""
        try:
            output: dict[str, Any] = super()._iteration(engine, batchdata)
        except Exception as error:  # MONAI wraps what a transform raises; the run sorts it out
            (path,) = batchdata["image"].meta["filename_or_obj"]
            self.stacks.fail(path, error)
            output = engine.state.output = {}  # lets go of the memory
        return output
