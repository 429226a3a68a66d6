import logging
import subprocess
import sys
from pathlib import Path

import pytest

from bundle.errors import BundleError, find_sentence, install_excepthook

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hook():
    """The installed hook."""
    install_excepthook()
    return sys.excepthook


def raised(*chain):
    """The last of a chain of errors, each raised from the one before."""
    error = None
    for link in chain:
        try:
            raise link from error
        except Exception as caught:
            error = caught
    return error


def test_the_sentence_is_found_through_wrappers():
    assert find_sentence(raised(BundleError("The mend."), RuntimeError("a"), RuntimeError("b"))) == "The mend."
    assert find_sentence(raised(ValueError("x"), RuntimeError("a"))) is None
    assert find_sentence(None) is None


def test_the_sentence_is_found_in_the_text_of_a_worker_process():
    text = (
        'Caught RuntimeError in DataLoader worker process 0.\n  File "x.py"\nbundle.errors.BundleError: Mend it.\n\nX'
    )
    assert find_sentence(RuntimeError(text)) == "Mend it."


def test_a_bundle_error_is_one_line(hook, capsys):
    error = raised(BundleError("cell.tif is broken; mend it."), RuntimeError("applying transform"))
    hook(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == "Error: cell.tif is broken; mend it.\n"


def test_other_errors_keep_their_traceback(hook, capsys):
    error = raised(ZeroDivisionError("a bug"))
    hook(type(error), error, error.__traceback__)
    assert "Traceback" in capsys.readouterr().err


def test_what_other_packages_log_about_a_bundle_error_is_left_out():
    handler = logging.StreamHandler()
    seen = []
    handler.emit = lambda record: seen.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    try:
        install_excepthook()
        for error in (BundleError("Mend it."), KeyboardInterrupt("Ctrl-C"), ZeroDivisionError("a bug")):
            try:
                raise error
            except BaseException as caught:
                logging.getLogger("ignite.engine").error("terminating: %s", caught)
                logging.getLogger("bundle.stacks").error("reported: %s", caught)
    finally:
        logging.getLogger().removeHandler(handler)
    assert seen == ["reported: Mend it.", "reported: Ctrl-C", "terminating: a bug", "reported: a bug"]


# A shell lets what it runs in the background ignore Ctrl-C, and programs inherit it: the handler is set anew.
CTRL_C = """
import os, signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
os.kill(os.getpid(), signal.SIGINT)
time.sleep(5)
"""


@pytest.mark.parametrize(
    ("body", "code", "output"),
    [("raise BundleError('Mend it.')", 1, "Error: Mend it.\n"), (CTRL_C, 130, "Interrupted\n")],
)
def test_exit_codes(body, code, output):
    program = f"from bundle.errors import BundleError, install_excepthook\ninstall_excepthook()\n{body}"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (code, output)
