"""Adaptive slopes, activations and implicit conditioning: numbers, words, choices, time travel, odd frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor
from pytestqt.qtbot import QtBot

from core.frames import ActivationsFrame, ConditioningFrame, Frame, SlopesFrame
from studio.messages import RunState, Update
from tests.ui import samples
from tests.ui.samples_learned import (
    HIDDEN,
    activations_frame,
    conditioning_frame,
    floats,
    liveness_frame,
    slopes_frame,
    timing_frame,
)
from tests.ui.test_panels import draw, make, picture
from ui.panels import PANELS, Panel
from ui.panels.activations import ActivationsPanel, cells_of, density_of
from ui.panels.conditioning import ConditioningPanel
from ui.panels.slopes import GAIN, LEARNED, MAPS, NOW, RECOVERY, SHARE, SLOPES, S, SlopesPanel
from ui.theme import LIGHT

STEPS = range(0, 4000, 400)


def tell(panel: Panel, lane: int, frames: Sequence[Frame], state: RunState = RunState.RUNNING) -> None:
    for frame in frames:
        panel.receive(lane, Update(status=samples.status(state, frame.step), frames={frame.kind: frame},
                                   past=(frame,)))


def told(panel: Panel, make_frame: Callable[..., Frame], **changes: object) -> None:
    for lane in panel.lanes:
        tell(panel, lane.index, [make_frame(lane.index, step, **changes) for step in STEPS])
    draw(panel)


@pytest.mark.parametrize("kind", [k for k in PANELS if k.id in ("slopes", "activations", "conditioning", "liveness",
                                                                "timing")], ids=lambda kind: kind.id)
def test_every_explanation_is_short_and_can_be_typeset(kind: type[Panel]) -> None:
    ziamath = pytest.importorskip("ziamath")
    assert kind.explanation is not None and len(kind.explanation.sentences) == 5 and kind.explanation.source
    assert all(sentence.endswith(".") for sentence in kind.explanation.sentences)
    for formula in kind.explanation.formulas:
        assert "<svg" in ziamath.Latex(formula).svg()


@pytest.mark.parametrize("kind, makes", [(SlopesPanel, slopes_frame), (ConditioningPanel, conditioning_frame),
                                         (ActivationsPanel, activations_frame)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_drawn_as_such(kind: type[Panel], makes: Callable[..., Frame], bad: float,
                                                       qtbot: QtBot) -> None:
    panel = make(kind, qtbot, size=(900, 900))
    frame = makes(0, 400)
    spoilt = {}
    for name in frame.__slots__:
        value = getattr(frame, name)
        if isinstance(value, float):
            spoilt[name] = bad
        elif isinstance(value, np.ndarray) and value.dtype == np.float64 and name not in ("edges", "z"):
            spoilt[name] = floats(np.full_like(value, bad))
        elif isinstance(value, dict):
            spoilt[name] = {key: floats(np.full_like(array, bad)) for key, array in value.items()}
    tell(panel, 0, [makes(0, 0), replace(frame, **spoilt)])
    draw(panel)
    tell(panel, 1, [replace(makes(1, 400), **spoilt)], RunState.PAUSED)
    draw(panel)
    assert panel.table()[1]


# -- slopes ----------------------------------------------------------------------------------------


def test_slopes_are_means_and_extremes_of_the_neurons(qtbot: QtBot) -> None:
    panel = make(SlopesPanel, qtbot, 1)
    told(panel, slopes_frame)
    own = slopes_frame(0, 3600).slopes["hidden 2"]
    columns, rows = panel.table()
    last = dict(zip(columns, rows[-1], strict=True))
    assert last["step"] == 3600
    assert last["M1 slopes hidden 2 mean"] == pytest.approx(own.mean())
    assert last["M1 slopes hidden 2 min"] == own.min() and last["M1 slopes hidden 2 max"] == own.max()
    assert f"({own.min():.4g} \u2026 {own.max():.4g})" in panel.views[SLOPES].read(3600)
    assert [mark.value for mark in panel.views[SLOPES].marks] == [1.0]


def test_what_can_be_chosen_is_what_there_is(qtbot: QtBot) -> None:
    panel = make(SlopesPanel, qtbot, 1)
    draw(panel)
    assert panel.stack.shown() == [] and "appear here" in panel.stack.empty.text()
    told(panel, slopes_frame, kind="layer")
    assert panel.stack.offered == [SLOPES, GAIN, RECOVERY, NOW[GAIN], MAPS[GAIN]], "one slope has no histogram"
    assert {name for _, name in panel.recovery.curves} == {S, SHARE}
    panel.begin(samples.lanes(1))
    told(panel, slopes_frame, kind="raf")
    assert SLOPES not in panel.stack.offered and LEARNED in panel.stack.offered and RECOVERY not in panel.stack.offered
    panel.stack.choose(LEARNED)
    assert panel.learned_box.isVisible() and {n for _, n in panel.views[LEARNED].curves if "\0" not in n} == {
        "RAF x", "RAF sin"}
    panel.begin(samples.lanes(1))
    told(panel, slopes_frame, kind="global")
    assert panel.views[SLOPES].legend.entries[0].name == "all layers"


def test_a_network_without_anything_learned_is_told_why_there_is_nothing(qtbot: QtBot) -> None:
    panel = make(SlopesPanel, qtbot, 1)
    lane = samples.lanes(1)
    lane[0].experiment.network = SimpleNamespace(slopes="none", raf="assigned")
    panel.begin(lane)
    draw(panel)
    assert "fixed" in panel.stack.empty.text() and not panel.wanted(lane)
    lane[0].experiment.network.raf = "learnable"
    assert panel.wanted(lane)


def test_the_histogram_counts_every_neuron_and_goes_back_in_time(qtbot: QtBot) -> None:
    panel = make(SlopesPanel, qtbot)
    told(panel, slopes_frame)
    panel.stack.choose(NOW[SLOPES])
    draw(panel)
    cells = panel.histograms[SLOPES]
    assert [cell.title for cell in cells.cells] == list(HIDDEN)
    assert all(counts.sum() == 50 for own in cells.counts_of for counts in own.values())
    columns, rows = panel.table()
    assert columns[-1].startswith("slope") and len(rows) == 2 * 3 * 50
    assert rows[0][-1] == slopes_frame(0, 3600).slopes["hidden 1"][0]
    panel.travel({0: {"slopes": slopes_frame(0, 800)}}, 800.0)
    draw(panel)
    assert panel.table()[1][0][-1] == slopes_frame(0, 800).slopes["hidden 1"][0]
    assert panel.views[SLOPES].plot.now.isVisible() and panel.views[SLOPES].plot.now.value() == 800
    panel.travel(None, None)
    draw(panel)
    assert len(panel.table()[1]) == 2 * 3 * 50
    text = cells.text_at(cells.boxes[0][1].center())
    assert "hidden 2" in text and "of 50" in text and cells.text_at(QPointF(0, 0)) == ""


def test_the_map_has_a_row_for_each_frame_and_counts_every_neuron(qtbot: QtBot) -> None:
    panel = make(SlopesPanel, qtbot)
    told(panel, slopes_frame)
    panel.stack.choose(MAPS[SLOPES])
    draw(panel)
    cells = panel.maps[SLOPES].cells
    assert [cell.title for cell in cells] == [f"{lane} {layer}" for layer in HIDDEN for lane in ("M1", "M2")]
    for cell in cells:
        assert cell.steps.tolist() == list(STEPS) and (cell.counts.sum(axis=1) == 50).all()


def test_a_network_that_is_changed_while_it_runs_keeps_its_past(qtbot: QtBot) -> None:
    panel = make(SlopesPanel, qtbot, 1)
    told(panel, slopes_frame)
    wider = SlopesFrame(step=4000, slopes={"hidden 1": floats(np.ones(80)), "hidden 4": floats([2.0])}, gains={},
                        learned={}, recovery=float("nan"), recovery_share=float("nan"))
    tell(panel, 0, [wider])
    draw(panel)
    columns, rows = panel.table()
    assert "M1 slopes hidden 4" in columns and rows[-1][columns.index("M1 slopes hidden 1 mean")] == 1.0
    assert rows[-1][columns.index("M1 slopes hidden 3 mean")] == ""


def test_sub_domains_are_chosen(qtbot: QtBot) -> None:
    panel = make(SlopesPanel, qtbot, 1)
    names = [f"{part}: hidden {k}" for part in range(1, 13) for k in range(1, 6)]
    tell(panel, 0, [SlopesFrame(step=step, slopes={name: floats([1.0 + step]) for name in names}, gains={}, learned={},
                                recovery=float("nan"), recovery_share=float("nan")) for step in (0, 10)])
    draw(panel)
    assert panel.layer_box.isVisible() and len(panel.views[SLOPES].in_order()) == 12
    panel.layer_box.setCurrentIndex(panel.layer_box.findText("sub-domain 3"))
    panel.layer_box.activated.emit(panel.layer_box.currentIndex())
    assert [curve.name for curve in panel.views[SLOPES].in_order()] == [f"3: hidden {k}" for k in range(1, 6)]
    assert panel.views[SLOPES].in_order()[0].series.last == 11.0, "what came before the choice is there"


# -- activations -----------------------------------------------------------------------------------


def test_what_is_ill_is_said_in_the_warning_color() -> None:
    ill = [[text for text, bad in cell.words if bad] for cell in cells_of(activations_frame(0), [0, 1, 2])]
    assert ill == [[], ["saturated 63 %"], ["saturated 80 %", "dead 30 %", "spread 2e\u22124"]]
    gone = replace(activations_frame(0), saturated=floats([np.nan] * 3))
    assert cells_of(gone, [0])[0].words[0] == ("saturated NaN", True)


def test_the_density_has_integral_one() -> None:
    edges, counts = np.array([0.0, 1.0, 3.0, 3.5]), np.array([1, 6, 3])
    density = density_of(edges, counts)
    assert (density * np.diff(edges)).sum() == pytest.approx(1) and density.tolist() == pytest.approx([0.1, 0.3, 0.6])
    assert density_of(edges, np.zeros(3)).tolist() == [0, 0, 0]


def test_both_lanes_have_the_same_axes(qtbot: QtBot) -> None:
    panel = make(ActivationsPanel, qtbot, size=(1000, 600))
    told(panel, activations_frame)
    cells = panel.cells
    assert cells.counts == [3, 3] and cells.headlines == ["M1", "M2"]
    for cell in range(3):
        assert cells.scales(0, cell) == cells.scales(1, cell)
        assert cells.boxes[0][cell].size() == cells.boxes[1][cell].size()
    across, density, curve = cells.scales(0, 2)
    assert across.low <= -10 and across.high >= 10 and curve is not None and curve.low <= -1 <= 1 <= curve.high
    third = [own[2].density.max() for own in cells.cells.values()]
    assert density.high > max(third)


def test_the_curve_is_where_the_activation_is(qtbot: QtBot) -> None:
    """In pixels: the color of the curve stands at tanh(k z), and at the two ends near -1 and 1."""
    panel = make(ActivationsPanel, qtbot, 1, size=(700, 420))
    told(panel, activations_frame, layers=("hidden 1",))
    box = panel.cells.boxes[0][0]
    across, _, right = panel.cells.scales(0, 0)
    assert right is not None
    colors = picture(panel)
    teal = int(QColor(LIGHT.field(0)).rgb() & 0xFFFFFF)
    frame = activations_frame(0, STEPS[-1], layers=("hidden 1",))
    for z in (-2.0, -0.1, 0.4, 2.5):
        x = round(float(across.place(z, box.left(), box.width())))
        y = float(right.place(float(np.interp(z, frame.z[0], frame.curve[0])), box.bottom(), -box.height()))
        found = np.flatnonzero(colors[int(box.top()): int(box.bottom()), x] == teal) + int(box.top())
        assert len(found) and abs(found - y).min() < 6


def test_the_mouse_reads_an_activation(qtbot: QtBot) -> None:
    panel = make(ActivationsPanel, qtbot, size=(1000, 600))
    told(panel, activations_frame)
    text = panel.cells.text_at(panel.cells.boxes[1][1].center())
    assert "hidden 2" in text and "activation now" in text and "as it started" in text and "saturated 63 %" in text
    assert panel.cells.text_at(QPointF(1, 1)) == ""
    columns, rows = panel.table()
    assert len(rows) == 2 * 3 * (60 + 81) and len(columns) == len(rows[0])


def test_before_the_first_frame_and_before_the_frames_of_a_step_it_says_so(qtbot: QtBot) -> None:
    panel = make(ActivationsPanel, qtbot, 1)
    draw(panel)
    assert "first frame" in panel.cells.empty
    tell(panel, 0, [activations_frame(0, 10, ("hidden 1",))])
    panel.travel({0: {}}, 5.0)
    draw(panel)
    assert panel.cells.counts == [0] and "at or before this step" in panel.cells.empty
    panel.travel(None, None)
    draw(panel)
    assert panel.cells.counts == [1]


def test_layers_of_sub_domains_are_chosen(qtbot: QtBot) -> None:
    panel = make(ActivationsPanel, qtbot, 1)
    names = tuple(f"{part}: hidden {k}" for part in range(1, 13) for k in range(1, 4))
    tell(panel, 0, [activations_frame(0, 10, names)])
    draw(panel)
    assert panel.layer_box.isVisible() and panel.cells.counts == [12]
    assert panel.cells.minimumHeight() > 400, "what does not fit is scrolled to"
    tell(panel, 0, [activations_frame(0, 20, ("hidden 1",))])
    draw(panel)
    assert panel.cells.counts == [1] and not panel.layer_box.isVisible()


# -- conditioning ----------------------------------------------------------------------------------


def frame_at(step: int, **changes: object) -> ConditioningFrame:
    return conditioning_frame(0, step, **changes)


def words(panel: ConditioningPanel) -> str:
    return " ".join(panel.sentences())


def test_the_theorem_is_said_in_words_and_marked(qtbot: QtBot) -> None:
    panel = make(ConditioningPanel, qtbot, 1, size=(800, 700))
    tell(panel, 0, [frame_at(0)])
    draw(panel)
    assert "does not hold yet" in words(panel) and "above the bound 1.27" in words(panel) and not panel.held
    tell(panel, 0, [frame_at(step) for step in STEPS[1:]])
    draw(panel)
    assert "first held at <b>step 1,400</b>" in words(panel) and "\u2713" in words(panel)
    assert panel.held[0].isVisible() and panel.held[0].value() == 1400
    tell(panel, 0, [frame_at(4000, loss=2.0)])
    draw(panel)
    assert "but not now" in words(panel)
    tell(panel, 0, [frame_at(4400, bound=float("nan"), held_since=-1)])
    draw(panel)
    assert "not known" in words(panel) and not panel.held[0].isVisible()


def test_an_unstable_step_is_said_first(qtbot: QtBot) -> None:
    panel = make(ConditioningPanel, qtbot, 1)
    tell(panel, 0, [frame_at(400, smallest=-0.3)])
    draw(panel)
    assert "not positive" in panel.sentences()[0] and "\u22120.3" in panel.sentences()[0]
    assert "not positive" in panel.stack.sentence.text(), "the first one is there at any size"


def test_adam_is_told_from_gradient_descent(qtbot: QtBot) -> None:
    panel = make(ConditioningPanel, qtbot, 2)
    told(panel, conditioning_frame)
    assert panel.sentences()[-1].startswith("Training is with Adam")
    panel.lanes[0].experiment.optimizer.kind = "gd"
    assert panel.sentences()[-1].startswith("M2: training is with Adam")
    panel.lanes[1].experiment.optimizer.kind = "gd"
    assert "Adam" not in words(panel)


def test_the_identity_is_a_self_check(qtbot: QtBot) -> None:
    panel = make(ConditioningPanel, qtbot, 1, size=(800, 800))
    told(panel, conditioning_frame)
    assert "rounding" in words(panel) and "off" not in words(panel)
    tell(panel, 0, [frame_at(4000, identity=floats([0.0, 0.02, np.nan]))])
    draw(panel)
    assert "is off</b> by 0.02 in hidden 2" in words(panel)


def test_the_plots_have_the_frames_numbers(qtbot: QtBot) -> None:
    panel = make(ConditioningPanel, qtbot, 1, size=(800, 900))
    told(panel, conditioning_frame)
    columns, rows = panel.table()
    frame = frame_at(3600)
    last = dict(zip(columns, rows[-1], strict=True))
    assert len(rows) == len(STEPS) and last["M1 \u03ba(G)"] == frame.kappa and last["M1 loss J"] == frame.loss
    assert last["M1 angle of Gg to g, \u00b0"] == frame.angle and last["M1 smallest entry"] == frame.smallest
    assert last["M1 largest residual"] == abs(frame.identity).max()
    panel.stack.choose("angle")
    assert panel.table()[0] == ["step", "M1 angle of Gg to g, \u00b0"]


def test_why_there_is_no_matrix(qtbot: QtBot) -> None:
    panel = make(ConditioningPanel, qtbot, 1)
    lane = samples.lanes(1)
    lane[0].experiment.network.slopes = "none"
    panel.begin(lane)
    assert "identity" in panel.stack.empty.text() and not panel.wanted(lane)
    lane[0].experiment.network.slopes = "layer"
    lane[0].experiment.decomposition.splits = {"x": (0.0,)}
    panel.begin(lane)
    assert "sub-domain" in panel.stack.empty.text()


def test_every_kind_that_is_drawn_over_time_is_of_these(qtbot: QtBot) -> None:
    assert {f(0, 0).kind for f in (slopes_frame, conditioning_frame, activations_frame, timing_frame)} == {
        "slopes", "conditioning", "activations", "timing"}
    assert isinstance(activations_frame(0), ActivationsFrame) and liveness_frame(0).kind == "liveness"
