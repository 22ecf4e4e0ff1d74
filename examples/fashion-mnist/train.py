#!/usr/bin/env python3
"""Trains the example network on Fashion-MNIST with numpy alone, and writes what the example ships:
fashion.safetensors (float weights), test_images.npy and test_labels.npy (the first 200 of the test set), and
calibration.npy (the first 64 of the training set).

    apt-get install python3-numpy dataset-fashion-mnist
    ./train.py                    # about five minutes on one core; the result is repeatable

The network is fashion.yaml: three 3x3 convolutions of stride 2 and a dense layer.  Images are pixels 0..255;
training divides them by 255, and the division is folded into the first layer's weights at the end.
"""

import gzip
import json
import struct
import sys

import numpy as np

DATA = "/usr/share/datasets/fashion-mnist"
CHANNELS = [1, 8, 16, 32]
EPOCHS, BATCH, RATE = 12, 100, 2e-3


def read_idx(path):
    """A gzipped IDX file as an array of bytes."""
    with gzip.open(path) as f:
        raw = f.read()
    rank = raw[3]
    shape = struct.unpack(f">{rank}I", raw[4:4 + 4 * rank])
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(shape)


def patches(x):
    """im2col for 3x3, stride 2, padding as TFLite's `same`: [N,H,W,C] -> [N,H/2,W/2,9*C]."""
    n, h, w, c = x.shape
    oh, ow = (h + 1) // 2, (w + 1) // 2
    total_h, total_w = (oh - 1) * 2 + 3 - h, (ow - 1) * 2 + 3 - w
    top, left = total_h // 2, total_w // 2
    x = np.pad(x, ((0, 0), (top, total_h - top), (left, total_w - left), (0, 0)))
    taps = [x[:, i:i + 2 * oh - 1:2, j:j + 2 * ow - 1:2] for i in range(3) for j in range(3)]
    return np.concatenate(taps, axis=3), (h, w, top, left)


def unpatch(g, c, place):
    """The transpose of patches(): gradients of the patches back to the image."""
    h, w, top, left = place
    n, oh, ow, _ = g.shape
    x = np.zeros((n, 2 * oh + 1, 2 * ow + 1, c), np.float32)
    for i in range(3):
        for j in range(3):
            k = 3 * i + j
            x[:, i:i + 2 * oh - 1:2, j:j + 2 * ow - 1:2] += g[..., k * c:(k + 1) * c]
    return x[:, top:top + h, left:left + w]


def init(rng):
    """He initialisation; convolution weights are [9*in, out], the dense layer's [512, 10]."""
    p = {}
    for i, (c_in, c_out) in enumerate(zip(CHANNELS, CHANNELS[1:]), 1):
        p[f"c{i}.w"] = rng.normal(0, np.sqrt(2 / (9 * c_in)), (9 * c_in, c_out)).astype(np.float32)
        p[f"c{i}.b"] = np.zeros(c_out, np.float32)
    p["fc.w"] = rng.normal(0, np.sqrt(1 / 512), (512, 10)).astype(np.float32)
    p["fc.b"] = np.zeros(10, np.float32)
    return p


def forward(p, x):
    """Logits, and what the backward pass needs of each layer."""
    saved = []
    for i in (1, 2, 3):
        cols, place = patches(x)
        y = np.maximum(cols @ p[f"c{i}.w"] + p[f"c{i}.b"], 0)
        saved.append((cols, place, y))
        x = y
    flat = x.reshape(len(x), -1)
    return flat @ p["fc.w"] + p["fc.b"], (saved, flat)


def backward(p, g, saved):
    """Gradients of all parameters from the logits' gradient g."""
    layers, flat = saved
    grads = {"fc.w": flat.T @ g, "fc.b": g.sum(0)}
    g = (g @ p["fc.w"].T).reshape(layers[-1][2].shape)
    for i in (3, 2, 1):
        cols, place, y = layers[i - 1]
        g = g * (y > 0)
        flat_g = g.reshape(-1, g.shape[-1])
        grads[f"c{i}.w"] = cols.reshape(-1, cols.shape[-1]).T @ flat_g
        grads[f"c{i}.b"] = flat_g.sum(0)
        if i > 1:
            g = unpatch(g @ p[f"c{i}.w"].T, CHANNELS[i - 1], place)
    return grads


def accuracy(p, images, labels):
    right = 0
    for at in range(0, len(images), 1000):
        x = images[at:at + 1000, :, :, None] / np.float32(255)
        right += (forward(p, x)[0].argmax(1) == labels[at:at + 1000]).sum()
    return right / len(images)


def train(images, labels, test):
    rng = np.random.default_rng(1)
    p = init(rng)
    mean = {k: np.zeros_like(v) for k, v in p.items()}
    square = {k: np.zeros_like(v) for k, v in p.items()}
    step, steps = 0, EPOCHS * len(images) // BATCH
    for epoch in range(EPOCHS):
        order = rng.permutation(len(images))
        for at in range(0, len(images), BATCH):
            pick = order[at:at + BATCH]
            x = images[pick][..., None] / np.float32(255)
            if rng.integers(2):
                x = x[:, :, ::-1]
            logits, saved = forward(p, np.ascontiguousarray(x))
            prob = np.exp(logits - logits.max(1, keepdims=True))
            prob /= prob.sum(1, keepdims=True)
            prob[np.arange(len(pick)), labels[pick]] -= 1
            grads = backward(p, prob / len(pick), saved)
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            for k in p:                      # Adam (Kingma, Ba 2015)
                mean[k] = 0.9 * mean[k] + 0.1 * grads[k]
                square[k] = 0.999 * square[k] + 0.001 * grads[k] ** 2
                unbiased = mean[k] / (1 - 0.9 ** step), square[k] / (1 - 0.999 ** step)
                p[k] = (p[k] - rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-7)).astype(np.float32)
        print(f"epoch {epoch + 1}: test accuracy {accuracy(p, *test):.4f}", file=sys.stderr)
    return p


def as_stored(p):
    """Parameters in the compiler's layouts: convolutions [O,KH,KW,I], dense [O,K]."""
    out = {}
    for i, (c_in, c_out) in enumerate(zip(CHANNELS, CHANNELS[1:]), 1):
        out[f"c{i}.w"] = p[f"c{i}.w"].T.reshape(c_out, 3, 3, c_in)
        out[f"c{i}.b"] = p[f"c{i}.b"]
    out["c1.w"] = out["c1.w"] / np.float32(255)
    out["fc.w"], out["fc.b"] = p["fc.w"].T, p["fc.b"]
    return {k: np.ascontiguousarray(v, np.float32) for k, v in out.items()}


def write_safetensors(path, tensors):
    header, at = {}, 0
    for name, t in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [at, at + t.nbytes]}
        at += t.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(t.tobytes() for t in tensors.values()))


def main():
    images, labels = (read_idx(f"{DATA}/train-{x}-ubyte.gz") for x in ("images-idx3", "labels-idx1"))
    test = tuple(read_idx(f"{DATA}/t10k-{x}-ubyte.gz") for x in ("images-idx3", "labels-idx1"))
    weights = train(images, labels, test)
    write_safetensors("fashion.safetensors", as_stored(weights))
    np.save("calibration.npy", images[:64, :, :, None])
    np.save("test_images.npy", test[0][:200, :, :, None])
    np.save("test_labels.npy", test[1][:200])


if __name__ == "__main__":
    main()
