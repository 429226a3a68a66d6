"""MONAI's evaluator for a run over many stacks, where one that fails leaves the others."""

from typing import Any

from monai.engines import SupervisedEvaluator

from bundle.inference.prediction_run import PredictionRun


class StackEvaluator(SupervisedEvaluator):  # type: ignore[misc]
    """Predicts and postprocesses a run's stacks; one that fails is recorded in the run, and the next one follows.

    Args:
        run: the run; it raises again what is no stack's fault.
        kwargs: of `SupervisedEvaluator`; a batch is one stack, named by its image's `filename_or_obj`.
    """

    def __init__(self, run: PredictionRun, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.stacks = run

    def _iteration(self, engine: "StackEvaluator", batchdata: dict[str, Any]) -> dict[str, Any]:
        """Predict one stack."""
        try:
            output: dict[str, Any] = super()._iteration(engine, batchdata)
        except Exception as error:  # MONAI wraps what a transform raises; the run sorts it out
            (path,) = batchdata["image"].meta["filename_or_obj"]
            self.stacks.fail(path, error)
            output = engine.state.output = {}  # lets go of the memory
        return output
