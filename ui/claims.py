"""The figures of studio.claims, drawn by the program's own panels from the frames in its result files:

    python -m ui.claims                          docs/claims-hessian.png and docs/claims-ntk.png
    python -m ui.claims --theme dark --to FOLDER --results FOLDER --seed 1
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.frames import Frame, NtkFrame, SpectrumFrame, StiffnessFrame
from studio.claims import BOUNDARY, RESIDUAL, TOTAL, ClaimError, read, spectra_path
from studio.claims_data import HESSIAN, NTK, Claim, Run, Setting, frame_of
from studio.messages import RunState, Status, Update
from studio.table_runs import RESULTS

if TYPE_CHECKING:
    from PySide6.QtGui import QImage

    from ui.panels.panel import Panel
    from ui.theme import Theme

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCALE = 2  # pixels of the picture for one of the panel
TITLE = 34  # pixels above each panel, before scaling
GAP = 10
BAD_INPUT = 2

#: Which kernels are drawn side by side: a fixed activation and a reproducing one.
PAIRS = (("tanh", "raf-narrow"), ("sin", "raf-wide"), ("relu3", "raf-learnable-narrow"))


@dataclass(frozen=True)
class Tile:
    """A panel with what it shows, and where it stands, in pixels before scaling."""

    title: str
    kind: str  # of the panel: its id
    settings: tuple[Setting, ...]
    labels: tuple[str, ...]  # of the lanes
    frames: tuple[tuple[Frame, ...], ...]  # of each
    size: tuple[int, int]
    place: tuple[int, int]


def tiles(claim: Claim, folder: Path = RESULTS, seed: int = 0) -> list[Tile]:
    """What the claim's figure is made of. Raises ClaimError where runs are missing."""
    runs = {run.setting: run for run in read(claim, folder) if run.seed == seed}
    wanted = ({"m1-4", "m3-4", "a2-4", "m1-5"} if claim is HESSIAN else {key for pair in PAIRS for key in pair})
    missing = sorted(wanted - runs.keys())
    if missing:
        raise ClaimError(f"the figure of '{claim.name}' needs the runs {', '.join(missing)} of seed {seed}; "
                         f"python -m studio.claims {claim.name} --seeds {seed + 1} makes them")
    return _hessian(runs, folder, seed) if claim is HESSIAN else _ntk(runs, seed)


def _hessian(runs: dict[str, Run], folder: Path, seed: int) -> list[Tile]:
    wide, high = 620, 330

    def stiffness(title: str, first: str, second: str, labels: tuple[str, str], x: int) -> Tile:
        return Tile(title, "stiffness", (_setting(HESSIAN, first), _setting(HESSIAN, second)), labels,
                    (_total(runs[first]), _total(runs[second])), (wide, high), (x, 0))

    found = [stiffness(f"σ_max of the loss's Hessian, all parameters: M1, u = sin πx sin(a2 πy), seed {seed}",
                       "a2-4", "m1-4", ("a2 = 1", "a2 = 4"), 0),
             stiffness(f"The same: M1 beside M3, a2 = 4 (both 50 x 4), seed {seed}", "m1-4", "m3-4", ("M1", "M3"),
                       wide + GAP)]
    spectrum = _spectrum(runs["m1-5"], folder, seed)
    if spectrum is not None:
        found.append(Tile(f"All eigenvalues of both terms after the last step: M1, a2 = 4, 50 x 5, seed {seed}",
                          "spectrum", (_setting(HESSIAN, "m1-5"),), ("M1",), ((spectrum,),),
                          (2 * wide + GAP, 400), (0, high + TITLE + GAP)))
    return found


def _total(run: Run) -> tuple[Frame, ...]:
    """The frames of a run with the total alone."""
    out: list[Frame] = []
    for data in run.frames:
        frame = frame_of(data)
        assert isinstance(frame, StiffnessFrame)
        at = frame.rows.index(TOTAL)
        out.append(replace(frame, rows=(TOTAL,), weights=np.empty(0), largest=frame.largest[at: at + 1],
                           lowest=frame.lowest[at: at + 1], accuracy=frame.accuracy[at: at + 1]))
    return tuple(out)


def _spectrum(run: Run, folder: Path, seed: int) -> SpectrumFrame | None:
    """None where it was not computed. Raises ClaimError."""
    if not run.spectrum:
        return None
    path = spectra_path(folder)
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {row: file[f"{run.setting}/{seed}/{row}"].astype(np.float64) for row in (RESIDUAL, BOUNDARY)}
    except (OSError, KeyError, ValueError) as error:
        raise ClaimError(f"the spectra in {path} cannot be read: {error}") from None
    return SpectrumFrame(step=run.spectrum["step"], parameters=run.spectrum["parameters"], full=run.spectrum["full"],
                         eigenvalues=values, weights={row: np.full(len(v), 1 / len(v)) for row, v in values.items()})


def _ntk(runs: dict[str, Run], seed: int) -> list[Tile]:
    wide, high = 1000, 300
    out = []
    for row, pair in enumerate(PAIRS):
        first, second = (_setting(NTK, key) for key in pair)
        out.append(Tile(f"{first.label} (solid) beside {second.label} (dashed), seed {seed}", "ntk", (first, second),
                        (first.label, second.label), tuple(_residual(runs[key]) for key in pair), (wide, high),
                        (0, row * (high + TITLE + GAP))))
    return out


