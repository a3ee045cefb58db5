"""A byte-pair CLIP tokenizer built from the captions, with rare words kept free for DreamBooth subjects."""

import json
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer

from assets.build.vocabulary import RARE_TOKENS, all_captions

MAX_TOKENS = 24
_EXTRA_WORDS = (
    "photo of picture drawing painting the in my one two orange purple brown large small happy sad monkey dog"
)
_WORDS = r"""'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def build_tokenizer(folder: Path) -> CLIPTokenizer:
    """Trains and saves the tokenizer; any text encodes, since every byte is a token."""
    folder.mkdir(parents=True, exist_ok=True)
    bpe = Tokenizer(
        models.BPE(continuing_subword_prefix="", end_of_word_suffix="</w>", fuse_unk=False, unk_token="<|endoftext|>")
    )
    bpe.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=2400, min_frequency=2, initial_alphabet=alphabet, end_of_word_suffix="</w>",
        special_tokens=["<|startoftext|>", "<|endoftext|>"], show_progress=False,
    )  # fmt: skip
    captions = [text for *_, text in all_captions()]
    bpe.train_from_iterator(captions + [f"{' '.join(RARE_TOKENS)} {_EXTRA_WORDS}"] * 50, trainer)
    model = json.loads(bpe.to_str())["model"]
    vocabulary = model["vocab"]
    for character in alphabet:
        vocabulary.setdefault(f"{character}</w>", len(vocabulary))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(
        str(folder), model_max_length=MAX_TOKENS, unk_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    tokenizer.save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(str(folder))
