"""LPIPS: a plain loop of its definition on made weights, distance of equal pictures, gradients, files."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.common.randomness import generator
from resgen_tts.tokenizers.perceptual import LPIPS, PerceptualFiles, load_lpips

# torchvision's VGG16: where its convolutions stand among ``features``, and which of them LPIPS reads.
CONVOLUTIONS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
POOLS, READ = (4, 9, 16, 23), (2, 7, 14, 21, 28)
WIDTHS = (64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)


@pytest.fixture(scope="module")
def weights():
    """Random weights in the layouts of torchvision and of the package lpips, with what is left unread beside them."""
    rng, channels = generator(0, "vgg"), 3
    vgg = {"classifier.6.weight": torch.zeros(2, 2)}
    for place, width in zip(CONVOLUTIONS, WIDTHS, strict=True):
        scale = (2 / (9 * channels)) ** 0.5  # He: values neither fade nor grow
        vgg[f"features.{place}.weight"] = torch.randn(width, channels, 3, 3, generator=rng) * scale
        vgg[f"features.{place}.bias"] = torch.randn(width, generator=rng) * 0.1
        channels = width
    linear = {
        f"lin{index}.model.1.weight": torch.rand(1, width, 1, 1, generator=rng)
        for index, width in enumerate((64, 128, 256, 512, 512))
    }
    return vgg, linear


@pytest.fixture(scope="module")
def lpips(weights, tmp_path_factory):
    """LPIPS read from the two files, one of each format."""
    folder = tmp_path_factory.mktemp("lpips")
    save_file(weights[0], folder / "vgg.safetensors")
    torch.save(weights[1], folder / "linear.pth")
    files = {"vgg": str(folder / "vgg.safetensors"), "linear": str(folder / "linear.pth")}
    with pytest.raises(CheckpointError, match=r"linear\.pth is a pickle"):
        load_lpips(PerceptualFiles(**files))
    return load_lpips(PerceptualFiles(**files, allow_pickle=True))


def pictures(seed, channels=3, size=20):
    return torch.rand(2, channels, size, size, generator=generator(seed)) * 2 - 1


def plain_distance(picture, other, vgg, linear):
    """The definition, stage by stage and channel by channel, for one pair [3, H, W]."""
    features = []
    for x in (picture, other):
        shift, scale = torch.tensor([[-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]])[..., None, None]
        x, read = ((x - shift) / scale)[None], []
        for place in range(29):
            if place in POOLS:
                x = F.max_pool2d(x, 2)
            elif place in CONVOLUTIONS:
                x = F.conv2d(x, vgg[f"features.{place}.weight"], vgg[f"features.{place}.bias"], padding=1).relu()
            if place in READ:
                read.append(x[0])
        features.append(read)
    total = 0.0
    for index, (ours, theirs) in enumerate(zip(*features, strict=True)):
        unit = [x / ((x**2).sum(0).sqrt() + 1e-10) for x in (ours, theirs)]
        stage = torch.zeros(ours.shape[1:])
        for channel, weight in enumerate(linear[f"lin{index}.model.1.weight"].flatten()):
            stage += weight * (unit[0][channel] - unit[1][channel]) ** 2
        total += float(stage.mean())
    return total


def test_the_distance_is_that_of_the_definition(lpips, weights):
    ours, theirs = pictures(1), pictures(2)
    expected = [plain_distance(*pair, *weights) for pair in zip(ours, theirs, strict=True)]
    torch.testing.assert_close(lpips(ours, theirs), torch.tensor(expected), rtol=1e-4, atol=1e-6)
    assert min(expected) > 0


def test_equal_pictures_have_no_distance(lpips):
    ours = pictures(3)
    assert torch.equal(lpips(ours, ours), torch.zeros(2))
    torch.testing.assert_close(lpips(ours, pictures(4)), lpips(pictures(4), ours))


def test_grey_pictures_count_as_colour(lpips):
    ours, theirs = pictures(5, channels=1), pictures(6, channels=1)
    torch.testing.assert_close(lpips(ours, theirs), lpips(ours.repeat(1, 3, 1, 1), theirs.repeat(1, 3, 1, 1)))


def test_gradients_reach_the_picture_and_not_the_weights(lpips):
    decoded = pictures(7).requires_grad_()
    lpips(pictures(8), decoded).sum().backward()
    assert decoded.grad.isfinite().all() and decoded.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in lpips.parameters())


def test_where_all_features_are_silent_the_gradient_is_zero_and_not_undefined(lpips):
    """Rectifiers can leave a whole vector at zero, whose length has no slope."""
    silent = LPIPS()
    for parameter in silent.parameters():
        parameter.zero_()
    decoded = pictures(9).requires_grad_()
    distance = silent(pictures(8), decoded).sum()
    distance.backward()
    assert not distance.detach() and not decoded.grad.any()


def test_what_does_not_fit_is_refused(lpips, weights, tmp_path):
    with pytest.raises(ConfigError, match="at least 16 pixels"):
        lpips(pictures(1, size=15), pictures(2, size=15))
    with pytest.raises(ConfigError, match=r"perceptual\.vgg and perceptual\.linear"):
        load_lpips(PerceptualFiles())
    with pytest.raises(CheckpointError, match="does not exist"):
        load_lpips(PerceptualFiles(vgg=str(tmp_path / "none.safetensors"), linear="x"))
    save_file(weights[1], tmp_path / "linear.safetensors")
    swapped = str(tmp_path / "linear.safetensors")
    with pytest.raises(CheckpointError, match="not VGG16 in torchvision's layout"):
        load_lpips(PerceptualFiles(vgg=swapped, linear=swapped))
    (tmp_path / "broken.pth").write_bytes(b"no pickle")
    with pytest.raises(CheckpointError, match=r"broken\.pth cannot be read as plain tensors"):
        load_lpips(PerceptualFiles(vgg=str(tmp_path / "broken.pth"), linear=swapped, allow_pickle=True))
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="something else than named tensors"):
        load_lpips(PerceptualFiles(vgg=str(tmp_path / "other.pth"), linear=swapped, allow_pickle=True))
