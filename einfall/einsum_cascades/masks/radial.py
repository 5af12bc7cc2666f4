"""Radial attention over the frames of a video: windows that halve as frames lie further apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import final

import numpy as np

from einfall.einsum_cascades.masks import runs as algebra
from einfall.einsum_cascades.masks.checks import at_least
from einfall.einsum_cascades.masks.mask import Cover, Mask, MaskError
from einfall.einsum_cascades.masks.runs import Ints, Runs


@final
@dataclass(frozen=True, eq=False)
class Radial(Mask):
    """Token k of frame a attends token l of frame c, if near enough for how far the frames are.

    With s tokens a frame, the band r = ⌊log₂ max(|a-c|, 1)⌋ and the least width m, the pair is kept
    iff both

        |k - l| + 1 <= max(s / 2^r, m)
        s / 2^r >= m,  or  |a - c| mod ⌈m·2^r / s⌉ = 0

    hold, or, with the sink, c = 0: every token attends the whole first frame. m = 1 is the
    definition of the paper: a window of width s/2^r, and, where that falls below one token, the
    diagonal of one frame in ⌈2^r/s⌉. The paper's kernels work on blocks and keep windows at least
    one wide: m = 128. Their rounding of the mask to blocks is left out; tiles are counted exactly.

    Source:
        Li et al., Radial Attention, 2025, arXiv:2506.19852, section 4.2 (mask) and its code.
    """

    frames: int
    tokens: int
    least_width: int = 1
    sink: bool = True

    def __post_init__(self) -> None:
        """Refuse sizes below one.

        Raises:
            MaskError: All sizes that are.
        """
        wrong = at_least(1, frames=self.frames, tokens=self.tokens, least_width=self.least_width)
        if wrong:
            raise MaskError(wrong)

    @property
    def query_layout(self) -> tuple[int, ...]:
        """Frames and the tokens of one."""
        return self.frames, self.tokens

    @property
    def key_layout(self) -> tuple[int, ...]:
        """That of the queries."""
        return self.query_layout

    @cached_property
    def reach(self) -> Ints:
        """Largest |k - l| that is kept, by |a - c|."""
        widths = np.maximum(self.tokens >> self._band, self.least_width)
        return np.minimum(widths, self.tokens) - 1

    @cached_property
    def _band(self) -> Ints:
        distance = np.maximum(np.arange(self.frames), 1)
        return np.frexp(distance)[1].astype(np.int64) - 1  # exact, unlike a rounded logarithm

    @cached_property
    def kept(self) -> np.ndarray:
        """Whether frames are attended at all, by |a - c|."""
        least = min(self.least_width, self.frames * self.tokens)  # more than that changes nothing
        one_in = -(-(least << self._band) // self.tokens)
        return np.arange(self.frames) % np.maximum(one_in, 1) == 0

    @cached_property
    def _offsets(self) -> Ints:
        """The kept c - a, in order."""
        distances = np.flatnonzero(self.kept)
        return np.concatenate([-distances[:0:-1], distances])

    @property
    def intervals_hint(self) -> float:
        """Frames that a token attends, at most."""
        return 1.0 + min(self.frames, len(self._offsets))

    def _count_pairs(self) -> int:
        """Σ over distances of (pairs of frames) x (pairs of tokens), and the sink."""
        s, reach = self.tokens, self.reach
        window = s + reach * (2 * s - 1 - reach)  # Σ over |k-l| <= reach of what a frame holds
        lowest = 1 if self.sink else 0
        frames = self.frames - lowest
        # c runs over [lowest, frames): a later by a distance, and earlier by it, not below frame 0.
        distance = np.arange(self.frames)
        later = np.maximum(frames - distance, 0)
        earlier = np.minimum(self.frames - distance, frames) * (distance > 0)
        total = int(((later + earlier) * window * self.kept).sum())
        return total + self.frames * s * s * self.sink

    def _count_empty_queries(self) -> int:
        """None: a token attends itself."""
        return 0

    def cover(self, lo: Ints, hi: Ints) -> Cover:
        """Frame by frame of queries; most ranges lie in one frame and are in order already."""
        many = lo // self.tokens != (hi - 1) // self.tokens
        if not many.any():
            return self._of_pieces(lo, hi - 1)
        one, several = np.flatnonzero(~many), np.flatnonzero(many)
        inside = self._of_pieces(lo[one], hi[one] - 1)
        across = self._of_several(lo[several], hi[several])
        return Cover(
            algebra.placed([inside.some, across.some], [one, several], len(lo)),
            algebra.placed([inside.every, across.every], [one, several], len(lo)),
        )

    def _of_several(self, lo: Ints, hi: Ints) -> Cover:
        """Ranges that go over the end of a frame: what their pieces attend, put together."""
        s = self.tokens
        owner, frame = algebra.spread(lo // s, (hi - 1) // s + 1)
        begin = np.maximum(lo[owner], frame * s)
        pieces = self._of_pieces(begin, np.minimum(hi[owner], (frame + 1) * s) - 1)
        return Cover(
            algebra.grouped(pieces.some, owner, len(lo), every=False),
            algebra.grouped(pieces.every, owner, len(lo), every=True),
        )

    def _of_pieces(self, begin: Ints, last: Ints) -> Cover:
        """Keys that some, and that all, of the queries begin..last of one frame attend."""
        s, sinks = self.tokens, int(self.sink)
        frame, begin, last = begin // s, begin % s, last % s
        left = np.searchsorted(self._offsets, sinks - frame)
        right = np.searchsorted(self._offsets, self.frames - frame)
        piece, index = algebra.spread(left - sinks, right)
        offset = self._offsets[index]
        reach, base = self.reach[np.abs(offset)], (frame[piece] + offset) * s
        first = np.searchsorted(piece, np.arange(len(frame)))[: len(frame) * sinks]
        reach[first], base[first] = s, 0  # the sink: all of frame 0, whatever the distance
        begin, last = begin[piece], last[piece]
        near = last - begin <= 2 * reach  # elsewhere no token reaches both ends
        return Cover(
            self._runs(piece, base, begin - reach, last + reach, len(frame)),
            self._runs(
                piece[near], base[near], (last - reach)[near], (begin + reach)[near], len(frame)
            ),
        )

    def _runs(self, piece: Ints, base: Ints, first: Ints, last: Ints, pieces: int) -> Runs:
        """Tokens first..last, as far as there are such, of the frames that begin at `base`."""
        start, stop = base + np.maximum(first, 0), base + np.minimum(last + 1, self.tokens)
        return algebra.joined(piece, start, stop, pieces)


def radial(frames: int, tokens: int, *, least_width: int = 1, sink: bool = True) -> Radial:
    """Radial attention; `Radial` has the definition.

    Args:
        frames: Frames of the video.
        tokens: Tokens of a frame: s.
        least_width: No window gets narrower; 1 as in the paper, its kernels use their block, 128.
        sink: Whether every token attends the whole first frame.

    Raises:
        MaskError: A size is below one.

    Frames 0 and 1, and 1 and 2, are one band: all 4·4 pairs. Frames 0 and 2 lie a band further:
    width 4/2 leaves 4 + 2·3 pairs, both ways.

    >>> radial(3, 4, sink=False).pairs == 3 * 16 + 4 * 16 + 2 * 10
    True
    """
    return Radial(frames, tokens, least_width, sink)
