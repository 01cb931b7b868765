"""Sets of pictures and reference statistics in the files of others' evaluations: there, back, and refused."""

import numpy as np
import pytest
from PIL import Image

from resgen_tts.common.errors import DataError
from resgen_tts.evaluation.measures.image_quality import FeatureStatistics, feature_statistics
from resgen_tts.evaluation.protocols.picture_sets import (
    ArrayPictures,
    batches,
    read_picture_set,
    read_reference,
    write_npz,
    write_reference,
)


def colours(count=7, channels=3, seed=0):
    """[N, C, 5, 4] in bytes."""
    return np.random.default_rng(seed).integers(0, 256, (count, channels, 5, 4)).astype(np.uint8)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_sample_batch_is_read_a_picture_at_a_time(tmp_path, save, channels):
    images = colours(channels=channels)
    save(tmp_path / "samples.npz", images.transpose(0, 2, 3, 1), np.arange(7))  # arr_0, and labels as arr_1
    found = read_picture_set(tmp_path / "samples.npz")
    assert len(found) == 7 and found.shape == (channels, 5, 4)
    np.testing.assert_array_equal(np.stack(list(found.rows(range(7)))), images)
    np.testing.assert_array_equal(np.stack(list(found.rows([1, 4, 6]))), images[[1, 4, 6]])
    assert [len(part) for part in batches(found, range(7), 3)] == [3, 3, 1]


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3)])
def test_a_folder_of_pngs_is_the_pictures(tmp_path, mode, channels):
    images = colours(12, channels)
    for place, image in enumerate(images):
        (tmp_path / f"{place % 2}").mkdir(exist_ok=True)
        Image.fromarray(image.transpose(1, 2, 0).squeeze()).save(tmp_path / f"{place % 2}" / f"{place:02d}.png")
    found = read_picture_set(tmp_path)
    order = [*range(0, 12, 2), *range(1, 12, 2)]
    assert found.shape == (channels, 5, 4)
    np.testing.assert_array_equal(np.stack(list(found.rows(range(12)))), images[order])
    before = found.sha256()
    assert before == read_picture_set(tmp_path).sha256()
    Image.new(mode, (4, 5)).save(tmp_path / "0" / "00.png")
    assert read_picture_set(tmp_path).sha256() != before


def test_a_grey_picture_among_coloured_ones_gets_three_channels(tmp_path):
    Image.new("RGB", (4, 5), (9, 8, 7)).save(tmp_path / "a.png")
    Image.new("L", (4, 5), 6).save(tmp_path / "b.png")
    first, second = read_picture_set(tmp_path).rows([0, 1])
    assert first[:, 0, 0].tolist() == [9, 8, 7] and second[:, 0, 0].tolist() == [6, 6, 6]


def test_statistics_come_back_with_the_name_and_the_pictures(tmp_path):
    features = np.random.default_rng(0).standard_normal((30, 6))
    pool, spatial, images = feature_statistics(features), feature_statistics(features[:, :2]), colours()
    write_reference(tmp_path / "all.npz", pool, spatial, features="a network, 0123", images=images)
    found = read_reference(tmp_path / "all.npz")
    np.testing.assert_array_equal(found.pool.mean, pool.mean)
    np.testing.assert_array_equal(found.pool.covariance, pool.covariance)
    np.testing.assert_array_equal(found.spatial.covariance, spatial.covariance)
    np.testing.assert_array_equal(np.stack(list(found.pictures.rows(range(7)))), images)
    assert found.features == "a network, 0123"


def test_statistics_of_others_name_no_network_and_may_have_no_pictures(tmp_path):
    np.savez(tmp_path / "adm.npz", mu=np.zeros(4, np.float32), sigma=np.eye(4))
    found = read_reference(tmp_path / "adm.npz")
    assert found.features == "" and found.pictures is None and found.spatial is None
    assert found.pool.mean.dtype == np.float64 and isinstance(found.pool, FeatureStatistics)


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"images": colours()}, "holds neither statistics"),
        ({"mu": np.zeros(4)}, "has mu, but no sigma"),
        ({"mu": np.zeros(4), "sigma": np.eye(3)}, r"must be a mean \[F\] and a covariance \[F, F\]"),
        ({"mu": np.zeros(4, int), "sigma": np.eye(4)}, "must be a mean"),
        ({"mu": np.zeros(2), "sigma": np.array([[1, np.inf], [0, 1]])}, "no finite numbers"),
        ({"mu": np.array([None, {}], object), "sigma": np.eye(2)}, "cannot be read as .npz.*allow_pickle"),
        ({"arr_0": colours().astype(np.float32).transpose(0, 2, 3, 1)}, "must be bytes.*float32"),
        ({"arr_0": colours()}, r"must be bytes \[N, height, width, 1 or 3\]"),
    ],
)
def test_what_is_no_reference_is_refused(tmp_path, arrays, told):
    np.savez(tmp_path / "wrong.npz", **arrays)
    with pytest.raises(DataError, match=told):
        read_reference(tmp_path / "wrong.npz")


def test_files_that_are_broken_or_missing_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.npz does not exist"):
        read_reference(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no archive")
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("text.npz", "array.npy"):
        for read in (read_reference, read_picture_set):
            with pytest.raises(DataError, match=f"{name} cannot be read as .npz"):
                read(tmp_path / name)
    with pytest.raises(DataError, match="holds no pictures"):
        read_picture_set(tmp_path)
    np.savez(tmp_path / "other.npz", images=colours())
    with pytest.raises(DataError, match="no array arr_0"):
        read_picture_set(tmp_path / "other.npz")


def test_a_folder_of_two_sizes_or_with_a_broken_file_is_refused(tmp_path):
    Image.new("L", (4, 5)).save(tmp_path / "a.png")
    Image.new("L", (5, 5)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png has 5 x 5 pixels, a\.png has 4 x 5"):
        read_picture_set(tmp_path)
    (tmp_path / "b.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.png is not a picture"):
        read_picture_set(tmp_path)


def test_a_batch_that_ends_too_early_says_where(tmp_path):
    write_npz(tmp_path / "whole.npz", {"arr_0": colours(200).transpose(0, 2, 3, 1)})
    content = bytearray((tmp_path / "whole.npz").read_bytes())
    content[2000:2400] = bytes(400)
    (tmp_path / "torn.npz").write_bytes(bytes(content))
    found = read_picture_set(tmp_path / "torn.npz")
    with pytest.raises(DataError, match=r"torn\.npz is broken"):
        list(found.rows(range(200)))


def test_pictures_in_memory():
    images = colours()
    found = ArrayPictures(images)
    assert found.shape == (3, 5, 4) and len(found) == 7
    np.testing.assert_array_equal(next(iter(found.rows([2]))), images[2])
    assert found.sha256() != ArrayPictures(images[::-1].copy()).sha256()
