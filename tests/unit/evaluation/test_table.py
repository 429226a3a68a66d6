import csv
import io
import math

import pytest

from bundle.evaluation.report import format_csv, format_table, summarize_tasks

VOLUMES = [
    {"file": "a", "task": "dna", "mse": 1.0, "r2": 0.5},
    {"file": "b", "task": "tom20", "mse": 4.0, "r2": math.nan},
    {"file": "c", "task": "dna", "mse": 3.0, "r2": 0.25},
]


def test_tasks_have_mean_deviation_and_count_and_all_is_over_volumes():
    rows = summarize_tasks(VOLUMES, ["tom20", "dna", "zo1"], ["mse", "r2"])
    assert [(row["task"], row["volumes"]) for row in rows] == [("tom20", 1), ("dna", 2), ("All", 3)]
    assert [row["mse"] for row in rows] == pytest.approx([4.0, 2.0, 8 / 3])
    assert rows[1]["mse_std"] == pytest.approx(1.0)
    assert rows[2]["r2"] == pytest.approx(0.375)
    assert math.isnan(rows[0]["r2"])


def test_csv_leaves_undefined_values_empty():
    rows = list(csv.DictReader(io.StringIO(format_csv(VOLUMES))))
    assert [row["r2"] for row in rows] == ["0.5", "", "0.25"]
    assert rows[2] == {"file": "c", "task": "dna", "mse": "3.0", "r2": "0.25"}


def test_the_printed_table_has_a_line_a_task():
    lines = format_table(summarize_tasks(VOLUMES, ["dna", "tom20"], ["mse", "r2"]), ["mse", "r2"]).splitlines()
    assert [line.split()[0] for line in lines] == ["task", "dna", "tom20", "All"]
    assert "2.000 ± 1.000" in lines[1]
    assert len({len(line) for line in lines}) == 1
