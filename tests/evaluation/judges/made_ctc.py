"""Small random CTC models, saved as the published ones are."""

import json
from pathlib import Path

import torch

from resgen_tts.common.wheel_hooks import install

LETTERS = "ETAONIHSRDLUMWCFGYPBVK'XJQZ"
VOCABULARY = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4} | {
    letter: 5 + place for place, letter in enumerate(LETTERS)
}
STRIDES, KERNELS = (5, 2, 2, 2, 2, 2, 2), (10, 3, 3, 3, 3, 2, 2)  # of all published models: 320 and 400 samples
LAYER_NORM = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}  # of the large ones


def config_of(kind: str = "Hubert", *, width: int = 32, layers: int = 2, channels: int = 16, **changes):
    """A config as that of hubert-large-ls960-ft, in small."""
    install()
    import transformers

    sizes = {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 4, "intermediate_size": 2 * width,
        "conv_dim": [channels] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
        "conv_stride": list(STRIDES), "conv_kernel": list(KERNELS), "vocab_size": len(VOCABULARY), "pad_token_id": 0,
    }  # fmt: skip
    return getattr(transformers, f"{kind}Config")(**(sizes | LAYER_NORM | changes))


def make_model(kind: str = "Hubert", *, seed: int = 0, scale: float = 8.0, **changes):
    """Random weights, the head's large enough that all letters are said somewhere."""
    install()
    import transformers

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, f"{kind}ForCTC")(config_of(kind, **changes))
        torch.nn.init.normal_(model.lm_head.weight, std=scale / model.config.hidden_size**0.5)
    return model.eval()


def write_text_files(folder: Path, *, has_mask: bool = True, rate: int = 16_000, vocabulary=VOCABULARY) -> None:
    """vocab.json, tokenizer_config.json, special_tokens_map.json, preprocessor_config.json of the published models."""
    marks = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    files = {
        "vocab.json": vocabulary,
        "special_tokens_map.json": marks,
        "tokenizer_config.json": marks | {"do_lower_case": False, "word_delimiter_token": "|"},
        "preprocessor_config.json": {
            "do_normalize": True, "feature_size": 1, "padding_side": "right", "padding_value": 0,
            "return_attention_mask": has_mask, "sampling_rate": rate,
        },
    }  # fmt: skip
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")


def save_ctc(folder: Path, model=None, **options) -> Path:
    """config.json and model.safetensors of a model with its text files."""
    (make_model() if model is None else model).save_pretrained(folder)
    write_text_files(folder, **options)
    return folder
