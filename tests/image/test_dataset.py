"""Pictures from IDX files and from scikit-learn: values, padding, broken files, and the order of batches."""

import gzip
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from resgen_tts.common.errors import ConfigError, DataError
from resgen_tts.image.dataset import ImageBatches, Pictures, load_pictures, read_idx, to_bytes, to_signed


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    """A data set of MNIST's form: 5 pictures to learn from, plain; 3 to test with, gzipped."""
    rng = np.random.default_rng(0)
    for name, count, suffix, packed in (("train", 5, "", bytes), ("t10k", 3, ".gz", gzip.compress)):
        images = rng.integers(0, 256, (count, 6, 4), dtype=np.uint8)
        (tmp_path / f"{name}-images-idx3-ubyte{suffix}").write_bytes(packed(idx(images)))
        (tmp_path / f"{name}-labels-idx1-ubyte{suffix}").write_bytes(packed(idx(np.arange(count, dtype=np.uint8))))
        np.save(tmp_path / f"{name}.npy", images)
    return tmp_path


@pytest.mark.parametrize(("split", "name"), [("train", "train"), ("test", "t10k")])
def test_pictures_lie_in_the_middle_of_black(folder, split, name):
    pictures = load_pictures(folder, split, 8)
    images = np.load(folder / f"{name}.npy")
    assert pictures.images.shape == (len(images), 1, 8, 8)
    assert np.array_equal(pictures.images[:, 0, 1:7, 2:6].numpy(), images)
    assert pictures.images.long().sum() == images.astype(int).sum()
    assert pictures.labels.tolist() == list(range(len(images)))


def test_bytes_survive_the_way_to_the_network_and_back():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    signed = to_signed(every)
    assert signed.min() == -1 and signed.max() == 1
    assert torch.equal(to_bytes(signed), every)
    assert to_bytes(torch.full((1, 1, 1, 1), 1.7)).item() == 255


def test_the_bundled_digits_need_no_file():
    train, test = (load_pictures("digits", split, 8) for split in ("train", "test"))
    assert len(train) + len(test) == 1797
    assert train.images.shape[1:] == (1, 8, 8) and train.images.max() == 255
    assert set(test.labels.tolist()) == set(range(10))


GOOD = idx(np.zeros((2, 3, 4), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is not an IDX file"),
        (b"\x89PNG" + bytes(40), "begins 89504e47"),
        (bytes((0, 0, 0x0D, 3)) + GOOD[4:], "is not an IDX file"),  # floats
        (idx(np.zeros((2, 3), dtype=np.uint8)), "with 3 axes"),
        (GOOD[:-1], "holds 23 values, its header says 2 x 3 x 4"),
        (GOOD + b"x", "holds 25 values"),
        (bytes((0, 0, 8, 3)) + b"\xff" * 12, "holds 0 values"),  # a header that asks for more than memory holds
    ],
    ids=["empty", "png", "floats", "axes", "short", "long", "huge"],
)
def test_a_broken_idx_file_is_named(tmp_path, content, why):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(DataError, match=why) as caught:
        read_idx(path, 3)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(GOOD)[:-9], gzip.compress(GOOD)[:12] + b"\xff" * 30])
def test_broken_gzip_is_named(tmp_path, content):
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images\.gz is not whole gzip"):
        read_idx(path, 3)


def test_what_does_not_fit_is_refused(folder):
    with pytest.raises(DataError, match="6 x 4 are larger than 4 x 4"):
        load_pictures(folder, "train", 4)
    with pytest.raises(ConfigError, match="unknown split 'dev'"):
        load_pictures(folder, "dev", 8)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(4, dtype=np.uint8)))
    with pytest.raises(DataError, match="5 pictures and 4 labels"):
        load_pictures(folder, "train", 8)
    with pytest.raises(DataError, match=r"nowhere.*does not exist"):
        load_pictures(folder / "nowhere", "train", 8)


@pytest.fixture
def photographs(tmp_path):
    """Twelve photographs of each of two classes; the red of a picture is its number, times ten."""
    lines = ["file\tlabel"]
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for number in reversed(range(12)):
            name = f"{label}/{number:02d}.png"
            Image.new("RGB", (8, 6), (10 * number, 100 * label, 7)).save(tmp_path / name)
            lines.append(f"{name}\t{label}")
    (tmp_path / "labels.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_photographs_are_colour_and_the_last_of_each_class_are_the_test(photographs):
    train, test = (load_pictures(photographs, split, 6) for split in ("train", "test"))
    assert train.images.shape == (20, 3, 6, 6) and test.images.shape == (4, 3, 6, 6)
    assert test.labels.tolist() == [0, 0, 1, 1] and train.labels.tolist() == [0] * 10 + [1] * 10
    assert test.images[:, 0, 0, 0].tolist() == [100, 110, 100, 110]
    assert (test.images[2:, 1] == 100).all() and (test.images[:, 2] == 7).all()


def test_photographs_are_scaled_and_cut_in_the_middle(tmp_path):
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 200  # the middle third is all that a square shows
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(tmp_path / name)
    (tmp_path / "labels.tsv").write_text("file\tlabel\na.png\t3\nb.png\t3\n", encoding="utf-8")
    pictures = load_pictures(tmp_path, "train", 4)
    assert pictures.labels.tolist() == [3] and (pictures.images == 200).all()
    assert load_pictures(tmp_path, "train", 8).images.shape == (1, 3, 8, 8)


def test_broken_photographs_are_named(photographs):
    (photographs / "1" / "11.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"1/11\.png is not a picture"):
        load_pictures(photographs, "test", 6)
    (photographs / "labels.tsv").write_text("file\tlabel\n0/00.png\tcat\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"labels\.tsv:2: .*cat"):
        load_pictures(photographs, "train", 6)
    (photographs / "labels.tsv").write_text("file\tlabel\n0/00.png\t0\n", encoding="utf-8")
    with pytest.raises(DataError, match="no picture for the train split"):
        load_pictures(photographs, "train", 6)


def test_an_epoch_visits_every_picture_once_in_an_order_of_its_own():
    images = torch.arange(10, dtype=torch.uint8).reshape(10, 1, 1, 1).expand(10, 1, 2, 2)
    batches = ImageBatches(Pictures(images, torch.arange(10)), batch_size=5, seed=3)
    orders = [[batch.images[:, 0, 0, 0].tolist() for batch in batches.epoch(epoch)] for epoch in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(place for batch in orders[0] for place in batch) == list(range(10))
    first = next(iter(batches.epoch(0)))
    assert first.ids == tuple(map(str, orders[0][0])) and first.seconds == 5
    assert len(list(ImageBatches(batches.pictures, batch_size=4, seed=3).epoch(0))) == 2  # the last two are left out
    assert len(next(iter(ImageBatches(batches.pictures, batch_size=40, seed=3).epoch(0))).ids) == 10
