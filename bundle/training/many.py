"""Training by many processes, a copy of the network each: shares of the stacks, and batch norm over all of a batch."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from ignite import distributed
from ignite.engine import Engine, Events
from torch import Tensor, nn
from torch.distributed import nn as differentiable
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import Sampler
from torch.utils.tensorboard import SummaryWriter

from bundle.errors import BundleError


def join_group() -> int:
    """Join the group of processes that torchrun started, by NCCL where there are GPUs, else by Gloo; give the rank.

    Raises:
        BundleError: torchrun did not start this process.
    """
    missing = [name for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK") if name not in os.environ]
    if missing:
        raise BundleError(
            f"The environment has no {', '.join(missing)}: multi_gpu configs are for torchrun; put 'torchrun "
            "--standalone --nproc_per_node=2 -m monai.bundle run' in place of 'python -m monai.bundle run'."
        )
    if not torch.distributed.is_initialized():
        store, rank, count = next(iter(rendezvous("env://")))
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, store=_of_this_start(store), rank=rank, world_size=count)
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    return torch.distributed.get_rank()


def _of_this_start(store: Any) -> Any:
    """Give a part of torchrun's store to this start: the addresses of lost processes stay in it after a restart."""
    if os.environ.get("GROUP_WORLD_SIZE") != "1":
        return store  # nodes count their restarts differently; see docs/many.md
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return torch.distributed.PrefixStore(f"start {start}", store)  # type: ignore[attr-defined]


def leave_group() -> None:
    """Leave the group, once all have come to the end."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


class SharedBatchNorm3d(nn.BatchNorm3d):
    """Batch norm whose mean and variance are those of the patches of all processes, on any device.

    PyTorch's own, `torch.nn.SyncBatchNorm`, is for GPUs alone. All processes have patches of one size, and as many.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, Z, Y, X), channel by channel."""
        if not self.training:
            return super().forward(input)
        axes, shape = (0, 2, 3, 4), (1, -1, 1, 1, 1)
        x = input.float()
        mean = _mean_of_all(x.mean(axes))
        centred = x - mean.view(shape)
        variance = _mean_of_all(centred.square().mean(axes))
        self._note(mean.detach(), variance.detach(), x.numel() // x.shape[1] * distributed.get_world_size())
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _note(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Bring the running statistics nearer to those of a batch of `count` values a channel."""
        assert self.running_mean is not None, "it has running statistics"
        assert self.running_var is not None, "it has running statistics"
        assert self.num_batches_tracked is not None, "it has running statistics"
        assert self.momentum is not None, "its average is exponential"
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)


def _mean_of_all(values: Tensor) -> Tensor:
    """The mean over the processes, through which gradients flow to each of them."""
    total: Tensor = differentiable.functional.all_reduce(values)  # type: ignore[no-untyped-call]
    mean: Tensor = total / distributed.get_world_size()
    return mean


def share_batch_norm(network: nn.Module) -> None:
    """Have all batch norms of a network take the statistics of all processes; parameters and names stay."""
    if torch.cuda.is_available():
        nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return
    for module in list(network.modules()):
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm3d:
                shared = SharedBatchNorm3d(child.num_features, child.eps, child.momentum)
                shared.load_state_dict(child.state_dict())
                shared.weight, shared.bias = child.weight, child.bias
                setattr(module, name, shared.to(child.weight.device))


def distribute(network: nn.Module) -> DistributedDataParallel:
    """Wrap a network, already on its device, so that each step takes the mean gradient of all processes."""
    share_batch_norm(network)
    # Batch norm has the same statistics everywhere: there is nothing to broadcast at each step.
    return DistributedDataParallel(network, broadcast_buffers=False)


class TaskShares(Sampler[int]):
    """This process' share of the training stacks: of each task in each epoch some, of as many stacks for all.

    The stacks of a task are shuffled and dealt out; where they do not come out even, or are fewer than the processes,
    some are dealt twice. Each process then shuffles its own. It belongs among the trainer's handlers, too, since the
    order follows from seed and epoch alone.

    Args:
        entries: for each stack its `task_name`.
        seed: of the order.
        rank: of this process; None = as in its group.
        count: of processes.
    """

    def __init__(
        self, entries: Sequence[Mapping[str, Any]], seed: int | None, rank: int | None = None, count: int | None = None
    ) -> None:
        self.stacks: dict[str, list[int]] = {}
        for index, entry in enumerate(entries):
            self.stacks.setdefault(entry["task_name"], []).append(index)
        self.seed = seed or 0
        self.rank = distributed.get_rank() if rank is None else rank
        self.count = distributed.get_world_size() if count is None else count
        self.epoch = 1

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._begin)

    def _begin(self, engine: Engine) -> None:
        self.epoch = engine.state.epoch

    def __len__(self) -> int:
        return sum(-(-len(stacks) // self.count) for stacks in self.stacks.values())

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        share = []
        for stacks in self.stacks.values():
            order = torch.randperm(len(stacks), generator=generator).tolist()
            dealt = -(-len(stacks) // self.count) * self.count
            share += [stacks[order[place % len(order)]] for place in range(self.rank, dealt, self.count)]
        generator.manual_seed((self.seed * 1_000_003 + self.epoch) * 1009 + self.rank)
        return iter([share[place] for place in torch.randperm(len(share), generator=generator).tolist()])


class EachOnce(Sampler[int]):
    """This process' share of the validation stacks, each of which is one process'.

    Args:
        stacks: how many there are.

    Raises:
        BundleError: there are fewer than processes.
    """

    def __init__(self, stacks: int) -> None:
        self.places = range(distributed.get_rank(), stacks, distributed.get_world_size())
        if stacks < distributed.get_world_size():
            raise BundleError(
                f"{distributed.get_world_size()} processes share {stacks} validation stacks, of which each needs one; "
                f"add rows to the manifest, or start at most {stacks} processes."
            )

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)


class NoWriter:
    """Takes what a SummaryWriter takes, and writes nothing."""

    def add_scalar(self, *arguments: Any, **options: Any) -> None:
        """Take a scalar."""

    def flush(self) -> None:
        """Nothing waits to be written."""

    def close(self) -> None:
        """Nothing is open."""


def make_summary_writer(log_dir: str) -> SummaryWriter | NoWriter:
    """Give what writes TensorBoard's files: of many processes, the first one alone does."""
    return SummaryWriter(log_dir) if distributed.get_rank() == 0 else NoWriter()
