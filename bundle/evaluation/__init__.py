"""What the evaluation workflow reports: a table a volume, a table a task, and figures."""

from bundle.evaluation.figures import TaskFigures
from bundle.evaluation.report import VolumeReport, check_report_dir

__all__ = ["TaskFigures", "VolumeReport", "check_report_dir"]
