"""What the evaluation workflow reports: a table a volume, a table a task, and figures."""

from bundle.evaluation.report import EvaluationReport
from bundle.evaluation.stacks import MeasurableStacks

__all__ = ["EvaluationReport", "MeasurableStacks"]
