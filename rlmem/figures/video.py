"""Files of pictures: MP4, GIF and WebP videos written frame by frame, and contact sheets.

A file appears under its name only when it is complete.

Axes: H height, W width.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Sequence
from pathlib import Path
from types import TracebackType

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rlmem.errors import UserError
from rlmem.files import replacing
from rlmem.suggest import one_of

Picture = NDArray[np.uint8]
"""[H, W, 3] colors."""

VIDEO_ENDINGS = (".mp4", ".gif", ".webp")
_WEBP_QUALITY = 60
_PALETTE_SAMPLES = 24
_PALETTE_HEIGHT = 90


def checked_path(path: str | Path, endings: Sequence[str]) -> Path:
    """Return a path that a file can be written to.

    Raises:
        UserError: If it has another ending.
        UserError: If its folder does not exist.
    """
    checked = Path(path)
    if checked.suffix.lower() not in endings:
        raise UserError(f"the file must end in {one_of(endings)}, got {str(path)!r}")
    if not checked.parent.is_dir():
        raise UserError(f"there is no folder {str(checked.parent)!r} to write {checked.name!r} to: make it first")
    return checked


class VideoWriter:
    """Writes a video; a context manager. Without frames, or after an error inside, no file is left.

    MP4 is H.264 in yuv420p, which every browser plays; odd sizes are made even by repeating the last row or column.
    GIF has one palette for all frames, and no dithering, which would flicker; WebP is smaller and has all colors.

    Args:
        path: ``*.mp4``, ``*.gif`` or ``*.webp`` in a folder that exists.
        fps: Frames a second, from 1 to 50 (GIF shows no more).

    Raises:
        UserError: If the ending or the rate is wrong.
        UserError: If the folder does not exist.
    """

    def __init__(self, path: str | Path, fps: float = 20.0) -> None:
        self.path = checked_path(path, VIDEO_ENDINGS)
        if not 1.0 <= fps <= 50.0:
            raise UserError(f"fps must be from 1 to 50, got {fps!r}")
        self.fps, self.frames = float(fps), 0
        self._shape: tuple[int, ...] | None = None
        self._stream: Generator[None, Picture, None] | None = None
        self._packed: list[tuple[bytes, int]] = []
        self._replacing = replacing(self.path)

    def __enter__(self) -> VideoWriter:
        """Begin."""
        self._temporary = self._replacing.__enter__()
        return self

    def add(self, frame: Picture, repeat: int = 1) -> None:
        """Append a frame, shown ``repeat`` times.

        Raises:
            ValueError: If it is not [H, W, 3] of uint8, or of another size than the first.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"a frame must be [height, width, 3] of uint8, got {frame.shape} of {frame.dtype}")
        if self._shape not in (None, frame.shape):
            raise ValueError(f"all frames must have the size of the first, {self._shape}, got {frame.shape}")
        self._shape = frame.shape
        self.frames += repeat
        if self.path.suffix.lower() != ".mp4":
            packed = zlib.compress(frame.tobytes(), 1)
            if self._packed and self._packed[-1][0] == packed:
                repeat += self._packed.pop()[1]
            self._packed.append((packed, repeat))
            return
        even = np.ascontiguousarray(np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), "edge"))
        if self._stream is None:
            self._stream = imageio_ffmpeg.write_frames(
                str(self._temporary),
                (even.shape[1], even.shape[0]),
                fps=self.fps,
                codec="libx264",
                pix_fmt_in="rgb24",
                pix_fmt_out="yuv420p",
                quality=None,
                macro_block_size=2,
                ffmpeg_log_level="error",
                output_params=["-crf", "18", "-preset", "medium", "-movflags", "+faststart"],
            )
            self._stream.send(None)  # type: ignore[arg-type]
        for _ in range(repeat):
            self._stream.send(even)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file, or delete it after an error."""
        try:
            if self._stream is not None:
                self._stream.close()
            if kind is None and self._packed:
                self._write_images()
            if kind is None and self.frames == 0:
                raise ValueError(f"a video needs at least one frame: nothing was written to {str(self.path)!r}")
        except BaseException as problem:
            self._replacing.__exit__(type(problem), problem, problem.__traceback__)
            raise
        self._replacing.__exit__(kind, error, trace)

    def _write_images(self) -> None:
        """Write an animated GIF or WebP."""
        assert self._shape is not None
        height, width, _ = self._shape
        # GIF counts hundredths of a second; rounding ends rather than durations keeps the length right.
        ends = np.cumsum([0, *(repeat for _, repeat in self._packed)]) * 100.0 / self.fps
        durations = (np.diff(ends.round()) * 10).astype(int).tolist()
        if self.path.suffix.lower() == ".webp":
            all_frames = (Image.frombuffer("RGB", (width, height), zlib.decompress(one)) for one, _ in self._packed)
            next(all_frames).save(
                self._temporary,
                format="WEBP",
                save_all=True,
                append_images=all_frames,
                duration=durations,
                loop=0,
                quality=_WEBP_QUALITY,
                method=4,
            )
            return
        pictures = [Image.frombuffer("RGB", (width, height), zlib.decompress(packed)) for packed, _ in self._spread()]
        small = (max(1, width * _PALETTE_HEIGHT // height), _PALETTE_HEIGHT)
        # Nearest neighbor: mixed colors would waste entries of the palette.
        tiles = [np.asarray(picture.resize(small, Image.Resampling.NEAREST)) for picture in pictures]
        palette = Image.fromarray(np.concatenate(tiles)).quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1)
        frames = (
            Image.frombuffer("RGB", (width, height), zlib.decompress(packed)).quantize(
                palette=palette, dither=Image.Dither.NONE
            )
            for packed, _ in self._packed
        )
        first = next(frames)
        first.save(
            self._temporary, format="GIF", save_all=True, append_images=frames, duration=durations, loop=0, disposal=1
        )

    def _spread(self) -> list[tuple[bytes, int]]:
        """Return some frames from all over the video."""
        count = min(_PALETTE_SAMPLES, len(self._packed))
        return [self._packed[i] for i in np.linspace(0, len(self._packed) - 1, count).astype(int)]


def contact_sheet(frames: Sequence[Picture], path: str | Path, columns: int = 4, gap: int = 6) -> None:
    """Write pictures of one size into one PNG, row by row.

    Args:
        frames: [H, W, 3] each.
        path: ``*.png`` in a folder that exists.
        columns: Pictures a row, at most.
        gap: Pixels between them.

    Raises:
        ValueError: If there are no pictures, their sizes differ, or the ending or the number of columns is wrong.
        UserError: If the folder does not exist.
    """
    checked = checked_path(path, (".png",))
    if columns < 1:
        raise ValueError(f"columns must be at least 1, got {columns}")
    shapes = {frame.shape for frame in frames}
    if len(shapes) != 1:
        raise ValueError(f"a contact sheet needs pictures of one size, got {sorted(shapes) or 'none'}")
    height, width, _ = shapes.pop()
    wide = min(columns, len(frames))
    tall = -(-len(frames) // wide)
    sheet = np.full((tall * (height + gap) - gap, wide * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for number, frame in enumerate(frames):
        row, column = divmod(number, wide)
        y, x = row * (height + gap), column * (width + gap)
        sheet[y : y + height, x : x + width] = frame
    with replacing(checked) as temporary:
        Image.fromarray(sheet).save(temporary, format="PNG")
