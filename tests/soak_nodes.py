"""Train on two nodes, which are two of torchrun's agents on this machine, and lose a rank or a whole node on the way.

    python -m tests.soak_nodes --kills 6 --seed 0

The training is done once undisturbed. Then, round after round, a process is killed (SIGKILL) at a random moment: the
rank of either node, which its agent notices and both start anew from the last state, or the second node with its agent,
after which the first one is told to end (SIGTERM) and both are started by the same command, as a queue does. In the end
the files must be those of the undisturbed training. Prints a JSON line. Agents and ranks are forked from a process that
has all modules loaded.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import time
import traceback
import uuid
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from tests.soak_kills import TRAINING, config, finish, make_data, trained

RESTARTS = 8
LONGEST = 600  # seconds of a round
PATIENCE = 60  # seconds that a node has to end of itself


@dataclass(frozen=True)
class Meeting:
    """Where the agents of one training meet.

    Attributes:
        name: of the training.
        port: of this machine.
    """

    name: str
    port: int


def new_meeting() -> Meeting:
    """Give a name and a free port."""
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return Meeting(uuid.uuid4().hex, found.getsockname()[1])


def train(data: Path, output: Path) -> None:
    """Do what each rank does."""
    torch.set_num_threads(1)
    config(
        *("train.yaml", "multi_gpu_train.yaml"),
        dataset_dir=str(data / "dataset"),
        output_dir=str(output),
        batch_size=1,
        **TRAINING,
    )


def start_node(meeting: Meeting, data: Path, output: Path, log: Path) -> int:
    """Start an agent, which starts one rank, in a process group of its own; give its number."""
    process = os.fork()
    if process:
        return process
    os.setpgrp()  # to be killed with its rank
    code = 1
    try:
        with log.open("a", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        config = LaunchConfig(
            min_nodes=2,
            max_nodes=2,
            nproc_per_node=1,
            run_id=meeting.name,
            rdzv_backend="c10d",
            rdzv_endpoint=f"localhost:{meeting.port}",
            max_restarts=RESTARTS,
            monitor_interval=0.1,
            start_method="fork",
        )
        elastic_launch(config, train)(data, output)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def is_running(process: int) -> bool:
    """Tell whether a process that this one started has not ended."""
    return psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE


def kill_rank(agent: int) -> bool:
    """Kill the rank of an agent; tell whether there was one."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for rank in psutil.Process(agent).children():
            rank.kill()
            return True
    return False


def _wait(agents: list[int], seconds: float) -> list[int]:
    """Wait for the ends of agents, which are killed after a time; their exit codes."""
    until = time.monotonic() + seconds
    while any(map(is_running, agents)) and time.monotonic() < until:
        time.sleep(0.1)
    for agent in agents:
        if is_running(agent):
            os.killpg(agent, signal.SIGKILL)
    return [finish(agent) for agent in agents]


def train_on_two_nodes(
    data: Path, output: Path, log: Path, chance: random.Random, length: float | None = None
) -> tuple[str, float]:
    """Train to the end; with the length of an undisturbed training in seconds, kill something on the way.

    Returns:
        What was killed ("" for nothing), and the seconds.
    """
    meeting, begun, killed = new_meeting(), time.monotonic(), ""
    agents = [start_node(meeting, data, output, log) for _ in range(2)]
    if length is not None:
        time.sleep(chance.uniform(0.2, 0.9) * length)
        victim = chance.choice(["rank 0", "rank 1", "node"])
        if victim == "node" and is_running(agents[1]):
            os.killpg(agents[1], signal.SIGKILL)
            os.kill(agents[0], signal.SIGTERM)
            _wait(agents, PATIENCE)
            meeting, killed = new_meeting(), victim
            agents = [start_node(meeting, data, output, log) for _ in range(2)]
        elif victim != "node" and kill_rank(agents[int(victim[-1])]):
            killed = victim
    codes = _wait(agents, LONGEST)
    return (killed if codes == [0, 0] else f"{killed or 'nothing'}: exit codes {codes}"), time.monotonic() - begun


def main() -> None:
    """Lose ranks and nodes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=6, help="rounds with a kill")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of what is killed")
    parser.add_argument("--seconds", type=float, default=3600, help="after which no further round begins")
    options = parser.parse_args()
    os.environ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] = "1"  # see docs/many.md
    chance, begun, outcomes, failures = random.Random(options.seed), time.monotonic(), [], []
    with tempfile.TemporaryDirectory() as place:
        scratch = Path(place)
        data, log = scratch / "data", scratch / "log"
        make_data(data)
        problem, length = train_on_two_nodes(data, scratch / "whole", log, chance)
        if problem:
            sys.exit(f"The training fails undisturbed ({problem}):\n{log.read_text(encoding='utf-8')[-3000:]}")
        expected = trained(scratch / "whole")
        for number in range(options.kills):
            if time.monotonic() - begun > options.seconds:
                break
            output = scratch / str(number)
            outcome, _ = train_on_two_nodes(data, output, log, chance, length)
            outcomes.append(outcome or "nothing")
            if "exit codes" in outcome:
                failures.append(f"{outcome}: {log.read_text(encoding='utf-8')[-2000:]}")
            else:
                found = trained(output)
                failures += [f"round {number}: {key} differs" for key in expected if found.get(key) != expected[key]]
    seconds = round(time.monotonic() - begun)
    print(json.dumps({"killed": outcomes, "failures": failures, "seed": options.seed, "seconds": seconds}))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
