"""The progress bar of training: one bar an epoch, with the loss of the batch at hand."""

from typing import Any

from ignite.engine import Engine
from ignite.handlers import ProgressBar
from monai.handlers import from_engine


class LossProgressBar(ProgressBar):  # type: ignore[misc]
    """ignite's progress bar, attached as MONAI attaches handlers (with the engine alone) and showing the loss."""

    def attach(self, engine: Engine, *args: Any, **kwargs: Any) -> None:
        """Attach to a trainer whose output is a list of dictionaries with "loss"."""
        loss = from_engine("loss", first=True)
        kwargs.setdefault("output_transform", lambda output: {"loss": float(loss(output))})
        super().attach(engine, *args, **kwargs)
