"""What the experiment is compared with: a choice of known variants, or changes of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from core.choices import RECOVERY
from ui.forms.editors import BlockEditor, ChoiceEditor, LineEditor
from ui.forms.field import LABEL_WIDTH, MessageLabel
from ui.forms.text import read_changes, write_changes
from ui.theme import Theme

NONE, CUSTOM = "nothing", "changes of your own"

#: Wang, Teng & Perdikaris (2021), Table 1: label, words, network, balancing.
MODELS = (
    ("M1", "fixed weights", "mlp", "fixed"),
    ("M2", "annealing", "mlp", "annealing-siam"),
    ("M3", "gated network", "gated", "fixed"),
    ("M4", "gated, annealing", "gated", "annealing-siam"),
)
_TIP = ("Trains a variant beside the experiment, with the same seed, so that every panel shows the two side by side. "
        "Nothing: trains the experiment alone.")


def presets(data: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Any]]]:
    """By name: label and changes of each variant that differs from the experiment `data`."""
    parts = data.get("network", {})
    network = parts.get("kind", "mlp")
    rule = data.get("balancing", {}).get("rule", "fixed")
    seed = data.get("training", {}).get("seed", 0)
    out: dict[str, tuple[str, dict[str, Any]]] = {}
    for label, words, kind, balancing in MODELS:
        changes: dict[str, Any] = {}
        if kind != network:
            changes["network.kind"] = kind
        if balancing != rule:
            changes["balancing.rule"] = balancing
        if changes and not (kind == "gated" and len(set(parts.get("hidden", ()))) > 1):
            out[f"{label}: {words}"] = (label, changes)
    if parts.get("raf", "none") != "none":
        out["plain activation"] = ("plain", {"network.raf": "none"})
    elif parts.get("slopes", "none") == "none":
        out["L-LAAF: a slope in each layer"] = ("L-LAAF", {"network.slopes": "layer"})
    else:
        out["fixed activation"] = ("fixed", _without_slopes(data))
    if isinstance(seed, int):
        out["another seed"] = (f"seed {seed + 1}", {"training.seed": seed + 1})
    return out


def _without_slopes(data: Mapping[str, Any]) -> dict[str, Any]:
    """What takes the slopes away, their recovery and its weight with them."""
    changes: dict[str, Any] = {"network.slopes": "none"}
    if data["network"].get("recovery", "none") != "none":
        changes["network.recovery"] = "none"
    weights = dict(data.get("balancing", {}).get("weights") or {})
    if weights.pop(RECOVERY, None) is not None:
        changes["balancing.weights"] = weights
    return changes


class Compare(QWidget):
    """The choice, and under it label and changes, which can be edited."""

    edited = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._presets: dict[str, tuple[str, dict[str, Any]]] = {}
        self._base: tuple[str, str] = ("", "")
        self._filling = False
        self._custom = ("variant", "")
        self.choice = ChoiceEditor((NONE, CUSTOM))
        self.label = LineEditor("text")
        self.changes = BlockEditor(one_line=False, mono=True)
        self.message = MessageLabel(self)
        for widget, name, tip in (
            (self.choice, "Compare with", _TIP),
            (self.label, "Label of the variant", "Short name of the variant, shown in the panels."),
            (self.changes, "Changes of the variant",
             "What differs in the variant, one change a line, such as network.kind = \"gated\"."),
        ):
            widget.setAccessibleName(name)
            widget.setAccessibleDescription(tip)
            widget.setToolTip(f"<qt>{tip}</qt>")
        caption = QLabel("Compare with")
        caption.setFixedWidth(LABEL_WIDTH)
        caption.setToolTip(f"<qt>{_TIP}</qt>")
        caption.setBuddy(self.choice)
        top = QHBoxLayout()
        top.setSpacing(6)
        top.addWidget(caption)
        top.addWidget(self.choice, 1)
        self._details = QWidget(self)
        below = QHBoxLayout(self._details)
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(6)
        self.label.setFixedWidth(LABEL_WIDTH)
        below.addWidget(self.label)
        below.addWidget(self.changes, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self._details)
        layout.addWidget(self.message)
        self._details.setVisible(False)
        self.choice.edited.connect(self._chosen)
        self.label.edited.connect(self._typed)
        self.changes.edited.connect(self._typed)

    def raw(self) -> dict[str, str]:
        return {"label": self.label.raw(), "changes": self.changes.raw()}

    def set_raw(self, raw: Mapping[str, str]) -> None:
        self._fill(raw.get("label", ""), raw.get("changes", ""))
        self._select()

    def set_base(self, variants: Sequence[Mapping[str, Any]], *, show: bool) -> None:
        """The variants of the experiment as it was opened (none or one)."""
        variant = variants[0] if variants else None
        self._base = (variant["label"], write_changes(variant["set"])) if variant else ("", "")
        if show:
            self._fill(*self._base)
            self._select()

    def is_changed(self) -> bool:
        return (self.label.raw(), self.changes.raw()) != self._base

    def value(self) -> list[dict[str, Any]]:
        """`compare` of the experiment. Raises ValueError with a sentence."""
        if not self.changes.raw().strip() and not self.label.raw().strip():
            return []
        changes = read_changes(self.changes.raw())
        if not changes:
            raise ValueError("a variant needs at least one change, such as network.kind = \"gated\"")
        if not self.label.raw().strip():
            raise ValueError("a variant needs a label, such as M2")
        return [{"label": self.label.raw().strip(), "set": changes}]

    def offer(self, data: Mapping[str, Any]) -> None:
        """Offer the variants that differ from the experiment `data`."""
        known = presets(data)
        if known != self._presets:
            self._presets = known
            self._filling = True
            self.choice.clear()
            self.choice.addItems([NONE, *known, CUSTOM])
            self._filling = False
            self._select()

    def restyle(self, theme: Theme) -> None:
        self.message.set_color(theme.danger)

    def _fill(self, label: str, changes: str) -> None:
        self._filling = True
        self.label.set_raw(label)
        self.changes.set_raw(changes)
        self._filling = False

    def _select(self) -> None:
        """Show which choice label and changes amount to."""
        label, changes = self.label.raw(), self.changes.raw()
        name = CUSTOM
        if not label.strip() and not changes.strip():
            name = NONE
        else:
            for key, (_, wanted) in self._presets.items():
                if write_changes(wanted) == changes:
                    name = key
        self._filling = True
        self.choice.set_raw(name)
        self._filling = False
        self._details.setVisible(name != NONE)

    def _chosen(self) -> None:
        if self._filling:
            return
        name = self.choice.raw()
        if name == NONE:
            self._fill("", "")
        elif name in self._presets:
            label, changes = self._presets[name]
            self._fill(label, write_changes(changes))
        elif not self.changes.raw().strip():
            self._fill(*self._custom)
        self._details.setVisible(name != NONE)
        self.edited.emit()

    def _typed(self) -> None:
        if not self._filling:
            if self.choice.raw() == CUSTOM:
                self._custom = (self.label.raw(), self.changes.raw())
            self.edited.emit()
