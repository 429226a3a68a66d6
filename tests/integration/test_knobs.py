"""What a person types behind `python -m monai.bundle run`, from the words to the values that reach the config."""

import sys
from pathlib import Path

import fire
import pytest
import torch
from monai.bundle import ConfigWorkflow, run

from bundle.errors import find_sentence

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def typed(monkeypatch, tmp_path):
    """Type words for a config as MONAI's command line takes them, and give what `run` would then go on with."""
    monkeypatch.chdir(tmp_path)  # where files of the run would go
    overlay = tmp_path / "overlay.yaml"

    def type_words(*words, config="inference.yaml", show=("input",), over=()):
        overlay.write_text(f"run:\n- $print(*map(repr, [{', '.join('@' + name for name in show)}]), sep='\\n')\n")
        files = "--config_file=" + str([*(str(CONFIGS / name) for name in (config, *over)), str(overlay)])
        arguments = ["run", files, "--logging_file=False", *words]
        monkeypatch.setattr(sys, "argv", ["/x/monai/bundle/__main__.py", *arguments])
        fire.Fire({"run": run}, command=arguments)

    return type_words


def refused(call, *arguments, **keywords):
    """Give the sentence."""
    with pytest.raises((RuntimeError, ValueError)) as caught:
        call(*arguments, **keywords)
    sentence = find_sentence(caught.value)
    assert sentence is not None, repr(caught.value)
    return sentence


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--overwrite", "false"], False),
        (["--overwrite", "no"], False),
        (["--overwrite=off"], False),
        (["--overwrite"], True),
        (["--nooverwrite"], False),
        (["--include_input", "false"], False),
        (["--skip-finished", "False"], False),
        (["--noskip_finished"], False),
        (["--memory_budget", "none"], None),
        (["--memory_budget", "1.5"], 1.5),
        (["--input", "20240311"], "20240311"),
        (["--input", "1e5"], "1e5"),
        (["--input", "{a:1}"], "{a:1}"),
        (["--output_dir", "20240312"], "20240312"),
        (["--output_dir", "007"], "007"),
        (["--channel", "640"], "640"),
        (["--input", "$HOME/__import__('os').tif"], "$HOME/__import__('os').tif"),
        (["--input", "@spacing"], "@spacing"),
        (["--input", "well #3, 4.tif"], "well #3, 4.tif"),
        (["--tasks", "dna"], ["dna"]),
        (["--tasks", "dna,tom20"], ["dna", "tom20"]),
        (["--tasks", "['dna','tom20']"], ["dna", "tom20"]),
        (["--tasks", "none"], None),
        (["--spacing", "0.3,0.1,0.1"], [0.3, 0.1, 0.1]),
        (["--roi_size", "null"], None),
        (["--device", "cpu"], "cpu"),
    ],
)
def test_what_was_typed_is_what_the_config_has(typed, capsys, words, value):
    name = words[0].lstrip("-").partition("=")[0].replace("-", "_")
    name = name.removeprefix("no")
    typed(*words, show=[name])
    assert capsys.readouterr().out.splitlines()[-1] == repr(value)


def test_resume_false_does_not_resume(typed, capsys):
    typed("--resume", "false", "--tasks", "dna", config="train.yaml", show=["resume", "tasks", "seed"])
    assert capsys.readouterr().out.splitlines()[-3:] == ["False", "['dna']", "42"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--task", "dna"], "There is no option --task in inference.yaml; did you mean --tasks?"),
        (["--spacings", "[1,1,1]"], "There is no option --spacings in inference.yaml; did you mean --spacing?"),
        (["--patch_size", "3"], "--patch_size is an option of train.yaml, not of inference.yaml; leave it out."),
        (["--overwrite", "flase"], "--overwrite is 'flase'; give True or False."),
        (["--overwrite", "$True"], "--overwrite is '$True'; give True or False."),
        (["--quality", "best"], "--quality is 'best'; give one of fast, paper."),
        (["--sw_batch_size", "two"], "--sw_batch_size is 'two'; give a whole number from 1."),
        (["--sw_batch_size", "0"], "--sw_batch_size is '0'; give a whole number from 1."),
        (
            ["--input", "a.tif", "--dataset_dir", "b"],
            "--dataset_dir stands for --input, and both are given; leave one of them out.",
        ),
        (["--memory_budget", "inf"], "--memory_budget is 'inf'; give a number above 0."),
        (["--tasks"], "--tasks is given without a value; give a name or several, such as dna,tom20 behind it."),
        (
            ["--tasks", "dna", "--tasks=tom20"],
            "--tasks is given twice; give it once (several values of one option by commas).",
        ),
        (
            ["--input", "a.tif", "b.tif"],
            "The word 'b.tif' belongs to no option; put quotes around a pattern or a path with spaces: "
            '--input "*.tif".',
        ),
        (
            ["--tasks", "dna", "tom20"],
            "The word 'tom20' belongs to no option; join the values by commas: --tasks first,second.",
        ),
    ],
)
def test_slips_are_sentences_before_anything_loads(typed, words, sentence):
    assert refused(typed, *words, "--checkpoint", "none.pt") == sentence


