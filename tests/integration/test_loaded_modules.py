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
    [(["--help"], 0, "Usage: repmode-benchmark"), (["--otput", "a.json"], 1, "did you mean --output?")],
)
def test_a_command_loads_no_package_before_what_was_typed_is_understood(tmp_path, words, code, said):
    program = "from bundle.commands import start_benchmark\nstart_benchmark()"
    done, shown, modules = loaded(program, "repmode-benchmark", *words, cwd=tmp_path)
    assert (done.returncode, said in shown + done.stderr) == (code, True), done.stderr
    assert modules.isdisjoint({"torch", "monai", "numpy", "scipy", "bundle.benchmark"})


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
    assert all(name in ("bundle.device", "bundle.errors") or name.startswith("bundle.knobs") for name in ours)
    heavy = {"openvino", "nncf", "onnxruntime", "zarr", "matplotlib", "bioio", "tifffile", "skimage", "imagecodecs"}
    assert heavy.isdisjoint(name.split(".")[0] for name in added)
