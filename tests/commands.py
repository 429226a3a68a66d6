"""Commands as the pages show them, and whether they would be understood: without running them, or what they import."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from monai.bundle import ConfigParser

from bundle.commands import COMMANDS, PROGRAM
from bundle.errors import BundleError
from bundle.knobs.check import check_names, check_other_names
from bundle.knobs.command_line import SHELLS, read_values
from bundle.knobs.knob import CONFIGS, overlay_knobs, read_knobs
from bundle.knobs.words import check_loose_words, is_special, read_words, word_of

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(rf"`(?P<text>(?:{PROGRAM}|torchrun|python -m|python \w+/)[^`]* [^`]*)`")
COMMENT = re.compile(r"(?:^|(?<=\s))#.*$", re.MULTILINE)
STARTED = re.compile(rf"(?:\S*/)?(?:{PROGRAM}|pip|python3?|torchrun|srun)\s")  # at the start of a line
OURS = ("configs/", "models/", "docs/", "tests/", "benchmarks/", "scripts/")  # where files that pages name must be
OF_OTHERS = {  # whose words are not ours to check, and why
    "bioimageio": "is installed with an extra; tests/unit/sharing/test_bioimageio.py does the same in Python",
    "eval": "a shell's own",
    "head": "a shell's own",
    "mypy": "CI runs it",
    "napari": "opens a window; tests/unit/napari and tests/interoperability/test_napari.py use it",
    "pip-audit": "needs the internet",
    "pre-commit": "changes the clone",
    "ruff": "CI runs it",
    "scontrol": "is there in a job of Slurm alone",
    "sha256sum": "the system's own",
    "openssl": "the system's own",
    "xvfb-run": "the system's own",
}
MODULES_OF_OTHERS = {  # started by python -m
    "mkdocs": "CI runs it",
    "model_signing": "tests/unit/sharing/test_package.py verifies by it",
    "venv": "Python's own",
    "pip": "needs the internet",
}
RUN_OPTIONS = {"config_file", "meta_file", "logging_file", "run_id", "init_id", "final_id"}  # MONAI's own


@dataclass(frozen=True)
class Documented:
    """A command on a page.

    Attributes:
        page: where, with the line.
        words: of the command, as a shell gives them; variables are "1".
    """

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        """Name it in a test's outcome."""
        return f"{self.page} {shlex.join(self.words)}"[:120]


def pages() -> list[Path]:
    """List the pages that people read: all but the history."""
    top = [page for page in sorted(ROOT.glob("*.md")) if page.name != "CHANGELOG.md"]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def documented(page: Path) -> Iterator[Documented]:
    """Give each command of a page: of its fenced blocks of bash, and of code within lines.

    One that is only named within a line, `repmode predict`, stands as if its help were asked for.

    Raises:
        ValueError: a fenced block holds commands, and does not say that it is bash.
    """
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(ROOT).as_posix()
    for fence in FENCE.finditer(text):
        place = f"{name}:{text.count(chr(10), 0, fence.start()) + 1}"
        if fence["language"] == "bash":
            yield from (Documented(place, words) for words in split(fence["text"]))
        elif not fence["language"] and any(STARTED.match(line.strip()) for line in fence["text"].splitlines()):
            raise ValueError(f"{place} has commands; write ```bash.")
    for span in SPAN.finditer(FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)):
        place = f"{name}:{text.count(chr(10), 0, span.start()) + 1}"
        for words in split(span["text"]):
            named = len(words) == 2 or words[-1] == "run" or words[-1].startswith("scripts.")
            yield Documented(place, (*words, "--help") if named else words)


def split(text: str) -> Iterator[tuple[str, ...]]:
    """Split a shell's text into its commands."""
    lexer = shlex.shlex(COMMENT.sub("", text).replace("\\\n", " "), posix=True, punctuation_chars="&;|\n")
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    lexer.commenters = ""
    words: list[str] = []
    for word in [*lexer, "\n"]:
        if set(word) <= set("&;|\n"):
            if words:
                yield tuple(words)
            words = []
        else:
            words.append(re.sub(r"\$\w+", "1", word))


def check(words: Sequence[str]) -> None:
    """Refuse a command that is not one of this repository, or has an option or file that is not there.

    Raises:
        BundleError, ValueError: it does.
    """
    rest = list(words)
    while rest and re.match(r"\w+=", rest[0]):  # variables of that command, or one that takes what another prints
        rest[0] = rest[0].partition("=")[2].removeprefix("$(")
        if words[len(words) - len(rest)].partition("=")[2] == rest[0]:
            rest.pop(0)
    if rest[0] == "srun":
        rest.pop(0)
    program = PurePosixPath(rest[0]).name
    if program == "torchrun":
        rest = ["python", *rest[rest.index("-m") :]] if "-m" in rest else ["eval"]
        program = rest[0]
    _check_files(rest)
    if program == PROGRAM:
        _check_ours(rest[1:])
    elif program in ("python", "python3"):
        _check_python(rest[1:])
    elif program == "pip":
        _check_pip(rest[1:])
    elif program not in OF_OTHERS:
        raise ValueError(f"{program} is no program of this repository, nor listed in tests/commands.py.")


def _check_files(words: Sequence[str]) -> None:
    """Refuse a file of this repository that is not there, but where one is written."""
    for before, word in zip(["", *words], words, strict=False):
        if word.startswith(OURS) and not before.startswith("--output") and not (ROOT / word).exists():
            raise ValueError(f"{word} is not there.")


