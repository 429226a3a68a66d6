"""The benchmark's command: a row for each variant, compared with the literal network, in a JSON file."""

import json
import multiprocessing

import pytest

from bundle.benchmark import inference, measurement
from bundle.benchmark.inference import Variant
from bundle.commands.benchmark import benchmark
from bundle.errors import BundleError

KEYS = [
    *("part", "variant", "engine", "precision", "quality", "shape", "seconds", "voxels_per_second", "gflops"),
    *("share_of_peak", "peak_bytes", "ratio_to_literal", "r", "max_abs_error"),
]


def test_a_row_for_each_variant_says_how_it_compares(tmp_path, monkeypatch):
    compared = [Variant("literal", "torch", "fp32", "paper"), Variant("repmode", "torch", "fp32", "paper")]
    monkeypatch.setattr(inference, "variants", lambda _: compared)
    monkeypatch.setattr(inference, "CALIBRATION_WINDOWS", 1)
    monkeypatch.setattr(measurement, "SIZES", (256,))
    fork = multiprocessing.get_context("fork")  # test_measurement.py has processes that import all anew
    monkeypatch.setattr(measurement.multiprocessing, "get_context", lambda _: fork)
    output = tmp_path / "figures.json"
    benchmark(str(output), part="inference", base_width=2, shape=[16, 48, 48], rounds=1)
    report = json.loads(output.read_text(encoding="utf-8"))
    literal, ours = report["rows"]
    assert set(KEYS) <= set(literal)
    assert (literal["variant"], literal["ratio_to_literal"], literal["max_abs_error"]) == ("literal", 1, 0)
    assert ours["shape"] == [16, 48, 48]
    assert ours["r"] > 0.9999
    assert 0 < ours["max_abs_error"] < 1e-4
    assert ours["ratio_to_literal"] == pytest.approx(literal["seconds"] / ours["seconds"])
    assert ours["gflops"] * ours["seconds"] == pytest.approx(literal["gflops"] * literal["seconds"])
    assert report["machine"]["threads"] >= 1


def test_variants_are_every_engine_and_precision_that_is_there():
    pytest.importorskip("openvino")
    found = [str(variant) for variant in inference.variants("cpu")]
    assert found[0] == "literal torch fp32 paper"
    assert {"repmode torch fp32 fast", "repmode openvino int8 paper", "BasicUNet torch fp32 fast"} <= set(found)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"part": "both"}, "--part one of all"),
        ({"device": "cuda"}, "--device cpu"),
        ({"shape": [64, 64]}, "shape"),
        ({"part": "training", "patch_size": [16, 64, 60]}, "--patch_size"),
        ({"device": "mps"}, "--device is 'mps'; the benchmark runs on cpu or cuda"),
        ({"rounds": 0}, "--rounds is 0; give a whole number from 1"),
    ],
)
def test_bad_options_are_one_sentence(tmp_path, monkeypatch, options, found):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BundleError, match=found):
        benchmark(str(tmp_path / "figures.json"), **{"part": "inference", **options})
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    (tmp_path / "figures.json").write_text("mine", encoding="utf-8")
    with pytest.raises(BundleError, match="--overwrite True"):
        benchmark(str(tmp_path / "figures.json"))
