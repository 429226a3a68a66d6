"""What is imported before it is needed: seconds that everyone waits for, seen without measuring any."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHOW = "import atexit, json, sys; atexit.register(lambda: print('\\n' + json.dumps(sorted(sys.modules))))\n"


def loaded(program, *words, cwd=ROOT):
    """Give the exit code, what was said, and the names of the modules that a program has at its end."""
    code = f"{SHOW}import sys; sys.path.insert(0, {str(ROOT)!r}); sys.argv = {list(words)!r}\n{program}"
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)
    *said, modules = done.stdout.rstrip().splitlines()
    return done, "\n".join(said), set(json.loads(modules))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--help"], 0, "usage: repmode"),
        (["benchmark", "--help"], 0, "usage: repmode benchmark"),
        (["benchmark", "--otput", "a.json"], 1, "did you mean --output?"),
        (["predict", "--help"], 0, "usage: repmode predict"),
        (["predict", "a.tif", "--overwrite", "flase"], 1, "--overwrite is 'flase'; give True or False."),
        (["train", "--config", "none.yaml"], 1, "The config none.yaml is not there"),
        (["--print_completion", "bash"], 0, "complete "),
    ],
)
def test_a_command_loads_no_package_before_what_was_typed_is_understood(tmp_path, words, code, said):
    done, shown, modules = loaded("from bundle.commands import main\nmain()", "repmode", *words, cwd=tmp_path)
    assert (done.returncode, said in shown + done.stderr) == (code, True), done.stderr
    assert modules.isdisjoint({"torch", "monai", "numpy", "scipy", "bundle.benchmark", "bundle.workflow"})


def test_the_package_itself_loads_none(tmp_path):
    done, _, modules = loaded("import bundle\nassert 'Predictor' in bundle.__all__", "x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert modules.isdisjoint({"torch", "monai", "numpy", "bundle.predictor"})


def test_a_refused_option_of_a_config_adds_nothing_to_what_monai_loads(tmp_path):
    config = str(ROOT / "configs" / "inference.yaml")
    program = (
        "import monai.bundle, fire\nbefore = set(sys.modules)\n"
        "import atexit; atexit.register(lambda: print(json.dumps(sorted(set(sys.modules) - before))))\n"
        "fire.Fire({'run': monai.bundle.run})"
    )
    words = ["/x/monai/bundle/__main__.py", "run", "--config_file", config, "--overwrite", "flase"]
    done, shown, _ = loaded(program, *words, cwd=tmp_path)
    assert done.stderr.splitlines()[-1] == "Error: --overwrite is 'flase'; give True or False."
    assert done.returncode == 1
    added = json.loads(shown.splitlines()[-1])
    ours = {name for name in added if name.startswith("bundle.")}
    assert ours
    assert all(
        name in ("bundle.device", "bundle.errors", "bundle.interruption", "bundle.log")
        or name.startswith("bundle.knobs")
        for name in ours
    )
    heavy = {"openvino", "nncf", "onnxruntime", "zarr", "matplotlib", "bioio", "tifffile", "skimage", "imagecodecs"}
    assert heavy.isdisjoint(name.split(".")[0] for name in added)


def test_a_prediction_loads_runtimes_and_formats_only_for_what_it_is_given(tmp_path):
    program = (
        "import monai.bundle\nbefore = set(sys.modules)\nsys.path.insert(0, sys.argv[1])\n"
        f"parser = monai.bundle.ConfigParser()\nparser.read_config({str(ROOT / 'configs' / 'inference.yaml')!r})\n"
        "parser['engine'] = 'torch'\n"
        "for name in ('network', 'prediction_run', 'dataset', 'inferer', 'opener', 'evaluator'):\n"
        "    parser.get_parsed_content(name)\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done, shown, _ = loaded(program, "x", str(ROOT), cwd=tmp_path)
    added = {name.split(".")[0] for name in json.loads(shown.splitlines()[-1])}
    assert "bundle" in added, done.stderr
    assert added.isdisjoint({"openvino", "nncf", "onnx", "onnxruntime", "zarr", "bioio", "bioio_czi", "pandas"})