def _check_ours(words: Sequence[str]) -> None:
    """Refuse what `repmode` refuses before it imports what a command needs."""
    name, *rest = words
    if name.startswith("--"):
        if name != "--help" and (name, rest[0] in SHELLS) != ("--print_completion", True):
            raise ValueError(f"{name} is no option of {PROGRAM}.")
        return
    if name not in COMMANDS:
        raise ValueError(f"{name} is no command of {PROGRAM}.")
    if rest != ["--help"]:
        values = read_values(rest, COMMANDS[name], f"{PROGRAM} {name}")
        overlays = values.get("config") or []
        for overlay in [overlays] if isinstance(overlays, str) else overlays:
            if not (CONFIGS / overlay).is_file():
                raise ValueError(f"{overlay} is no config of this bundle.")


def _check_python(words: Sequence[str]) -> None:
    if words[0] == "-c":
        ast.parse(words[1])
        return
    if words[0] == "-m" and words[1] == "monai.bundle":
        _check_monai(words[2], words[3:])
        return
    if words[0] == "-m" and words[1] == "pytest":
        _check_pytest(words[2:])
        return
    if words[0] == "-m" and words[1].partition(".")[0] in MODULES_OF_OTHERS:
        return
    path, rest = (f"{words[1].replace('.', '/')}.py", words[2:]) if words[0] == "-m" else (words[0], words[1:])
    if not (ROOT / path).is_file():
        raise ValueError(f"{path} is not there.")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    started = [ast.unparse(call.func) for call in calls]
    if path.startswith("scripts/"):
        _check_ours([ast.literal_eval(calls[started.index("start")].args[0]), *rest])
    elif "fire.Fire" in started:
        _check_fire(tree, calls[started.index("fire.Fire")], rest, path)
    elif "atheris.Setup" not in started:  # whose own options nobody lists
        _check_argparse(calls, rest, path)


def _check_monai(subcommand: str, words: Sequence[str]) -> None:
    """Refuse what the config itself refuses first; of other subcommands, files alone are looked at."""
    if subcommand != "run" or words == ["--help"]:
        return
    typed = read_words(words)
    given = typed.options["config_file"]
    named = ast.literal_eval(given) if given.startswith("[") else [given]
    files = [CONFIGS / f"{PurePosixPath(name).stem}.yaml" for name in named]  # the packed bundle has JSON of them
    for name, file in zip(named, files, strict=True):
        if not file.is_file():
            raise ValueError(f"{name} is not there.")
    content: dict[str, Any] = ConfigParser.load_config_files([str(file) for file in files])
    knobs = {knob.name: knob for knob in read_knobs(files[0])}
    knobs |= {knob.name: knob for knob in overlay_knobs(content, knobs.values())}
    check_loose_words(typed.loose, list(knobs.values()))
    plain = {name: value for name, value in typed.options.items() if name not in RUN_OPTIONS}
    for name in plain:
        if "#" in name:
            ConfigParser(content)[name]  # a part of the config: KeyError where it has none
        elif name in knobs:
            word = word_of(knobs[name], typed)
            if not is_special(word):
                knobs[name].read(word)
    content.update({name: value for name, value in plain.items() if "#" not in name})
    check_names(content, list(knobs.values()), files[0].name)
    check_other_names({**content, **{name: knob.default for name, knob in knobs.items()}}, [], files[0].name)


def _check_pytest(words: Sequence[str]) -> None:
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    for option, value in pairwise(words):
        if option == "-m" and value not in [marker.partition(":")[0] for marker in markers]:
            raise ValueError(f"{value} is no mark of the tests.")


def _check_pip(words: Sequence[str]) -> None:
    """Refuse an extra that this distribution has not."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for word in words:
        for extra in re.findall(r"^\.\[(.*)\]$", word):
            if unknown := set(extra.split(",")) - set(extras):
                raise ValueError(f"{unknown} is no extra of pyproject.toml.")


def _check_fire(tree: ast.Module, call: ast.Call, words: Sequence[str], path: str) -> None:
    """Refuse an option that is no argument of the function that a program of fire starts."""
    functions = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    component: ast.expr | None = call.args[0]
    rest = list(words)
    if isinstance(component, ast.IfExp):  # one more command for itself
        component = component.orelse
    if isinstance(component, ast.Dict):
        names = [ast.literal_eval(key) for key in component.keys if key is not None]
        if rest[0] not in names:
            raise ValueError(f"{rest[0]} is no command of {path} ({', '.join(names)}).")
        component = component.values[names.index(rest.pop(0))]
    assert isinstance(component, ast.Name), ast.unparse(call)
    arguments = functions[component.id]
    known = [argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)]
    typed = read_words(rest)
    if unknown := set(typed.options) - set(known):
        raise ValueError(f"{unknown} is no option of {path} ({', '.join(known)}).")
    missing = known[len(typed.loose) : len(arguments.args) - len(arguments.defaults)]
    if missing := [name for name in missing if name not in typed.options]:
        raise ValueError(f"{path} needs {missing}.")


def _check_argparse(calls: Sequence[ast.Call], words: Sequence[str], path: str) -> None:
    """Refuse an option that a program's parser does not know."""
    added = [call for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "add_argument"]
    known = {argument.value for call in added for argument in call.args if isinstance(argument, ast.Constant)}
    if not added:
        raise ValueError(f"{path} is no program.")
    if unknown := {word.partition("=")[0] for word in words if word.startswith("--")} - known:
        raise ValueError(f"{unknown} is no option of {path} ({', '.join(map(str, known))}).")


REFUSALS = (BundleError, ValueError, KeyError)
