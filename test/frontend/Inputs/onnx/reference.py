"""What ONNX's operators compute, in NumPy, straight from their definitions: [N,C,H,W] and [N,C,W]."""

import numpy as np


def same_pads(size, kernel, stride, dilation, upper):
    pads = []
    for n, k, s, d in zip(size, kernel, stride, dilation):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2) if upper else (total - total // 2, total // 2))
    return [p[0] for p in pads] + [p[1] for p in pads]


def windows(x, kernel, stride, dilation, pads, fill, ceil_mode=False):
    """[N,C,out...,kernel...]: each window's elements; outside ones are `fill`."""
    spatial = len(kernel)
    size = x.shape[2:]
    room = [size[i] + pads[i] + pads[i + spatial] - (kernel[i] - 1) * dilation[i] - 1 for i in range(spatial)]
    out = [(-(-r // s) if ceil_mode else r // s) + 1 for r, s in zip(room, stride)]
    if ceil_mode:  # a window must start inside the input or in front of it
        out = [o - 1 if (o - 1) * stride[i] >= size[i] + pads[i] else o for i, o in enumerate(out)]
    y = np.full(x.shape[:2] + tuple(out) + tuple(kernel), fill, np.float64)
    for at in np.ndindex(*out):
        for tap in np.ndindex(*kernel):
            place = [at[i] * stride[i] + tap[i] * dilation[i] - pads[i] for i in range(spatial)]
            if all(0 <= p < n for p, n in zip(place, size)):
                y[(slice(None), slice(None)) + at + tap] = x[(slice(None), slice(None)) + tuple(place)]
    return y


def conv(x, w, b=None, group=1, stride=None, dilation=None, pads=None):
    spatial = w.ndim - 2
    stride, dilation = stride or [1] * spatial, dilation or [1] * spatial
    taken = windows(x, w.shape[2:], stride, dilation, pads or [0] * 2 * spatial, 0)
    out = []
    per_group = w.shape[0] // group
    for o in range(w.shape[0]):
        first = o // per_group * w.shape[1]
        part = taken[:, first:first + w.shape[1]]
        weights = w[o].reshape((1, w.shape[1]) + (1,) * spatial + w.shape[2:])
        axes = (1,) + tuple(range(2 + spatial, 2 + 2 * spatial))
        out.append((part * weights).sum(axis=axes) + (b[o] if b is not None else 0))
    return np.stack(out, axis=1)


def pool(x, kernel, kind, stride=None, pads=None, ceil_mode=False, count_pad=False):
    spatial = len(kernel)
    pads = pads or [0] * 2 * spatial
    axes = tuple(range(2 + spatial, 2 + 2 * spatial))
    args = (kernel, stride or [1] * spatial, [1] * spatial)
    if kind == "max":
        return windows(x, *args, pads, -np.inf, ceil_mode).max(axis=axes)
    total = windows(x, *args, pads, 0, ceil_mode).sum(axis=axes)
    if count_pad:  # of the stated padding, not of what ceil_mode adds
        around = np.pad(np.ones(x.shape), [(0, 0), (0, 0)] + [(pads[i], pads[i + spatial]) for i in range(spatial)],
                        constant_values=1)
        counts = windows(around, *args, [0] * 2 * spatial, 0, ceil_mode).sum(axis=axes)
        return total / counts[tuple(slice(n) for n in total.shape)]  # none starts in the padding behind
    return total / windows(np.ones(x.shape), *args, pads, 0, ceil_mode).sum(axis=axes)


def softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def channels(v, rank):
    return np.reshape(v, (1, -1) + (1,) * (rank - 2))


def batch_norm(x, scale, b, mean, var, epsilon):
    c = lambda v: channels(v.astype(np.float64), x.ndim)
    return c(scale) * (x - c(mean)) / np.sqrt(c(var) + epsilon) + c(b)


def quantize(x, scale, zero, dtype, axis=None):
    """To nearest, ties to even, as ONNX says; one scale, or one for each index of an axis."""
    if axis is not None:
        shape = [-1 if i == axis else 1 for i in range(np.ndim(x))]
        scale, zero = np.reshape(scale, shape), np.reshape(zero, shape)
    limits = np.iinfo(dtype)
    stored = np.rint(np.asarray(x, np.float64) / np.float64(scale)) + np.asarray(zero, np.float64)
    return np.clip(stored, limits.min, limits.max).astype(dtype)


def dequantize(x, scale, zero, axis=None):
    if axis is not None:
        shape = [-1 if i == axis else 1 for i in range(x.ndim)]
        scale, zero = np.reshape(scale, shape), np.reshape(zero, shape)
    return (x.astype(np.float64) - np.asarray(zero, np.float64)) * np.float64(scale)
