"""Convolutions over frames: against torch's own, causality by gradients, padding."""

import pytest
import torch

from resgen_tts.common.lengths import padding_mask
from resgen_tts.nn.convolution import Conv1d, ConvNeXtBlock, Downsample, Upsample


@pytest.mark.parametrize(("causal", "groups", "kernel"), [(True, 1, 4), (True, 6, 7), (False, 1, 3), (False, 6, 5)])
def test_conv1d_equals_torch(causal, groups, kernel):
    torch.manual_seed(0)
    layer = Conv1d(6, 6, kernel, causal=causal, groups=groups)
    x = torch.randn(2, 9, 6)
    padding = (kernel - 1, 0) if causal else (kernel // 2, kernel // 2)
    x_padded = torch.nn.functional.pad(x.transpose(1, 2), padding)
    expected = torch.nn.functional.conv1d(x_padded, layer.weight, layer.bias, groups=groups).transpose(1, 2)
    torch.testing.assert_close(layer(x), expected)


def test_a_centred_kernel_of_even_size_is_refused():
    with pytest.raises(ValueError, match="odd"):
        Conv1d(4, 4, 4, causal=False)


def test_causal_block_reads_no_later_frame_and_its_whole_kernel():
    block = ConvNeXtBlock(4, 8, kernel_size=3, causal=True)
    x = torch.randn(1, 8, 4, requires_grad=True)
    block(x)[0, 5].sum().backward()
    read = x.grad[0].abs().sum(-1) > 0
    assert read.tolist() == [False] * 3 + [True] * 3 + [False] * 2


@pytest.mark.parametrize("causal", [True, False])
def test_padded_batch_equals_items(causal):
    torch.manual_seed(1)
    blocks = [ConvNeXtBlock(4, 8, kernel_size=5, causal=causal) for _ in range(3)]
    x, lengths = torch.randn(3, 10, 4), torch.tensor([10, 7, 1])
    is_padding = padding_mask(lengths, 10)

    def run(value, mask):
        for block in blocks:
            value = block(value, mask)
        return value

    together = run(x, is_padding)
    for item, length in enumerate(lengths.tolist()):
        torch.testing.assert_close(together[item : item + 1, :length], run(x[item : item + 1, :length], None))


def test_strides_keep_frames_in_place():
    down, up = Downsample(3, 5, 2), Upsample(5, 3, 2)
    x = torch.randn(1, 8, 3, requires_grad=True)
    merged = down(x)
    assert merged.shape == (1, 4, 5)
    merged[0, 1].sum().backward()
    assert (x.grad[0].abs().sum(-1) > 0).tolist() == [False, False, True, True, False, False, False, False]
    y = merged.detach().requires_grad_()
    split = up(y)
    assert split.shape == x.shape
    split[0, 5].sum().backward()
    assert (y.grad[0].abs().sum(-1) > 0).tolist() == [False, False, True, False]
