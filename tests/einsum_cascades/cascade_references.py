"""What the cascades should compute, written in two other ways.

`REFERENCES` holds a plain NumPy function for each cascade of the library. `Walk` runs any cascade
point by point from its definition: no arrays and no order, a value is found by asking for operands.
"""

import math
from functools import cache
from itertools import product

import numpy as np

from einfall.einsum_cascades.checks import align
from einfall.einsum_cascades.einsum import Access, Number
from einfall.einsum_cascades.ops import OPS


def softmax(scores):
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def spread(key_value, queries):
    """Keys or values [b,g,…] for each query head [b,h,…]: grouped queries."""
    return key_value.repeat(queries.shape[1] // key_value.shape[1], axis=1)


def attention(Q, K, V):
    return softmax(Q @ spread(K, Q).swapaxes(-1, -2)) @ spread(V, Q)


def sigmoid_attention(Q, K, V, BIAS):
    scores = Q @ spread(K, Q).swapaxes(-1, -2) + BIAS
    return (1 / (1 + np.exp(-scores))) @ spread(V, Q)


def elu_plus_one(x):
    return np.where(x > 0, x, np.exp(x) - 1) + 1


def linear_attention(Q, K, V, mask=1.0):
    weights = elu_plus_one(Q) @ elu_plus_one(spread(K, Q)).swapaxes(-1, -2) * mask
    return weights / weights.sum(-1, keepdims=True) @ spread(V, Q)


def causal_linear_attention(Q, K, V):
    return linear_attention(Q, K, V, np.tri(Q.shape[2]))


def gelu(x):
    return x * np.vectorize(lambda value: math.erfc(-value / math.sqrt(2)) / 2)(x)


def mlp(X, W1, W2):
    return gelu(X @ W1) @ W2


def windows(maps, kernel, mode="same"):
    """Windows [..., y, x, u, v] of maps [..., i, j]; outside is 0."""
    before = [0 if mode == "valid" else size // 2 for size in kernel]
    after = [0 if mode == "valid" else size - 1 - size // 2 for size in kernel]
    padding = [(0, 0)] * (maps.ndim - 2) + list(zip(before, after, strict=True))
    return np.lib.stride_tricks.sliding_window_view(np.pad(maps, padding), kernel, (-2, -1))


def conv2d(MAP, KER):
    return np.einsum("ncyxuv,kcuv->nkyx", windows(MAP, KER.shape[-2:]), KER)


def depthwise_conv2d(MAP, KER):
    return np.einsum("ncyxuv,cuv->ncyx", windows(MAP, KER.shape[-2:]), KER)


def shared_linear(X, W):
    """The convolution itself, one channel a token, and not the matrix product that it equals."""
    (place,) = {windows(X, W.shape[-2:], "valid").shape[2:4]}
    assert place == (1, 1)
    return np.einsum("btyxuv,ouv->btoyx", windows(X, W.shape[-2:], "valid"), W)[..., 0, 0]


def global_filter(MAP, KER):
    """As GFNet does it: the spectra are multiplied. That of the flipped kernel is the conjugate."""
    spectrum = np.fft.fft2(MAP, axes=(1, 2)) * np.fft.fft2(KER, axes=(0, 1)).conj()
    return np.fft.ifft2(spectrum, axes=(1, 2)).real


def linear_layers(X, AV, WO, **W):
    concatenated = np.concatenate(list(AV), axis=-1)  # heads side by side, as torch does it
    deprojected = concatenated @ WO.reshape(-1, WO.shape[-1])
    return X @ W["WQ"], X @ W["WK"], X @ W["WV"], deprojected @ W["W1"] @ W["W2"]


def norm(x, gain, shift, least=1e-5):
    deviation = np.sqrt(x.var(-1, keepdims=True) + least)
    return (x - x.mean(-1, keepdims=True)) / deviation * gain + shift


def encoder_layer(X, WO, **W):
    tokens = norm(X, W["GAIN1"], W["SHIFT1"])[:, None]
    AV = attention(tokens @ W["WQ"], tokens @ W["WK"], tokens @ W["WV"])
    X2 = X + (AV @ WO).sum(1)
    return X2 + mlp(norm(X2, W["GAIN2"], W["SHIFT2"]), W["W1"], W["W2"])


def gfnet_block(MAP, KER, **W):
    filtered = global_filter(norm(MAP, W["GAIN1"], W["SHIFT1"], 1e-6), KER)
    hidden = gelu(norm(filtered, W["GAIN2"], W["SHIFT2"], 1e-6) @ W["W1"] + W["BIAS1"])
    return MAP + hidden @ W["W2"] + W["BIAS2"]


def convsharevit_block(X, WO, **W):
    """The same layer on tokens that are rows of numbers, with heads as wide as a token."""
    width = X.shape[-2] * X.shape[-1]
    rows = {name: value.reshape(-1) for name, value in W.items() if name[0] in "GS"}
    x = X.reshape(*X.shape[:2], width)
    tokens = norm(x, rows["GAIN1"], rows["SHIFT1"])[:, None]
    Q, K, V = (tokens @ W[n].reshape(-1, width, width).swapaxes(-1, -2) for n in ("WQ", "WK", "WV"))
    heads = attention(Q, K, V).swapaxes(1, 2)
    x = x + heads.reshape(*x.shape[:2], -1) @ WO.reshape(width, -1).T
    hidden = gelu(norm(x, rows["GAIN2"], rows["SHIFT2"]) @ W["W1"].reshape(-1, width).T)
    return (x + hidden @ W["W2"].reshape(width, -1).T).reshape(X.shape)


REFERENCES = {
    "attention_1pass": attention,
    "attention_2pass": attention,
    "attention_2pass_splitk": attention,
    "attention_3pass": attention,
    "attention_3pass_deferred": attention,
    "attention_sigmoid": sigmoid_attention,
    "conv2d": conv2d,
    "convsharevit_block": convsharevit_block,
    "depthwise_conv2d": depthwise_conv2d,
    "encoder_layer": encoder_layer,
    "gfnet_block": gfnet_block,
    "global_filter": global_filter,
    "linear_attention": linear_attention,
    "linear_attention_causal": causal_linear_attention,
    "linear_layers": linear_layers,
    "matmul": lambda X, W: X @ W,
    "mlp": mlp,
    "shared_linear": shared_linear,
}


def reference(name, inputs):
    """Outputs of a cascade of the library, in the order in which it names them."""
    outputs = REFERENCES[name](**inputs)
    return outputs if isinstance(outputs, tuple) else (outputs,)


FOLDS = {
    "sum": sum,
    "max": lambda values: max(values, default=-math.inf),
    "min": lambda values: min(values, default=math.inf),
    "prod": math.prod,
    "mean": np.mean,
}


class Walk:
    """The values of a cascade, straight from the meaning of an Einsum: `walk.value("AV", (0, 1))`.

    A point is a dictionary from rank to coordinate.
    """

    def __init__(self, cascade, inputs, sizes):
        self.cascade, self.inputs, self.sizes = cascade, inputs, sizes
        self.inits = {init.name: init for init in cascade.inits}
        self.value = cache(self.value)

    def value(self, name, coordinates):
        if name in self.inputs:
            return self.inputs[name][coordinates]
        einsum = self.cascade.by_name[name]
        pairs = list(zip(einsum.output.indices, coordinates, strict=True))
        if any(index.offset and coordinate == 0 for index, coordinate in pairs):
            einsum = self.inits[name]
        point = {i.rank: c - i.offset for i, c in pairs if c >= i.offset}
        values = [self.read(einsum.expr, each) for each in self.points(einsum, point)]
        return FOLDS[einsum.reduce](values) if einsum.reduce else values[0]

    def points(self, einsum, point):
        """The points that are reduced into one of the output."""
        space = self.cascade.iteration_ranks(einsum)
        for split in self.cascade.splits:
            if split.rank in point and split.outer in space:
                tile = self.sizes[split.inner]
                point[split.outer], point[split.inner] = divmod(point[split.rank], tile)
        ranges = [range(self.sizes[rank]) for rank in einsum.reduce_ranks]
        for choice in product(*ranges):
            each = point | dict(zip(einsum.reduce_ranks, choice, strict=True))
            followed = {g: h for g, h in self.cascade.group_of.items() if h in each}
            for g, h in followed.items():
                each[g] = each[h] * self.sizes[g] // self.sizes[h]
            if self.exists(each):
                yield each

    def exists(self, point):
        return all(
            point[split.outer] * self.sizes[split.inner] + point[split.inner]
            < self.sizes[split.rank]
            for split in self.cascade.splits
            if {split.outer, split.inner} <= set(point)
        )

    def read(self, expr, point):
        if isinstance(expr, Number):
            return expr.value
        if isinstance(expr, Access):
            axes = align(self.cascade, expr)
            places = tuple(self.place(point, axis) for axis in axes)
            return 0.0 if None in places else self.value(expr.tensor, places)
        return OPS[expr.op].evaluate(np, *(self.read(arg, point) for arg in expr.args))

    def place(self, point, axis):
        """The coordinate on an axis with one index, or with the two parts of a split."""
        first, *inner = (self.at(point, index) for index in axis)
        return first * self.sizes[axis[1].rank] + inner[0] if inner else first

    def at(self, point, index):
        if index.rank is None:
            return index.offset
        if index.kernel:
            return self.in_window(point, self.cascade.window(index))
        return self.sizes[index.rank] if index.end else point[index.rank] + index.offset

    def in_window(self, point, window):
        """The coordinate on a map; None beyond its edges."""
        kernel, size = self.sizes[window.kernel], self.sizes[window.rank]
        before = {"valid": 0, "same": kernel // 2, "full": kernel - 1, "circular": 0}
        at = point[window.output] + point[window.kernel] - before[window.mode]
        if window.mode == "circular":
            return at % size
        return at if 0 <= at < size else None
