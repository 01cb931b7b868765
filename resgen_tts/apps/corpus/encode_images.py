"""The verb ``encode-images``: codes of every picture, as a generator is trained on them."""

from pathlib import Path

import torch

BATCH = 500  # pictures encoded at once
SPLITS = ("train", "test")


def encode_images(data: str, image_vae: Path, output: Path, threads: int = 0) -> None:
    """Write codes [N, T, D] and labels of the training and test splits, and the code space that they live in.

    Args:
        data: folder with MNIST's IDX files, or the name "digits".
        image_vae: trained image VAE.
        output: folder of the codes; replaced as a whole when all is done.
        threads: CPU threads; 0 leaves torch's choice.
    """
    from tqdm import tqdm

    from resgen_tts.apps.weights.pretrained_image import load_image_vae
    from resgen_tts.image.codes import PictureCodes, write_codes
    from resgen_tts.image.dataset import load_pictures, to_signed

    if threads:
        torch.set_num_threads(threads)
    model = load_image_vae(image_vae)
    splits = {}
    for split in SPLITS:
        pictures = load_pictures(data, split, model.config.image_size)
        with torch.inference_mode():
            parts = tqdm(pictures.images.split(BATCH), desc=f"encode {split}", disable=None)
            codes = torch.cat([model.encode(to_signed(part)) for part in parts])
        splits[split] = PictureCodes(codes, pictures.labels)
        print(f"encode-images: {split}: {len(codes)} pictures, {codes.shape[1]} x {codes.shape[2]} codes each")
    config = model.config
    info = {"grid": list(model.grid), "image_size": config.image_size, "channels_in": config.channels_in}
    write_codes(output, splits, model.code_space, info)
