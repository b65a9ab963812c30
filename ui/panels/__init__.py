"""The panels of the window. A new one is one file and one row here."""

from ui.panels.equation import EquationPanel
from ui.panels.fields import FieldsPanel
from ui.panels.gradients import GradientWallPanel
from ui.panels.losses import ErrorPanel, LossesPanel
from ui.panels.panel import Lane, Panel
from ui.panels.readings import ReadingsPanel
from ui.panels.weights import WeightsPanel

PANELS: tuple[type[Panel], ...] = (
    GradientWallPanel,
    FieldsPanel,
    LossesPanel,
    ErrorPanel,
    WeightsPanel,
    ReadingsPanel,
    EquationPanel,
)

__all__ = ["PANELS", "Lane", "Panel"]