def _residual(run: Run) -> tuple[Frame, ...]:
    """The frames of a run without the whole kernel, which is that of the only term."""
    out: list[Frame] = []
    for data in run.frames:
        frame = frame_of(data)
        assert isinstance(frame, NtkFrame)
        out.append(replace(frame, eigenvalues={RESIDUAL: frame.eigenvalues[RESIDUAL]},
                           kappa={RESIDUAL: frame.kappa[RESIDUAL]}, floored={RESIDUAL: frame.floored[RESIDUAL]},
                           effective_rank={RESIDUAL: frame.effective_rank[RESIDUAL]}))
    return tuple(out)


def _setting(claim: Claim, key: str) -> Setting:
    return next(setting for setting in claim.settings if setting.key == key)


# ------------------------------------------------------------------ drawing; from here on with Qt


def figure(wanted: Sequence[Tile], path: Path, theme: Theme) -> Path:
    """Draw the tiles and save them as one PNG. Raises OSError."""
    from PySide6.QtCore import QRectF, Qt
    from PySide6.QtGui import QColor, QImage, QPainter

    from ui.theme import font

    width = max(tile.place[0] + tile.size[0] for tile in wanted) + 2 * GAP
    height = max(tile.place[1] + tile.size[1] + TITLE for tile in wanted) + 2 * GAP
    image = QImage(SCALE * width, SCALE * height, QImage.Format.Format_RGB32)
    image.fill(QColor(theme.surface))
    painter = QPainter(image)
    try:
        letters = font(bold=True)
        letters.setPixelSize(15 * SCALE)
        painter.setFont(letters)
        painter.setPen(QColor(theme.text))
        for tile in wanted:
            x, y = (SCALE * (part + GAP) for part in tile.place)
            room = QRectF(x + 10 * SCALE, y, SCALE * tile.size[0] - 10 * SCALE, SCALE * TITLE)
            painter.drawText(room, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, tile.title)
            painter.drawImage(x, y + SCALE * TITLE, _picture(tile, theme))
    finally:
        painter.end()
    return written(image, path)


def written(image: QImage, path: Path) -> Path:
    """Write a picture as PNG; its path. Raises OSError with the reason."""
    with path.open("wb"):  # an unwritable path raises here, with the system's own reason
        pass
    if not image.save(str(path), "PNG"):  # type: ignore[call-overload]  # a text is what it takes, not bytes
        raise OSError(f"the picture could not be written to {path}")
    return path


def _picture(tile: Tile, theme: Theme) -> QImage:
    """The panel that draws the tile's frames, as the window would have it."""
    from PySide6.QtCore import QSize

    from ui.panels.panel import Lane
    from ui.plots.export import render_image
    from ui.theme import font, palette

    panel = _panel(tile.kind)
    panel.setFont(font())
    panel.setPalette(palette(theme))  # the window's is the application's
    panel.begin([Lane(index, label, setting.resolve(_steps(frames))) for index, (label, setting, frames)
                 in enumerate(zip(tile.labels, tile.settings, tile.frames, strict=True))])
    panel.restyle(theme)
    panel.resize(tile.size[0], tile.size[1] + panel.header.sizeHint().height())
    panel.show()  # which lays it out
    for index, frames in enumerate(tile.frames):
        status = Status(state=RunState.FINISHED, step=frames[-1].step, total_steps=_steps(frames))
        over_time = frames if panel.over_time else ()
        panel.receive(index, Update(status=status, frames={tile.kind: frames[-1]}, past=tuple(over_time)))
    panel.draw()
    picture = panel.picture()
    assert abs(picture.width() - tile.size[0]) < GAP, "letters grow in a panel that is not laid out"
    image = render_image(picture, QSize(*(SCALE * part for part in tile.size)), theme.surface)
    panel.close()
    panel.deleteLater()
    return image


def _panel(kind: str) -> Panel:
    from ui.panels.ntk import NtkPanel
    from ui.panels.spectrum import SpectrumPanel
    from ui.panels.stiffness import StiffnessPanel

    return {"ntk": NtkPanel, "spectrum": SpectrumPanel, "stiffness": StiffnessPanel}[kind]()


def _steps(frames: Sequence[Frame]) -> int:
    return max(1, frames[-1].step)


def _message(kind: object, context: object, text: str) -> None:
    """Qt's messages, but for what the offscreen platform says of itself each time a window is sized."""
    if not text.startswith("This plugin does not support"):
        print(text, file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """The command that draws both figures, or those that the results allow. 0, or 2 where one is not drawn."""
    parser = argparse.ArgumentParser(prog="python -m ui.claims", description="The figures of the measured claims.")
    parser.add_argument("--to", type=Path, default=DOCS, metavar="FOLDER", help="where the pictures go")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER", help="where the results are")
    parser.add_argument("--seed", type=int, default=0, help="whose frames are drawn")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    options = parser.parse_args(argv)
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    from PySide6.QtCore import qInstallMessageHandler

    from ui.app import make_application
    from ui.theme import DARK, LIGHT

    qInstallMessageHandler(_message)
    app = make_application()
    code = 0
    for claim in (HESSIAN, NTK):
        try:
            found = tiles(claim, options.results, options.seed)
            print(figure(found, options.to / f"claims-{claim.name}.png", {"light": LIGHT, "dark": DARK}[options.theme]))
        except (ClaimError, OSError) as error:
            print(error, file=sys.stderr)
            code = BAD_INPUT
    app.processEvents()
    qInstallMessageHandler(None)
    return code


if __name__ == "__main__":
    sys.exit(main())
