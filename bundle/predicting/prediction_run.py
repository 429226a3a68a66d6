"""One run over one or many stacks: which are to be predicted, which this process takes, and which of them failed."""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bundle.claims import CLAIMS, Claims
from bundle.errors import BundleError, find_file_fault
from bundle.files import remove
from bundle.predicting.inputs import find_stacks
from bundle.predicting.outputs import Outputs
from bundle.predicting.record import describe, describe_origin
from bundle.predicting.sharing import Part, share
from bundle.predicting.summary import Summary
from bundle.stacks.formats.ome_zarr import plate_fields
from bundle.stacks.formats.series import AUTO
from bundle.stacks.reader import FileReader
from bundle.stacks.source import StackSource, choose_sources
from bundle.stacks.stack import StackReader
from bundle.windows.memory import is_out_of_memory

logger = logging.getLogger(__name__)

SUMMARY_NAME = "summary.csv"
STATE = "state.json"  # in the folder of an unfinished prediction


class PredictionRun:
    """The stacks of one run, their output files, and the ones that could not be predicted.

    Args:
        inputs: what `find_stacks` takes.
        output_dir: folder of the predictions, made when missing.
        overwrite: whether predictions of an earlier run may be replaced.
        output_format: file format of the predictions, see `bundle.predicting.output_format`; None = as the input's.
        scene: which scene of each file: its index, "all", or None for the only one.
        timepoint: the same for its time point.
        reader: of the files; it is asked how many scenes and time points "all" means.
        skip_finished: whether stacks that are predicted already, from the same file with the same objects, are passed
            over (unless `overwrite` is true).
        stack_files: see `find_stacks`.
        part: "i/N" of a worker that shares the stacks, and the blocks of large ones, with others; None works alone.
        spread: whether each prediction has a file of its spread beside it.

    Attributes:
        inputs: the stacks; where a scene or time point was chosen, the path says it, see `StackSource`.
        pending: those that are to be predicted, not being finished.
        outputs: where the prediction of each goes.
        made_with: descriptions of what predictions depend on besides their files, see `make_with`.

    Raises:
        BundleError: no input is there, two of one folder would get the same output, there is no such format or part,
            or scene or timepoint is neither an index nor "all".
    """

    def __init__(
        self,
        inputs: str | Path | Sequence[str | Path],
        output_dir: str | Path,
        overwrite: bool = False,
        output_format: str | None = None,
        scene: int | str | None = None,
        timepoint: int | str | None = None,
        reader: StackReader | None = None,
        skip_finished: bool = False,
        stack_files: str | bool | None = AUTO,
        part: str | None = None,
        spread: bool = False,
    ) -> None:
        self.part = Part.parse(part)
        files = find_stacks(inputs, stack_files=stack_files)
        count = (reader or FileReader()).count_timepoints
        sources = (choose_sources(file, scene, timepoint, count, plate_fields) for file in files)
        self.inputs = [Path(str(source)) for chosen in sources for source in chosen]
        self.output_dir = Path(output_dir).expanduser()
        self.outputs = Outputs(self.inputs, self.output_dir, output_format, spread)
        self.overwrite = overwrite
        self.failures: dict[Path, str] = {}
        self.skip_finished = skip_finished
        self.made_with: dict[str, Any] = {}
        self._began = 0
        self._at_work: set[Path] = set()
        self.pending = list(self.inputs)
        self.summary = Summary(self.output_dir / SUMMARY_NAME if len(self.inputs) > 1 else None)
        self.claims = Claims(self.output_dir / CLAIMS)

    def make_with(self, **parts: Any) -> None:
        """Take note of the objects that predictions depend on besides their files, as they are now.

        Args:
            parts: network, transforms, windows and whatever else changes the values, each described by `describe`.
        """
        self.made_with = describe(parts)

    def origin(self, path: str | Path) -> dict[str, Any]:
        """Describe what the prediction of an input is made from, see `describe_origin`."""
        return describe_origin(str(path), StackSource.parse(path).path, self.made_with)

    def is_finished(self, path: Path) -> bool:
        """Tell whether volume, preview and statistics of an input are there, alone, and made from the same."""
        volume, preview, statistics = self.outputs.of(path)
        expected = [file for file in (volume, self.outputs.spread(path)) if file is not None]
        try:
            record = json.loads(statistics.read_text(encoding="utf-8"))
            there = preview.exists() and self.outputs.volumes(path) == expected
            return bool(
                there and record["volume"] == self.outputs.volume_name(path) and record["origin"] == self.origin(path)
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def is_published(self, path: Path) -> bool:
        """Tell whether the volume of an input stands under its final name, which it takes last."""
        return self.outputs.of(path)[0].exists()

    def is_interrupted(self, path: str | Path) -> bool:
        """Tell whether all that stands of an input is what a run like this left that was killed while naming files."""
        statistics = self.outputs.of(path)[2]
        try:
            record = json.loads(statistics.read_text(encoding="utf-8"))
            return self.outputs.volumes(path) == self.outputs.spreads(path) and bool(
                record["origin"] == self.origin(path)
            )
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return False

    def remove_leftovers(self, path: str | Path) -> None:
        """Remove what `is_interrupted` tells of."""
        if not self.overwrite and self.is_interrupted(path):
            for file in (*self.outputs.of(path)[1:], *self.outputs.spreads(path)):
                remove(file)

    def cuts_of(self, path: Path) -> tuple[int, int, int] | None:
        """Into how many parts along Z, Y and X workers have cut a stack that they share; None where none has begun."""
        if self.part is None:
            return None
        try:
            state = json.loads((self.outputs.unfinished(path) / STATE).read_text(encoding="utf-8"))
            z, y, x = map(int, state["cuts"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return z, y, x

    def work(self) -> Iterator[Path]:
        """Give the stacks that this process is to predict, one after the other, until all are done by someone."""
        if self.part is None:
            yield from (path for path in self.pending if self._claim(path))
            return
        shared = share(
            self.part.rotate(self.pending),
            self.claims,
            name=str,
            is_done=lambda path: path in self.failures or self.is_published(path) or self._failed_elsewhere(path),
            is_open=lambda path: self.cuts_of(path) is not None,
            is_busy=self._at_work.__contains__,
        )
        for path in shared:
            self._at_work.add(path)
            yield path

    def _claim(self, path: Path) -> bool:
        """Claim a stack for this run alone; one that another is predicting has failed."""
        claimed = self.claims.wait_for_holder(str(path))
        if not claimed:
            holder = self.claims.holder(str(path)) or "another run"
            self.fail(
                path,
                BundleError(
                    f"{path} is being predicted into {self.output_dir} by {holder}; wait for it, share the work by "
                    "--part i/N in both commands, or give another --output_dir."
                ),
            )
        return claimed

    def leave(self, path: Path) -> None:
        """Let go of a stack that is done or has failed, and let workers that are there know of the latter."""
        if self.part is not None and path in self.failures:
            self._failure(path).touch()
        self._at_work.discard(path)
        self.claims.release(str(path))

    def _failure(self, path: Path) -> Path:
        return self.claims.path(str(path), 0).with_suffix(".failed")

    def _failed_elsewhere(self, path: Path) -> bool:
        """Tell whether another worker has failed with a stack since this one began: a later run tries it again."""
        try:
            return self._failure(path).stat().st_mtime_ns >= self._began
        except OSError:
            return False

    def measured(self, path: Path) -> AbstractContextManager[None]:
        """Measure what one stack costs, for the summary."""
        return self.summary.measured(str(path), lambda: self.failures.get(path))

    def check(self) -> None:
        """Refuse, before anything is computed, what would lose files.

        Raises:
            BundleError: an output exists and `overwrite` is false or it is an input, or the output folder cannot be
                made or written to.
        """
        if self.part is not None and (self.overwrite or not self.skip_finished):
            raise BundleError(
                "Workers that share their work tell by what stands what is done; give --part without --overwrite True "
                "and --skip_finished False, and another --output_dir to begin anew."
            )
        if self.skip_finished and not self.overwrite:
            self.pending = [path for path in self.inputs if not self.is_finished(path)]
            if len(self.pending) < len(self.inputs):
                logger.info(
                    "%d of %d stacks are predicted already, from the same files with the same settings, and passed "
                    "over; --overwrite True predicts them anew",
                    len(self.inputs) - len(self.pending),
                    len(self.inputs),
                )
        standing = [(path, [*self.outputs.volumes(path), *self.outputs.of(path)[1:]]) for path in self.pending]
        present = [output for path, outputs in standing for output in outputs if self._is_in_the_way(path, output)]
        self._refuse_inputs(present)
        if present and not self.overwrite:
            others = f", as do {len(present) - 1} more outputs" if len(present) > 1 else ""
            raise BundleError(
                f"{present[0]} exists already{others}; give --overwrite True to replace what is there, or another "
                "--output_dir."
            )
        try:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.output_dir):
                pass
        except OSError as error:
            raise BundleError(
                f"The folder {self.output_dir} cannot be made or written to ({error.strerror}); give another "
                "--output_dir."
            ) from error
        self.summary.read()
        for path in self.inputs:
            if path not in self.pending and str(path) not in self.summary.rows:
                self.summary.recover(str(path), self.outputs.of(path)[2])
        if self.part is not None:
            with tempfile.NamedTemporaryFile(dir=self.output_dir, prefix=".") as file:
                self._began = Path(file.name).stat().st_mtime_ns  # by the clock of the disk

    def _is_in_the_way(self, path: Path, output: Path) -> bool:
        """Tell whether an output stands that is neither what a killed run left nor another worker's of just now."""
        return output.exists() and (self.overwrite or not (self.is_interrupted(path) or self.is_finished(path)))

    def _refuse_inputs(self, outputs: Sequence[Path]) -> None:
        """Refuse to replace an input."""
        inputs = {StackSource.parse(path).path.resolve() for path in self.inputs}
        taken = next((output for output in outputs if output.resolve() in inputs), None)
        if taken is not None:
            raise BundleError(
                f"{taken} is an input and would be replaced by the prediction of another; give another --output_dir."
            )

    def fail(self, path: str | Path, error: Exception) -> None:
        """Record that a stack cannot be predicted, and say so when others are still to be done.

        Args:
            path: the stack.
            error: what was raised; all but BundleErrors, OSErrors and lack of memory are raised again, being faults of
                this program.
        """
        sentence = find_file_fault(error, str(path))
        if sentence is None and is_out_of_memory(error):
            sentence = (
                f"Memory ran out while {path} was predicted; close other programs, or give a smaller --memory_budget "
                "or fewer --tasks at a time."
            )
        if sentence is None:
            raise error
        self.failures[Path(path)] = sentence
        if len(self.inputs) > 1:
            logger.error(sentence)

    def finish(self) -> None:
        """Say at the end how many stacks failed.

        Raises:
            BundleError: at least one failed, so that the exit code says it too.
        """
        self.claims.release_all()
        self.summary.finish()
        if len(self.summary.spacings) > 1:
            logger.warning(
                "The stacks have %d different voxel sizes (Z x Y x X: %s µm); each was resampled from its own.",
                len(self.summary.spacings),
                "; ".join(sorted(self.summary.spacings)),
            )
        if not self.failures:
            logger.info("%d of %d stacks predicted into %s", len(self.pending), len(self.inputs), self.output_dir)
            return
        if len(self.inputs) == 1:
            raise BundleError(next(iter(self.failures.values())))
        names = ", ".join(path.name for path in self.failures)
        raise BundleError(
            f"{len(self.failures)} of {len(self.inputs)} stacks could not be predicted ({names}); the errors above say "
            "why, and the others are done."
        )
