"""Every command on the pages would be understood: program, files, options, and the kinds of their values."""

import shlex
from pathlib import Path

import pytest

from tests.commands import REFUSALS, ROOT, check, documented, pages, split


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_is_understood(page: Path) -> None:
    faults = []
    for command in documented(page):
        try:
            check(command.words)
        except REFUSALS as error:
            faults.append(f"{command}\n    {error}")
    assert not faults, "\n".join(faults)


def test_commands_are_found() -> None:
    found = {page.relative_to(ROOT).as_posix(): len(list(documented(page))) for page in pages()}
    assert found["docs/files.md"] >= 11
    assert found["docs/many.md"] >= 6
    assert sum(found.values()) >= 100


def test_a_shells_text_becomes_commands() -> None:
    text = 'A=1 repmode predict "a b.tif" \\\n  --inferer#device cpu # told\npython -c "\n1" && x | head'
    expected = ["A=1 repmode predict 'a b.tif' --inferer#device cpu", "python -c '\n1'", "x", "head"]
    assert [shlex.join(words).replace("'--inferer#device'", "--inferer#device") for words in split(text)] == expected


@pytest.mark.parametrize(
    "command",
    [
        "repmode predict cells.tif --taks dna",
        "repmode predict cells.tif --views many",
        "repmode predikt cells.tif",
        "repmode evaluate --memory_budget 4",
        "repmode train --dataset_dir DIR --config train_nothing.yaml",
        "repmode pack",
        "repmode simulate DIR --count few",
        "repmode --print_complete bash",
        "python -m monai.bundle run --config_file configs/nothing.yaml",
        "python -m monai.bundle run --config_file configs/inference.yaml --taks dna",
        "python -m monai.bundle run --config_file configs/inference.yaml --views many",
        "python -m monai.bundle run --config_file configs/inference.yaml --inferer#devise cpu",
        "python -m monai.bundle run --config_file configs/inference.yaml --input a.tif b.tif",
        "torchrun --nnodes=2 -m monai.bundle run --config_file configs/train.yaml --dataset DIR",
        "python -m monai.bundle ckpt_export network_def --ckpt_file models/nothing.pt",
        "srun repmode predikt cells.tif",
        "python -m scripts.pack DIR --sign KEY.pem",
        "python -m scripts.nothing DIR",
        "python -m benchmarks.seams everything",
        "python -m benchmarks.seams trained --checkpiont models/model.pt",
        "python -m benchmarks.scale --wokers 64",
        "python benchmarks/average_weights.py --weights models/model.pt",
        "python -m pytest tests/unit/nothing.py",
        "python -m pytest -m soaking",
        "python -m bundle.errors --output a",
        "pip install -e .[everything]",
        "docker run repmode",
        'python -c "1 +"',
    ],
)
def test_what_is_not_there_is_refused(command: str) -> None:
    (words,) = split(command)
    with pytest.raises((*REFUSALS, SyntaxError)):
        check(words)
