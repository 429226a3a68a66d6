import csv
from pathlib import Path

import numpy as np
import pytest

from bundle.errors import BundleError
from bundle.predicting import summary as summary_module
from bundle.predicting.summary import COLUMNS, Summary


def lines(path):
    with path.open(newline="", encoding="utf-8") as file:
        return {row["file"]: row for row in csv.DictReader(file)}


def test_a_line_a_stack_written_after_each(tmp_path):
    summary = Summary(tmp_path / "summary.csv")
    with summary.measured("a.tif", lambda: None):
        summary.note("TZCYX", (5, 6, 7), (0.5, 0.108, 0.108))
        kept = np.ones(30_000_000, np.uint8)
    first = lines(tmp_path / "summary.csv")
    assert list(first) == ["a.tif"]
    assert first["a.tif"]["status"] == "predicted"
    assert first["a.tif"]["axes"] == "TZCYX"
    assert first["a.tif"]["shape"] == "5 x 6 x 7"
    assert first["a.tif"]["spacing_um"] == "0.5 x 0.108 x 0.108"
    assert float(first["a.tif"]["seconds"]) >= 0
    assert float(first["a.tif"]["peak_memory_mb"]) > kept.nbytes / 1e6
    with summary.measured("b.tif", lambda: "b.tif is broken, mend it."):
        pass
    second = lines(tmp_path / "summary.csv")
    assert second["a.tif"] == first["a.tif"]
    assert (second["b.tif"]["status"], second["b.tif"]["error"]) == ("failed", "b.tif is broken, mend it.")


def test_a_stack_that_was_stopped_has_no_line(tmp_path):
    summary = Summary(tmp_path / "summary.csv")
    with pytest.raises(KeyboardInterrupt), summary.measured("a.tif", lambda: None):
        raise KeyboardInterrupt
    assert not (tmp_path / "summary.csv").exists()


def test_lines_of_an_earlier_run_stay(tmp_path):
    for name in ("a.tif", "b.tif"):
        summary = Summary(tmp_path / "summary.csv")
        summary.read()
        with summary.measured(name, lambda: None):
            pass
    assert list(lines(tmp_path / "summary.csv")) == ["a.tif", "b.tif"]


def measure(summary, name, error=None):
    with summary.measured(name, lambda: error):
        pass


def test_lines_that_another_process_wrote_meanwhile_stay(tmp_path):
    path = tmp_path / "summary.csv"
    earlier = Summary(path)
    measure(earlier, "c.tif", "Memory ran out.")
    earlier.finish()
    one, other = Summary(path), Summary(path)
    for summary in (one, other):
        summary.read()
    measure(one, "a.tif")
    measure(other, "b.tif")
    measure(other, "c.tif")
    other.finish()
    measure(one, "d.tif")
    expected = dict.fromkeys(["a.tif", "b.tif", "c.tif", "d.tif"], "predicted")
    assert {file: line["status"] for file, line in lines(path).items()} == expected
    one.finish()
    assert {file: line["status"] for file, line in lines(path).items()} == expected


@pytest.mark.parametrize("place", ["open", "_read_table", "flush", "replace"])
@pytest.mark.parametrize("step", ["record", "finish"])
def test_a_writer_that_slept_while_its_claim_expired_puts_no_older_table_back(tmp_path, monkeypatch, place, step):
    """Wherever in its writing it was stopped: another one finishes the run meanwhile, and has removed its journal."""
    path = tmp_path / "summary.csv"
    slow = Summary(path)
    slow.read()
    if step == "finish":
        measure(slow, "a.tif")
    owner = Path if place in ("open", "replace") else summary_module
    original, asleep = getattr(owner, place), []

    def stopped(*arguments, **options):
        writing = place in ("_read_table", "flush") or arguments[0].suffix == ".new"
        if writing and not asleep:
            asleep.append(True)
            other = Summary(path)  # of this process, so that the claim counts as expired at once
            other.read()
            measure(other, "b.tif")
            other.finish()
            assert "b.tif" in lines(path)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, place, stopped)
    if step == "record":
        measure(slow, "a.tif")
    slow.finish()
    assert asleep
    assert set(lines(path)) == {"a.tif", "b.tif"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"file,cells\na.tif,3\n",
        b"\xff\xfe\x00",
        b"",
        b",".join(c.encode() for c in COLUMNS) + b"\n1,2\n1,2,3,4,5,6,7,8,9\n",
    ],
)
def test_a_file_of_ones_own_is_not_touched(tmp_path, content):
    path = tmp_path / "summary.csv"
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"summary\.csv.*--output_dir"):
        Summary(path).read()
    assert path.read_bytes() == content


def test_a_single_stack_needs_no_file(tmp_path):
    summary = Summary(None)
    summary.read()
    with summary.measured("a.tif", lambda: None):
        pass
    assert list(tmp_path.iterdir()) == []
