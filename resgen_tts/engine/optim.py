"""AdamW, its parameter groups and the learning rate in closed form."""

import math

import torch
from torch import Tensor, nn

from resgen_tts.common.errors import ConfigError

_NORMS = (nn.LayerNorm, nn.GroupNorm, nn.RMSNorm, nn.modules.batchnorm._NormBase)


def trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that take a gradient, by name; a tied one once."""
    return {name: value for name, value in module.named_parameters() if value.requires_grad}


def decayed_names(module: nn.Module) -> set[str]:
    """Names of the parameters that weight decay applies to: matrices and kernels, no bias, no norm, nothing 1-D."""
    in_norms = {id(value) for part in module.modules() if isinstance(part, _NORMS) for value in part.parameters()}
    return {
        name
        for name, value in trainable(module).items()
        if value.ndim > 1 and id(value) not in in_norms and not name.endswith("bias")
    }


def adamw(
    module: nn.Module, *, learning_rate: float, betas: tuple[float, float], weight_decay: float
) -> torch.optim.AdamW:
    """AdamW over a module's trainable parameters, fused where every parameter allows it (6-10x faster).

    Raises:
        ConfigError: nothing to train.
    """
    parameters, decayed = trainable(module), decayed_names(module)
    if not parameters:
        raise ConfigError(f"{type(module).__name__} has no parameter that takes a gradient.")
    groups = [
        {"params": [parameters[name] for name in parameters if name in decayed], "weight_decay": weight_decay},
        {"params": [parameters[name] for name in parameters if name not in decayed], "weight_decay": 0.0},
    ]
    fused = all(value.is_floating_point() and value.device.type in ("cpu", "cuda") for value in parameters.values())
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, betas=betas, fused=fused)


def schedule_factor(step: int, *, steps: int, warmup_steps: int, schedule: str) -> float:
    """The learning rate of update ``step`` (from 0) as a share of the peak.

    Linear warm-up reaches 1 at update ``warmup_steps - 1``; "cosine" then follows (1 + cos(pi p)) / 2, where p runs
    from 0 at ``warmup_steps`` to 1 at ``steps``.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if schedule == "constant":
        return 1.0
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group the same rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """The 2-norm of all gradients together, as a tensor (no synchronisation).

    Raises:
        ConfigError: no parameter received a gradient: the loss does not depend on the weights.
    """
    gradients = [value.grad for value in parameters if value.grad is not None]
    if not gradients:
        raise ConfigError("no parameter received a gradient: the loss does not depend on the trained weights.")
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def clip_gradients(parameters: list[nn.Parameter], norm: float, clip_norm: float) -> None:
    """Scale all gradients so that their norm is at most ``clip_norm`` (0 = off); ``norm`` is their present norm."""
    if clip_norm and norm > clip_norm:
        gradients = [value.grad for value in parameters if value.grad is not None]
        torch._foreach_mul_(gradients, clip_norm / norm)


def optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module) -> dict[str, Tensor]:
    """The optimizer's state as ``{parameter/quantity: tensor}``; settings are not state (the config holds them)."""
    names = {id(value): name for name, value in module.named_parameters()}
    return {
        f"{names[id(parameter)]}/{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave; a parameter without state there starts fresh."""
    parameters = dict(module.named_parameters())
    optimizer.state.clear()
    for key, value in tensors.items():
        name, quantity = key.rsplit("/", 1)
        parameter = parameters[name]
        # AdamW's step counter stays where AdamW puts it: fused keeps it with the parameter.
        optimizer.state[parameter][quantity] = value.to(parameter.device)
