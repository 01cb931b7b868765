import pytest
import torch

from resgen_tts.nn.attention import SelfAttention
from resgen_tts.nn.attention_products import attend_by_products, suits_products
from resgen_tts.nn.rotary import rotary_angles, turns_by


def inputs(spread: float) -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes, spreads = [(2, 3, 20, 16), (2, 3, 30, 16), (2, 3, 30, 16)], [spread, spread, 1.0]
    return [(torch.randn(shape, generator=rng) * size).bfloat16() for shape, size in zip(shapes, spreads, strict=True)]


def mask(kind: str) -> torch.Tensor | None:
    rng = torch.Generator().manual_seed(1)
    if kind == "none":
        return None
    if kind == "keys":
        return (torch.arange(30) < torch.tensor([30, 11])[:, None])[:, None, None]
    allowed = torch.rand(2, 1, 20, 30, generator=rng) < 0.5
    allowed[..., 0] = True
    return allowed


def results(attend, precision: torch.dtype, spread: float) -> list[torch.Tensor]:
    tensors = [value.to(precision, copy=True).requires_grad_() for value in inputs(spread)]
    mixed = attend(*tensors)
    mixed.backward(torch.randn(mixed.shape, generator=torch.Generator().manual_seed(2)).to(precision))
    return [mixed.detach().double(), *(value.grad.double() for value in tensors)]


@pytest.mark.parametrize("kind", ["none", "keys", "pairs"])
@pytest.mark.parametrize("spread", [1.0, 3.0])  # 3: scores up to 40, which in bf16 would be off by 0.1
def test_products_are_as_exact_as_the_fused_kernel(kind, spread):
    allowed = mask(kind)

    def fused(q, k, v):
        return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=allowed)

    def products(q, k, v):
        return attend_by_products(q, k, v, allowed)

    exact = results(fused, torch.double, spread)
    for value, close, expected in zip(
        results(products, torch.bfloat16, spread), results(fused, torch.bfloat16, spread), exact, strict=True
    ):
        error, allowance = (value - expected).norm(), (close - expected).norm()
        assert error < 1.5 * allowance + 1e-3 * expected.norm()


def test_training_under_autocast_takes_the_products_and_agrees_with_fp32(monkeypatch):
    torch.manual_seed(0)
    attention = SelfAttention(32, 4)
    x, turns = torch.randn(2, 25, 32), turns_by(rotary_angles(25, 8, device=torch.device("cpu")))
    allowed = (torch.arange(25) < torch.tensor([25, 9])[:, None])[:, None, None]
    gradients = []
    for enabled in (False, True):
        attention.zero_grad()
        if enabled:
            monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            mixed = attention(x, turns, allowed)
        mixed.float().square().sum().backward()
        gradients.append(attention.project_in.weight.grad.clone())
    assert (gradients[1] - gradients[0]).norm() < 0.02 * gradients[0].norm()


def test_only_bf16_with_a_gradient_suits():
    tensor = torch.zeros(1, 1, 2, 4)
    assert suits_products(tensor.bfloat16().requires_grad_())
    assert not suits_products(tensor.bfloat16())
    assert not suits_products(tensor.clone().requires_grad_())
