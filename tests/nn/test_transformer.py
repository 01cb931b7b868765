"""The trunk and its parts: padding, positions, causality and condition."""

import pytest
import torch

from resgen_tts.nn.attention import CrossAttention
from resgen_tts.nn.code_embedding import CodeEmbedding
from resgen_tts.nn.rotary import places, rotary_angles, rotate, sinusoids, turns_by
from resgen_tts.nn.transformer import Cache, Transformer


def seeded(build):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build()


def test_a_padded_batch_equals_the_unpadded_items():
    model = seeded(lambda: Transformer(16, 2, 2)).eval()
    x = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(1))
    is_padding = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
    both = model(x, is_padding)
    torch.testing.assert_close(both[0], model(x[:1])[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(both[1, :4], model(x[1:, :4])[0], atol=1e-5, rtol=1e-4)


def test_every_position_hears_every_other():
    model = seeded(lambda: Transformer(16, 1, 2)).eval()
    x = torch.randn(1, 5, 16, requires_grad=True)
    model(x)[0, 0, 0].backward()  # one channel: the sum over a normalized vector is constant
    assert (x.grad[0].abs().sum(-1) > 0).all()


def test_rotary_scores_depend_on_the_distance_alone():
    q, k = torch.randn(2, 8)
    turns = turns_by(rotary_angles(12, 8, device=q.device))
    turned_q = rotate(q.expand(1, 1, 12, 8), turns)[0, 0]
    turned_k = rotate(k.expand(1, 1, 12, 8), turns)[0, 0]
    scores = turned_q @ turned_k.T
    for shift in range(-5, 6):
        diagonal = scores.diagonal(shift)
        torch.testing.assert_close(diagonal, diagonal[:1].expand_as(diagonal), atol=1e-4, rtol=1e-4)


def test_hidden_levels_tell_states_of_equal_sum_apart():
    embedding = seeded(lambda: CodeEmbedding(4, 0, 3, 8))
    visible = torch.zeros(1, 3, 4)
    hidden = torch.tensor([[[False] * 3, [True] * 3, [True, False, True]]])
    rows = embedding(visible, hidden, None)[0]
    assert not torch.allclose(rows[0], rows[1])
    assert not torch.allclose(rows[1], rows[2])
    torch.testing.assert_close(embedding(visible, None, None)[0, 0], rows[0])


def test_a_causal_network_sees_what_is_before_and_continues_behind_its_cache():
    model = seeded(lambda: Transformer(16, 2, 2, causal=True)).eval()
    x = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))
    full = model(x)
    changed = x.clone()
    changed[:, 5:] += 1
    torch.testing.assert_close(model(changed)[:, :5], full[:, :5])
    cache = Cache(room=9)
    parts = [model(part, cache=cache) for part in x.split([4, 1, 3, 1], dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), full, atol=1e-5, rtol=1e-4)


def test_positions_of_a_picture_turn_with_row_and_column():
    angles = rotary_angles(6, 8, device=torch.device("cpu"), grid_width=3)  # 2 x 3
    assert torch.equal(angles[:3, :2], torch.zeros(3, 2))  # first row
    torch.testing.assert_close(angles[:3, 2:], angles[3:, 2:])  # columns repeat in the second row
    assert angles[:3, 2].tolist() == [0, 1, 2] and angles[3, 0] == 1
    assert torch.equal(rotary_angles(2, 8, device=angles.device, start=4, grid_width=3), angles[4:])
    assert len(sinusoids(angles).unique(dim=0)) == 6
    with pytest.raises(ValueError, match="multiple of 4 times"):
        Transformer(12, 1, 2, grid_width=3)


def test_a_shared_condition_starts_neutral_and_then_moves_every_block():
    model = seeded(lambda: Transformer(16, 2, 2, conditional=True)).eval()
    x, vector = torch.randn(1, 4, 16), torch.randn(1, 16)
    torch.testing.assert_close(model(x, None, vector), model(x, None, torch.zeros(1, 16)))
    torch.nn.init.normal_(model.modulation.project.weight, std=0.1)
    assert not torch.allclose(model(x, None, vector), model(x, None, torch.zeros(1, 16)))
    # A condition of zero is the bias alone: the network without one.
    plain = seeded(lambda: Transformer(16, 2, 2)).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(model(x, None, torch.zeros(1, 16)), plain(x), atol=1e-6, rtol=1e-5)


def test_cross_attention_is_the_plain_formula_one_query_and_head_at_a_time():
    layer = seeded(lambda: CrossAttention(8, 2, 6))
    rng = torch.Generator().manual_seed(1)
    x, memory = torch.randn(2, 3, 8, generator=rng), torch.randn(2, 5, 6, generator=rng)
    is_padding = torch.tensor([[False] * 5, [False, True, False, True, True]])
    queries, (keys, values) = layer.project_query(x), layer.project_memory(memory).chunk(2, dim=-1)
    wanted = torch.zeros(2, 3, 8)
    for item in range(2):
        seen = [n for n in range(5) if not is_padding[item, n]]
        for frame in range(3):
            for head in (slice(0, 4), slice(4, 8)):
                scores = torch.stack([queries[item, frame, head] @ keys[item, n, head] / 4**0.5 for n in seen])
                for weight, n in zip(scores.softmax(0), seen, strict=True):
                    wanted[item, frame, head] += weight * values[item, n, head]
    torch.testing.assert_close(layer(x, memory, is_padding), layer.project_out(wanted), atol=1e-6, rtol=1e-5)


def test_a_padded_batch_with_texts_equals_its_items_and_hears_no_padding():
    model = seeded(lambda: Transformer(16, 2, 2, memory_width=6)).eval()
    rng = torch.Generator().manual_seed(1)
    x, text = torch.randn(2, 7, 16, generator=rng), torch.randn(2, 5, 6, generator=rng)
    is_padding = torch.tensor([[False] * 7, [False] * 4 + [True] * 3])
    text_padding = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    both = model(x, is_padding, memory=(text, text_padding))
    alone = model(x[1:, :4], memory=(text[1:, :3], text_padding[1:, :3]))
    torch.testing.assert_close(both[1, :4], alone[0], atol=1e-5, rtol=1e-4)
    text.requires_grad_()
    model(x, is_padding, memory=(text, text_padding))[:, 0, 0].sum().backward()
    assert torch.equal(text.grad.abs().sum(-1) > 0, ~text_padding)


def test_without_a_text_nothing_is_added():
    plain, with_text = (seeded(lambda w=w: Transformer(16, 2, 2, memory_width=w)) for w in (0, 6))
    assert not any("cross" in name for name in plain.state_dict())
    more = set(with_text.state_dict()) - set(plain.state_dict())
    assert more and all("cross" in name for name in more)
    with pytest.raises(AssertionError, match="text memory"):
        plain(torch.zeros(1, 3, 16), memory=(torch.zeros(1, 2, 6), torch.zeros(1, 2, dtype=torch.bool)))


def test_relative_places_are_near_where_their_sines_are_near():
    place = torch.linspace(-1, 1, 41)
    coded = sinusoids(places(place, 32))
    products = coded @ coded.T
    assert (products.diagonal() >= products.amax(1) - 1e-4).all()
    nearest = products.diagonal(1)
    assert all((nearest > products.diagonal(shift).mean()).all() for shift in (8, 20, 40))
    rates = places(torch.tensor([1.0]), 8, highest=81.0)[0]
    torch.testing.assert_close(rates, torch.tensor([81.0, 27.0, 9.0, 3.0]))
