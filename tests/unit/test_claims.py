import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from bundle.claims import Claims
from bundle.process import Process, this_process


def foreign(folder, name, machine="elsewhere"):
    """Make the claim of a process of another machine; its path."""
    claims = Claims(folder)
    assert claims.take(name)
    (path,) = folder.iterdir()
    process = Process(machine, 1, 1)
    path.write_text(json.dumps({"process": process.name, "who": "process 1 on elsewhere"}))
    claims._held.clear()
    return path


def test_a_claim_is_one_processs_until_it_is_released(tmp_path):
    folder = tmp_path / "claims"
    path = foreign(folder, "a")
    mine = Claims(folder, lifetime=1000)
    assert not mine.take("a")
    assert mine.holder("a") == "process 1 on elsewhere"
    assert mine.take("b")
    assert mine.holds("b")
    path.unlink()
    assert mine.holder("a") is None
    assert mine.take("a")
    mine.release_all()
    assert not folder.exists()


def test_a_claim_that_nobody_touches_expires_by_the_observers_own_clock(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("bundle.claims.time.monotonic", lambda: now)
    path = foreign(tmp_path, "a")
    mine = Claims(tmp_path, lifetime=60)
    assert not mine.take("a")
    now = 59.0
    assert not mine.take("a")
    os.utime(path, (0, 0))  # its owner's clock was set: what counts is that it was touched
    now = 100.0
    assert not mine.take("a")
    now = 161.0
    assert mine.take("a")
    assert mine.holds("a")
    mine.release("a")
    assert list(tmp_path.iterdir()) == []


def test_of_many_that_find_an_expired_claim_one_takes_it_over(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("bundle.claims.time.monotonic", lambda: now)
    for round_number in range(20):
        name = str(round_number)
        folder = tmp_path / name
        foreign(folder, name)
        observers = [Claims(folder, lifetime=60) for _ in range(8)]
        for observer in observers:
            monkeypatch.setattr("bundle.claims.this_process", lambda: Process("here", 1, 1))
            assert not observer.take(name)
        now += 61
        barrier, taken = threading.Barrier(8), []

        def take(observer, name=name, barrier=barrier, taken=taken):
            barrier.wait()
            if observer.take(name):
                taken.append(observer)

        # Each is a process of its own, as far as claims can tell.
        numbers = {}
        monkeypatch.setattr(
            "bundle.claims.this_process",
            lambda numbers=numbers: Process("there", numbers.setdefault(threading.get_ident(), len(numbers)), 1),
        )
        threads = [threading.Thread(target=take, args=(observer,)) for observer in observers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(taken) == 1


def test_who_lost_a_claim_knows_and_leaves_the_new_one(tmp_path, monkeypatch):
    now = 0.0
    monkeypatch.setattr("bundle.claims.time.monotonic", lambda: now)
    slow, quick = Claims(tmp_path, lifetime=60), Claims(tmp_path, lifetime=60)
    slow.touch = lambda: None  # it is stopped, before its own thread touches for the first time
    assert slow.take("a")
    monkeypatch.setattr("bundle.claims.this_process", lambda: Process("there", 2, 2))
    assert not quick.take("a")
    (path,) = tmp_path.iterdir()
    os.utime(path, (0, 0))
    assert not quick.take("a")
    now = 61.0
    assert quick.take("a")
    assert not slow.holds("a")
    slow.release("a")
    assert quick.holds("a")
    quick.release("a")
    assert list(tmp_path.iterdir()) == []


def test_the_claim_of_a_killed_process_of_this_machine_is_free_at_once(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from bundle.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1])); assert claims.take('a'); print('taken', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    mine = Claims(tmp_path)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"taken\n"
        assert not mine.take("a")
        assert not mine.wait_for_holder("a")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert mine.take("a")


def test_an_owner_on_another_machine_is_waited_for_until_its_claim_expires(tmp_path):
    foreign(tmp_path, "a")
    assert Claims(tmp_path, lifetime=0.3).wait_for_holder("a")


@pytest.mark.parametrize("name", ["", "a-b-c", "a-1", "a-1-2-3", "nothing"])
def test_another_word_is_no_process(name):
    assert Process.parse(name) is None
    assert Process.parse(this_process().name) == this_process()
