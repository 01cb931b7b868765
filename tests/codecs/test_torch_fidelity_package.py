"""Our figures of pictures against torch-fidelity's own, on one network of random weights in the published format."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from resgen_tts.apps.scoring.score_images import score_images
from resgen_tts.common.errors import CheckpointError, ConfigError
from resgen_tts.evaluation.judges.inception_features import InceptionFeatures
from resgen_tts.evaluation.measures.image_quality import PictureFeatures, coverage, frechet_distance, inception_score
from resgen_tts.evaluation.picture_scores import look_at
from resgen_tts.evaluation.protocols.picture_sets import batches, read_picture_set, read_reference

pytestmark = pytest.mark.slow
SIZES = {"made": 24, "real": 28}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Weights in both formats, and two folders of small PNGs that overlap in part."""
    import torch_fidelity

    class Unloaded(torch_fidelity.FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            pass

    root, nothing = tmp_path_factory.mktemp("fidelity"), io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    network = Unloaded("inception-v3-compat", ["2048"], feature_extractor_weights_path=nothing)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for part in network.modules():
            if isinstance(part, torch.nn.Conv2d):  # torch's own first values would leave features of 1e-8
                torch.nn.init.kaiming_normal_(part.weight)
        network.fc.weight.normal_(0, 0.5)
        network.fc.bias.normal_(0, 1)
    torch.save(network.state_dict(), root / "weights.pth")
    save_file(network.state_dict(), str(root / "weights.safetensors"))
    rng = np.random.default_rng(0)
    for name, count in SIZES.items():
        (root / name).mkdir()
        for place in range(count):
            grain, colour = int(rng.choice([1, 4, 8, 16])), rng.integers(0, 256, 3)
            noise = rng.integers(0, 256, (32 // grain, 32 // grain, 3)).repeat(grain, 0).repeat(grain, 1)
            share = 0.7 if name == "made" else rng.uniform(0.2, 0.8)
            image = (share * noise + (1 - share) * colour).astype(np.uint8)
            Image.fromarray(image).save(root / name / f"{place:03d}.png")
    return root


@pytest.fixture(scope="module")
def network(folder):
    return InceptionFeatures(folder / "weights.pth", allow_pickle=True)


@pytest.fixture(scope="module")
def seen(folder, network):
    found = {}
    for name, count in SIZES.items():
        pictures = read_picture_set(folder / name)
        found[name] = look_at(network, batches(pictures, range(count), 16), count, name)
    return found


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # four workers, whatever the machine
def test_figures_are_torch_fidelitys_own(folder, seen):
    import torch_fidelity

    theirs = torch_fidelity.calculate_metrics(
        input1=str(folder / "made"), input2=str(folder / "real"), fid=True, isc=True, prc=True, cuda=False,
        batch_size=16,
        feature_extractor="inception-v3-compat",  # its own choice for precision and recall is another
        feature_extractor_weights_path=str(folder / "weights.pth"), isc_splits=4, samples_shuffle=False, verbose=False,
        cache=False, prc_neighborhood=3,
    )  # fmt: skip
    made, real = seen["made"], seen["real"]
    ours = frechet_distance(made.features, real.features)
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-3) and ours > 0
    score = inception_score(made.probabilities, splits=4)
    assert score.mean == pytest.approx(theirs["inception_score_mean"], rel=1e-3) and score.mean > 1.01
    assert score.std == pytest.approx(theirs["inception_score_std"], rel=1e-3)
    near = coverage(real.features, made.features, neighbours=3)
    assert (near.precision, near.recall) == pytest.approx((theirs["precision"], theirs["recall"]), abs=1e-7)
    assert {near.precision, near.recall}.isdisjoint({0.0, 1.0}), "sets that say nothing about either"


def test_spatial_features_are_seven_channels_of_mixed_6(network, seen):
    """2023 = 17 x 17 places of 7 channels, not negative behind a rectifier; places outside, channels inside."""
    spatial = seen["made"].spatial
    assert spatial.shape == (SIZES["made"], 17 * 17 * 7) and (spatial >= 0).all() and spatial.std() > 0
    kept = network._spatial[-1, :7]  # of the last batch that the network saw: real pictures
    np.testing.assert_array_equal(seen["real"].spatial[-1].reshape(17, 17, 7)[3, 5], kept[:, 3, 5].numpy())


def test_the_contract_and_the_name(folder, network):
    assert isinstance(network, PictureFeatures) and not network.is_embedded and not network.is_published
    same = InceptionFeatures(folder / "weights.safetensors")
    assert same.name == network.name and "torch-fidelity 0.4" in same.name
    grey = np.random.default_rng(0).integers(0, 256, (2, 1, 28, 28)).astype(np.uint8)
    found = same.activations(grey)
    assert found.features.shape == (2, 2048) and found.probabilities.shape == (2, 1008)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(same.features(grey.repeat(3, 1)), found.features, rtol=1e-6)


def test_weights_that_are_none_are_refused_and_it_is_said_where_to_get_them(folder, tmp_path):
    with pytest.raises(CheckpointError, match="no weights of the Inception network") as missing:
        InceptionFeatures(tmp_path / "none.pth")
    assert missing.value.code == "MODEL_MISSING" and "toshas/torch-fidelity" in missing.value.hint
    with pytest.raises(CheckpointError, match="pickle") as refused:
        InceptionFeatures(folder / "weights.pth")
    assert refused.value.code == "PICKLE_REFUSED"
    state = torch.load(folder / "weights.pth", weights_only=True)
    del state["fc.bias"]
    save_file(state, str(tmp_path / "less.safetensors"))
    with pytest.raises(CheckpointError, match=r"fc\.bias"):
        InceptionFeatures(tmp_path / "less.safetensors")
    with pytest.raises(ConfigError):
        InceptionFeatures(folder / "weights.safetensors", device="nonsense")


def test_the_verb_with_saved_statistics_gives_the_same_figures(folder, tmp_path, monkeypatch):
    """Real pictures as a reference, then the statistics that were saved of them."""
    monkeypatch.setattr("resgen_tts.apps.scoring.score_images.LEAST_PICTURES", 8)
    weights, saved = folder / "weights.safetensors", tmp_path / "reference.npz"
    for reference, name in ((folder / "real", "pictures"), (saved, "statistics")):
        keep = saved if name == "pictures" else None
        score_images(
            str(folder / "made"), str(reference), tmp_path / name, inception=weights, limit=8, splits=2,
            save_reference=keep,
        )  # fmt: skip
    one, two = (json.loads((tmp_path / name / "score.json").read_text()) for name in ("pictures", "statistics"))
    assert one["figures"]["spatial_frechet"] > 0 and not one["features"]["is_published_file"]
    for name in ("frechet", "spatial_frechet"):
        assert two["figures"][name] == pytest.approx(one["figures"][name], rel=1e-6)
    assert two["figures"]["precision"] == one["figures"]["precision"]
    assert read_reference(saved).features == one["features"]["name"]
    report = (tmp_path / "pictures" / "report.md").read_text()
    assert "| FID" in report and "sFID" in report and "†" not in report
