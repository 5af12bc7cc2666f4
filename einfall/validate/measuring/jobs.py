"""From a case to something that can be launched: inputs, launch, and the output in plain order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from einfall.validate.kernels import configs
from einfall.validate.measuring.cases import Case
from einfall.validate.measuring.work import block_list, count

Tensors = Mapping[str, Any]
"""By name: `q`, `k`, `v` as [B, H or G, tokens, E]; `out`; what else a kernel needs."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to launch a case.

    Args:
        name: Tile shape and launch options, empty where there is no choice.
        prepare: From q, k, v the tensors that the launch takes, `out` filled with NaN.
        launch: Runs the kernel once on prepared tensors.
        result: The output as [B, H, P, E] from prepared tensors after a launch; None if there is
            nothing to compare.
        note: What else a recording should say.
    """

    name: str
    prepare: Callable[[Tensors], dict[str, Any]]
    launch: Callable[[dict[str, Any]], object]
    result: Callable[[Tensors], Any] | None = None
    note: str = ""


def dtype_of(case: Case) -> Any:  # noqa: ANN401  a torch.dtype
    """The torch type of a case's inputs."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    names = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
    return names.get(case.dtype, torch.float32)


def inputs_of(case: Case, device: str, seed: int) -> dict[str, Any]:
    """Standard normal q, k and v of a case; empty for kernels without a shape."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    if not case.seq_q:
        return {}
    random = torch.Generator(device).manual_seed(seed)
    shapes = {
        "q": (case.batch, case.heads, case.seq_q, case.head_dim),
        "k": (case.batch, case.kv_heads, case.seq_k, case.head_dim),
        "v": (case.batch, case.kv_heads, case.seq_k, case.head_dim),
    }
    options = {"generator": random, "device": device, "dtype": dtype_of(case)}
    return {name: torch.randn(shape, **options) for name, shape in shapes.items()}


def variants_of(case: Case) -> Sequence[Variant]:
    """Every way to launch the case, one for each configuration that is tuned over."""
    makers = {
        "triton_flash": _flash,
        "triton_na2d": _neighborhood,
        "triton_na3d": _neighborhood,
        "triton_block_sparse": _block_sparse,
        "triton_linear": _linear,
        "triton_decode": _decode,
        "triton_softmax_3pass": _unfused,
    }
    if case.kernel in makers:
        return makers[case.kernel](case)
    if case.kernel.startswith("sdpa_"):
        return [_sdpa(case)]
    if case.kernel.startswith("flex_"):
        return [_flex(case)]
    return [_ceiling(case)]


def _poisoned(x: Any) -> Any:  # noqa: ANN401  a tensor
    return x.new_full(x.shape, float("nan"))


def _with_out(tensors: Tensors, **more: Any) -> dict[str, Any]:  # noqa: ANN401  tensors
    return {**tensors, "out": _poisoned(tensors["q"]), **more}


def _out(tensors: Tensors) -> Any:  # noqa: ANN401  a tensor
    return tensors["out"]


def _qkv(t: Tensors) -> tuple[Any, Any, Any, Any]:
    return t["out"], t["q"], t["k"], t["v"]


def _flash(case: Case) -> list[Variant]:
    from einfall.validate.kernels.flash import flash

    window = int(case.options["window"]) if "window" in case.options else None

    def variant(tile: configs.Tile) -> Variant:
        def launch(t: dict[str, Any]) -> None:
            flash(*_qkv(t), tile=tile, causal=bool(case.causal), window=window)

        return Variant(str(tile), _with_out, launch, _out)

    return [variant(tile) for tile in configs.FLASH[case.head_dim]]


def _neighborhood(case: Case) -> list[Variant]:
    from einfall.validate.kernels.neighborhood import from_boxes, neighborhood, to_boxes

    shape, window, stride = (case.box(key) for key in ("shape", "window", "stride"))
    sizes = {"shape": shape, "window": window, "stride": stride}

    def variant(tile: configs.BoxTile) -> Variant:
        def prepare(t: Tensors) -> dict[str, Any]:
            boxes = {"q": tile.q_box, "k": tile.k_box, "v": tile.k_box}
            return _with_out({name: to_boxes(t[name], shape, box) for name, box in boxes.items()})

        return Variant(
            str(tile),
            prepare,
            lambda t: neighborhood(*_qkv(t), tile=tile, **sizes),
            lambda t: from_boxes(t["out"], shape, tile.q_box),
        )

    flat = case.kernel == "triton_na2d"
    tiles = configs.NEIGHBORHOOD_2D if flat else configs.NEIGHBORHOOD_3D
    return [variant(tile) for tile in tiles]


def _block_sparse(case: Case) -> list[Variant]:
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    from einfall.validate.kernels.block_sparse import block_sparse

    counts, indices = (torch.from_numpy(x) for x in block_list(case))

    def prepare(t: Tensors) -> dict[str, Any]:
        device = t["q"].device
        return _with_out(t, counts=counts.to(device), indices=indices.to(device))

    def variant(tile: configs.Tile) -> Variant:
        return Variant(
            str(tile),
            prepare,
            lambda t: block_sparse(*_qkv(t), t["counts"], t["indices"], tile=tile),
            _out,
        )

    return [variant(tile) for tile in configs.block_sparse_tiles(int(case.options["block"]))]


def log2_decays(heads: int) -> list[float]:
    """log2 of the decay of each head: λ_h from 1 - 2^-5 to 1 - 2^-10, as RetNet spaces them.

    Source: Sun et al., "Retentive Network", 2023, arXiv:2307.08621, section 3.1 (γ), the exponent
    spread evenly over the heads.
    """
    from math import log2

    exponents = [5 + 5 * head / max(heads - 1, 1) for head in range(heads)]
    return [log2(1 - 2.0**-exponent) for exponent in exponents]


def _linear(case: Case) -> list[Variant]:
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    from einfall.validate.kernels import linear

    chunk, piece = int(case.options.get("chunk", "64")), case.options.get("piece")

    def prepare(t: Tensors) -> dict[str, Any]:
        decay = None
        if case.options["decay"] == "per_head":
            decay = torch.tensor(log2_decays(case.heads), dtype=torch.float32, device=t["q"].device)
        states = linear.states_for(t["q"], chunk)
        return _with_out(t, states=states.normal_() if piece == "outputs" else states, decay=decay)

    def variant(tile: configs.Tile) -> Variant:
        def launch(t: dict[str, Any]) -> None:
            options = {"tile": tile, "chunk": chunk, "log2_decay": t["decay"]}
            if piece == "states":
                linear.scan(t["states"], t["k"], t["v"], **options)
            else:
                run = linear.outputs if piece else linear.linear
                run(*_qkv(t), t["states"], **options)

        return Variant(str(tile), prepare, launch, None if piece else _out)

    return [variant(tile) for tile in configs.LINEAR]


def _decode(case: Case) -> list[Variant]:
    from einfall.validate.kernels.decode import decode, partials_for

    splits = int(case.options["splits"])

    def variant(tile: configs.Tile) -> Variant:
        return Variant(
            str(tile),
            lambda t: _with_out(t, partials=partials_for(t["q"], splits)),
            lambda t: decode(*_qkv(t), t["partials"], tile=tile, splits=splits),
            _out,
        )

    return [variant(tile) for tile in configs.DECODE]


def _unfused(case: Case) -> list[Variant]:
    from einfall.validate.kernels import unfused

    causal, piece = bool(case.causal), case.options.get("piece")

    def variant(tile: configs.Tile) -> Variant:
        launches = {
            None: lambda t: unfused.unfused(*_qkv(t), t["scores"], tile=tile, causal=causal),
            "qk": lambda t: unfused.scores(t["scores"], t["q"], t["k"], tile=tile),
            "softmax": lambda t: unfused.softmax(t["scores"], causal=causal),
            "pv": lambda t: unfused.values(t["out"], t["scores"], t["v"], tile=tile),
        }

        def prepare(t: Tensors) -> dict[str, Any]:
            scores = unfused.scores_for(t["q"], t["k"])
            if piece in ("softmax", "pv"):
                scores.uniform_(0, 1)
            return _with_out(t, scores=scores)

        return Variant(str(tile), prepare, launches[piece], None if piece else _out)

    tiles = configs.UNFUSED[case.head_dim]
    return [variant(tile) for tile in (tiles[:1] if piece == "softmax" else tiles)]


def _sdpa(case: Case) -> Variant:
    import torch.nn.functional as functional  # ty: ignore[import-not-found]  an extra, `gpu`
    from torch.nn.attention import (  # ty: ignore[import-not-found]  an extra, `gpu`
        SDPBackend,
        sdpa_kernel,
    )

    backends = {
        "sdpa_flash": SDPBackend.FLASH_ATTENTION,
        "sdpa_cudnn": SDPBackend.CUDNN_ATTENTION,
        "sdpa_math": SDPBackend.MATH,
    }
    backend = backends[case.kernel]
    options = {"is_causal": bool(case.causal), "enable_gqa": case.heads != case.kv_heads}

    def launch(t: dict[str, Any]) -> None:
        with sdpa_kernel(backend):
            t["out"] = functional.scaled_dot_product_attention(t["q"], t["k"], t["v"], **options)

    return Variant("", _with_out, launch, _out)


def _flex(case: Case) -> Variant:
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`
    from torch.nn.attention.flex_attention import (  # ty: ignore[import-not-found]  as above
        create_block_mask,
        flex_attention,
    )

    torch._dynamo.reset()
    compiled = torch.compile(flex_attention, dynamic=False)
    rule = _mask_rule(case)
    mask = (
        None
        if rule is None
        else create_block_mask(rule, None, None, case.seq_q, case.seq_k, device="cuda")
    )
    options = {"block_mask": mask, "enable_gqa": case.heads != case.kv_heads}

    def launch(t: dict[str, Any]) -> None:
        t["out"] = compiled(t["q"], t["k"], t["v"], **options)

    note = "" if mask is None else f"block_sparsity={mask.sparsity():.2f}"
    return Variant("", _with_out, launch, _out, note)


def _mask_rule(case: Case) -> Callable[..., Any] | None:
    """The mask of a flex kernel as a function of batch, head, query and key index."""
    if case.kernel == "flex_dense":
        return None
    if case.kernel == "flex_causal":
        return lambda b, h, q, k: q >= k
    window = case.box("window")
    if case.kernel == "flex_sliding":
        return lambda b, h, q, k: (q >= k) & (q - k < window[2])
    _, rows, columns = case.box("shape")
    _, tall, wide = window

    def near(b: Any, h: Any, q: Any, k: Any) -> Any:  # noqa: ANN401  index tensors
        row = (q // columns).clamp(tall // 2, rows - 1 - tall // 2)
        column = (q % columns).clamp(wide // 2, columns - 1 - wide // 2)
        inside = (row - k // columns).abs() <= tall // 2
        return inside & ((column - k % columns).abs() <= wide // 2)

    return near


def _ceiling(case: Case) -> Variant:
    """Kernels that show what a machine can do; they take no attention inputs."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    options = {"device": "cuda", "dtype": dtype_of(case)}
    if case.kernel == "launch":
        return Variant("", lambda _: {"x": torch.ones(1, **options)}, lambda t: t["x"].add_(1))
    if case.kernel == "copy":
        n = int(case.options["MiB"]) * 2**20 // options["dtype"].itemsize
        return Variant("", lambda _: _pair(n, **options), lambda t: t["y"].copy_(t["x"]))
    n = count(case.options["n"])
    if case.kernel == "matmul":
        return Variant(
            "",
            lambda _: {**_pair(n, n, **options), "z": torch.randn(n, n, **options)},
            lambda t: torch.matmul(t["x"], t["z"], out=t["y"]),
        )
    if case.kernel == "softmax":
        side = round(n**0.5)
        return Variant(
            "",
            lambda _: _pair(side, n // side, **options),
            lambda t: torch.softmax(t["x"], dim=1, out=t["y"]),
            note=f"rows={side}",
        )
    return Variant("", lambda _: _pair(n, **options), lambda t: torch.exp(t["x"], out=t["y"]))


def _pair(*shape: int, **options: Any) -> dict[str, Any]:  # noqa: ANN401  torch's
    """A random array and one of its shape to write to."""
    import torch  # ty: ignore[import-not-found]  an extra, `gpu`

    x = torch.randn(*shape, **options)
    return {"x": x, "y": torch.empty_like(x)}
