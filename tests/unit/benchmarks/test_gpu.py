"""The command that measures a GPU: its table, and where it puts it."""

import json

import pytest

from benchmarks import gpu
from bundle.errors import BundleError

MACHINE = {"card": "A card", "processor": "A processor", "torch": "2.13"}


def row(part, variant, precision, quality, ratio, share):
    figures = {"seconds": 0.5, "ratio_to_literal": ratio, "share_of_peak": share, "peak_bytes": 10**9, "r": None}
    return {"part": part, "variant": variant, "engine": "torch", "precision": precision, "quality": quality, **figures}


def report(width):
    rows = [
        row("inference", "literal", "fp32", "paper", 1.0, 0.1),
        row("inference", "repmode", "fp16", "fast", 7.25, 0.45),
        row("training", "repmode", "fp32", None, 2.5, 0.2),
    ]
    return {"machine": MACHINE, "command": "repmode benchmark", "time": "now", "base_width": width, "rows": rows}


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{gpu.BEGIN}\nold\n{gpu.END}\nafter\n", encoding="utf-8")
    return path


def test_the_table_takes_the_place_of_the_old_one(page, monkeypatch, tmp_path):
    def benchmark(output, part, width, *_, overwrite):
        assert (part, overwrite) == ("all", True)
        output.parent.mkdir(exist_ok=True)
        output.write_text(json.dumps(report(width)), encoding="utf-8")

    monkeypatch.setattr(gpu, "benchmark", benchmark)
    monkeypatch.setattr(gpu, "run_tests", lambda device: f"3 passed on {device}")
    gpu.measure("cuda", str(page), str(tmp_path / "figures"))
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{gpu.BEGIN}\nA card, PyTorch 2.13; tests: 3 passed on cuda.")
    assert text.endswith(f"{gpu.END}\nafter\n")
    assert "old" not in text
    assert "| 32 | inference | repmode | torch | fp16 | fast | 0.5 | 7.2 | 0.45 | 1e+09 | - |" in text
    wanted = [line for line in text.splitlines() if ">=" in line]
    assert [line.split("|")[2].strip() for line in wanted] == ["8", "32", "32", "8", "32"]
    assert "| inference fp16 fast: share of the half-precision peak >= 0.4 | 32 | 0.45 |" in wanted


def test_a_page_without_the_marks_is_left_alone(page):
    page.write_text("mine", encoding="utf-8")
    with pytest.raises(BundleError, match="lacks the lines"):
        gpu.put_between_marks(page, "table")
    assert page.read_text(encoding="utf-8") == "mine"


def test_tests_that_fail_end_it(monkeypatch):
    monkeypatch.setattr(gpu.sys, "executable", "false")  # in place of Python, and ends with 1
    with pytest.raises(BundleError, match="tests of cpu did not pass"):
        gpu.run_tests("cpu")
