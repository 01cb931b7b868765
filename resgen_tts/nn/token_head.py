"""From hidden states to the logits of codes, one linear layer a level."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


class TokenHead(nn.Module):
    """Logits of every level's codes; only of those levels and frames that are asked for.

    Args:
        width: O, channels of the hidden state.
        depth: levels D.
        codebook_size: V, the same at every level.
    """

    def __init__(self, width: int, depth: int, codebook_size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(depth, codebook_size, width) * 0.02)
        self.bias = nn.Parameter(torch.zeros(depth, codebook_size))

    def forward(self, states: Float[Tensor, "*rows D O"]) -> Float[Tensor, "*rows D V"]:
        """Logits of all levels, each from its own state; one state for all of them is expanded to D by the caller."""
        by_level = states.flatten(0, -3).transpose(0, 1)  # [D, N, O]
        logits = torch.baddbmm(self.bias[:, None], by_level, self.weight.transpose(1, 2))
        return logits.transpose(0, 1).unflatten(0, states.shape[:-2])

    def at_level(self, states: Float[Tensor, "*rows O"], level: int) -> Float[Tensor, "*rows V"]:
        """Logits of one level; nothing is computed for the others."""
        return nn.functional.linear(states, self.weight[level], self.bias[level])

    def nll(
        self,
        states: Float[Tensor, "N O"],
        codes: Int[Tensor, "N D"],
        slots: Bool[Tensor, "N D"],
        label_smoothing: float = 0.0,
    ) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
        """Cross-entropy of the codes at ``slots``, in nats, 0 elsewhere: no other logits are computed.

        Args:
            states: one for all levels of a frame.
            label_smoothing: share of the target that is spread evenly over all V codes.
        Returns:
            With the smoothed target, for training; and without, detached.
        """
        smoothed, plain = [], []
        # Unbound at once: a slice a level would cost a gradient of full size for each of them.
        for level, (weight, bias) in enumerate(zip(self.weight.unbind(), self.bias.unbind(), strict=True)):
            rows = slots[:, level]
            logits = nn.functional.linear(states[rows], weight, bias)
            log_probs = torch.log_softmax(logits.float(), dim=-1)
            nats = -log_probs.gather(-1, codes[rows, level, None])[:, 0]
            empty = nats.new_zeros(len(rows))
            plain.append(empty.masked_scatter(rows, nats.detach()))
            if label_smoothing:
                nats = (1 - label_smoothing) * nats - label_smoothing * log_probs.mean(-1)
            smoothed.append(empty.masked_scatter(rows, nats))
        return torch.stack(smoothed, dim=1), torch.stack(plain, dim=1)
