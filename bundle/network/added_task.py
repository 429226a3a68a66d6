"""What a task that comes later brings to a mixture of experts, whose own experts and gates stay as they are."""

import torch
from torch import Tensor, nn

from bundle.network.experts import ConvExpert
from bundle.network.gatrep import merge_kernels


class AddedTask(nn.Module):
    """One new expert, as large as the merged kernel, and a gate of its own over the mixture's experts and the new one.

    Args:
        in_channels: I, the channels of the input.
        out_channels: O, the channels of the output.
        size: K, of the merged kernel in voxels.
        expert_count: E, the experts that were there before.
        softmax: whether the gate's activation is softmax; else it is sigmoid.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, expert_count: int, softmax: bool) -> None:
        super().__init__()
        self.softmax = softmax
        self.expert = ConvExpert(in_channels, out_channels, size)
        self.logits = nn.Parameter(torch.zeros(expert_count + 1, out_channels))

    @torch.no_grad()
    def start_from(self, gate: Tensor, kernel: Tensor) -> None:
        """Start as a task that is there already: the new expert is that task's merged kernel.

        Args:
            gate: that task's gate (E, O).
            kernel: its merged kernel (O, I, K, K, K).
        """
        share = 1 / len(self.logits) if self.softmax else 0.5
        mixed = torch.cat([gate * (1 - share), torch.full_like(gate[:1], share)])  # the mixture is the same kernel
        self.logits.copy_(mixed.clamp_min(torch.finfo(gate.dtype).tiny).log() if self.softmax else mixed.logit())
        self.expert.weight.copy_(kernel)

    def gate(self, dtype: torch.dtype | None = None) -> Tensor:
        """Return how much each expert counts, the new one last, (E + 1, O); computed in `dtype`, if one is given."""
        logits = self.logits if dtype is None else self.logits.to(dtype)
        return logits.softmax(dim=0) if self.softmax else logits.sigmoid()


def merge_with_added(expert_count: int, *parts: Tensor) -> Tensor:
    """Merge kernels of tasks that were there first, if any, and of some that came later.

    The first ones are merged among themselves, so that their kernels are bit for bit what they were.

    Args:
        expert_count: E, the experts of the first tasks.
        parts: E kernels (O, I, K, K, K); for each later task its gate (E + 1, O) and its kernel; then the gates
            (U, E, O) of the first tasks, if there are any.

    Returns:
        The merged kernels (U', O, I, K, K, K) of all the tasks, the first ones first.
    """
    kernels, later = parts[:expert_count], parts[expert_count:]
    merged = [merge_kernels(later[-1], *kernels)] if len(later) % 2 else []
    for gate, kernel in zip(later[: len(later) - len(later) % 2 : 2], later[1::2], strict=True):
        merged.append(merge_kernels(gate[None], *kernels, kernel))
    return torch.cat(merged)