def test_knobs_of_the_bundles_overlays_are_understood_as_well(typed, capsys):
    options = {"config": "train.yaml", "over": ["train_robust.yaml"]}
    typed("--magnification", "0.5,2", "--task_weights", "{dna: 2}", show=["magnification", "task_weights"], **options)
    assert capsys.readouterr().out.splitlines()[-2:] == ["[0.5, 2]", "{'dna': 2}"]
    sentence = refused(typed, "--magnification", "foo", **options)
    assert sentence == "--magnification is 'foo'; give a number or several, such as \"[1,2,3]\"."
    with pytest.raises(SystemExit):
        typed("--help", **options)
    assert "--magnification" in capsys.readouterr().out


@pytest.mark.parametrize("config", ["inference.yaml", "evaluate.yaml", "train.yaml"])
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "gpu", "mps", "0"])
def test_a_device_that_is_not_there(typed, monkeypatch, config, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    sentence = refused(typed, "--device", device, config=config)
    assert sentence == f"--device is '{device}'; on this machine PyTorch has cpu: give one of them."


@pytest.mark.parametrize("config", ["inference.yaml", "evaluate.yaml", "train.yaml"])
def test_help_lists_the_knobs_and_does_nothing_else(typed, capsys, config):
    with pytest.raises(SystemExit) as caught:
        typed("--help", config=config)
    assert caught.value.code == 0
    assert f"Usage: python -m monai.bundle run --config_file configs/{config}" in capsys.readouterr().out


def test_monais_own_ways_stay_possible(typed, capsys):
    typed(
        "--network_def#path",
        "x.pt",
        "--dataloader#batch_size",
        "nearest",
        "--run_id",
        "run",
        show=["dataloader::batch_size"],
    )
    assert capsys.readouterr().out.splitlines()[-1] == "'nearest'"


def workflow(**overrides):
    return ConfigWorkflow(str(CONFIGS / "inference.yaml"), workflow_type="infer", logging_file=False, **overrides)


def test_slips_in_a_workflow_made_in_python():
    sentence = refused(workflow(task="dna").initialize)
    assert sentence == "There is no option --task in inference.yaml; did you mean --tasks?"


def test_values_of_a_workflow_made_in_python():
    made = workflow(overwrite="false", input=Path("a.tif"), tasks="dna", output_dir=2024)
    made.initialize()
    found = [made.parser.get_parsed_content(name) for name in ("overwrite", "input", "tasks", "output_dir")]
    assert found == [False, "a.tif", ["dna"], "2024"]


def test_an_overlay_may_add_what_it_uses_and_nothing_it_does_not(tmp_path):
    overlay = tmp_path / "overlay.yaml"
    files = [str(CONFIGS / "inference.yaml"), str(overlay)]
    overlay.write_text("wide: [64, 64, 64]\nroi_size: '@wide'\nexpression: $1 + 1\n")
    ConfigWorkflow(files, workflow_type="infer", logging_file=False).initialize()
    overlay.write_text("roisize: [64, 64, 64]\n")
    made = ConfigWorkflow(files, workflow_type="infer", logging_file=False)
    assert refused(made.initialize) == "There is no option --roisize in inference.yaml; did you mean --roi_size?"
