"""A code space whose codes are found in a few normalised dimensions: the rule of DAC."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from resgen_tts.core.code_space import CodeSpace
from resgen_tts.core.nearest import nearest_code


@dataclass(frozen=True)
class ProjectedCodeSpace(CodeSpace):
    """Residual codebooks in latent units, searched by direction after a projection to P dimensions.

    ``x_j = argmax_v cos(W_j h_{j-1} + b_j, k(v; j)),  h_j = h_{j-1} - e(x_j; j)``: the code found need not be the
    nearest in latent units.
    Source: DAC (arXiv:2306.06546), factorized and L2-normalised codes, after ViT-VQGAN (arXiv:2110.04627).

    Args:
        down: projection W of the residual at each level, [D, P, C].
        down_bias: its bias b, [D, P].
        keys: direction of each code in the projected space, of unit length, [D, V, P].
    """

    down: Float[Tensor, "D P C"]
    down_bias: Float[Tensor, "D P"]
    keys: Float[Tensor, "D V P"]

    def search(self, level: int, residual: Float[Tensor, "N C"]) -> Int[Tensor, " N"]:
        """Codes of one level whose keys lie nearest to the direction of the projected residual."""
        with torch.autocast(residual.device.type, enabled=False):
            projected = torch.addmm(self.down_bias[level], residual, self.down[level].T)
        # Of unit vectors the nearest has the smallest angle. Lengths would not change it, but for rounding.
        return nearest_code(normalize(projected, dim=-1), self.keys[level])
