"""Convolutions over frames: against torch's own, causality by gradients, padding, and chunks against the whole."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from resgen_tts.common.lengths import padding_mask
from resgen_tts.nn.convolution import Conv1d, ConvNeXtBlock, Downsample, Upsample, stream_layers


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


CHUNKS = st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(lambda sizes: sum(sizes) > 0)


def in_chunks(stream, x, sizes):
    """All calls' results joined, and the last memory."""
    memory, parts = None, []
    for chunk in x.split(sizes, dim=1):
        part, memory = stream(chunk, memory)
        parts.append(part)
    return torch.cat(parts, dim=1), memory


@settings(deadline=None, max_examples=25)
@given(sizes=CHUNKS, kernel=st.integers(1, 7), depthwise=st.booleans())
def test_a_causal_convolution_in_chunks_equals_the_whole(sizes, kernel, depthwise):
    torch.manual_seed(0)
    layer = Conv1d(4, 4, kernel, causal=True, groups=4 if depthwise else 1)
    x = torch.randn(2, sum(sizes), 4)
    streamed, memory = in_chunks(layer.stream, x, sizes)
    torch.testing.assert_close(streamed, layer(x))
    before = torch.cat([torch.zeros(2, kernel - 1, 4), x], dim=1)
    assert torch.equal(memory, before[:, x.shape[1] :])  # the last frames so far, whatever the chunks were


@settings(deadline=None, max_examples=25)
@given(sizes=CHUNKS, stride=st.integers(1, 4))
def test_merged_frames_in_chunks_are_the_whole_ones(sizes, stride):
    torch.manual_seed(0)
    layer, x = Downsample(3, 5, stride), torch.randn(2, sum(sizes), 3)
    streamed, waiting = in_chunks(layer.stream, x, sizes)
    whole = x.shape[1] // stride * stride
    torch.testing.assert_close(streamed, layer(x[:, :whole]))
    assert torch.equal(waiting, x[:, whole:])


@settings(deadline=None, max_examples=25)
@given(sizes=CHUNKS)
def test_a_causal_stack_in_chunks_equals_the_whole(sizes):
    torch.manual_seed(0)
    layers = [
        torch.nn.Linear(3, 4), ConvNeXtBlock(4, 8, kernel_size=3, causal=True), Downsample(4, 6, 2),
        ConvNeXtBlock(6, 8, kernel_size=4, causal=True), Upsample(6, 4, 2), torch.nn.LayerNorm(4),
        Conv1d(4, 2, 3, causal=True),
    ]  # fmt: skip
    x = torch.randn(2, sum(sizes), 3)
    streamed, _ = in_chunks(lambda chunk, memory: stream_layers(layers, chunk, memory), x, sizes)
    whole = x[:, : x.shape[1] // 2 * 2]
    torch.testing.assert_close(streamed, torch.nn.Sequential(*layers)(whole) if whole.shape[1] else whole[..., :2])


def test_a_centred_convolution_cannot_stream():
    with pytest.raises(ValueError, match="causal"):
        Conv1d(4, 4, 3, causal=False).stream(torch.zeros(1, 5, 4))
