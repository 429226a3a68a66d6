"""When a training run validates: every so many epochs, and at its end."""

from ignite.engine import Engine, Events
from monai.handlers import ValidationHandler


class IntervalValidation(ValidationHandler):  # type: ignore[misc]
    """MONAI's ValidationHandler, which also validates after the last epoch, be it a multiple of `interval` or not."""

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED(event_filter=self._is_due), self)

    def _is_due(self, engine: Engine, epoch: int) -> bool:
        return bool(epoch % self.interval == 0 or epoch == engine.state.max_epochs)
