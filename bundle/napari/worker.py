"""A prediction in a thread of napari's: it tells of each window, and ends within one when it is to quit."""

import logging
from collections.abc import Callable
from typing import Any

from superqt.utils import WorkerBase
from superqt.utils._qthreading import GeneratorWorkerSignals  # napari's thread_worker has these, too


class _Cancelled(Exception):  # noqa: N818 - no error
    """The worker was told to quit."""


class _Relay(logging.Handler):
    """Hands on what the bundle warns of."""

    def __init__(self, tell: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one message."""
        self._tell(record.getMessage())


class PredictionWorker(WorkerBase):  # type: ignore[misc]
    """A worker as of napari's `thread_worker`.

    Its signals: `yielded` after each window with (done, all), `warned` with a tuple of one sentence, `returned` with
    the prediction unless it was cancelled, `errored` with the exception, `finished` in any case.

    Args:
        predict: makes the prediction, called with `on_window=`, see `Predictor.predict`.
    """

    def __init__(self, predict: Callable[..., Any]) -> None:
        super().__init__(SignalsClass=GeneratorWorkerSignals)
        self._predict = predict

    def work(self) -> Any:
        """Predict; called in the thread."""
        relay = _Relay(lambda sentence: self.warned.emit((sentence,)))
        log = logging.getLogger("bundle")
        log.addHandler(relay)
        try:
            return self._predict(on_window=self._after_window)
        except _Cancelled:
            return None
        finally:
            log.removeHandler(relay)

    def _after_window(self, done: int, total: int) -> None:
        self.yielded.emit((done, total))
        if self.abort_requested:
            raise _Cancelled
