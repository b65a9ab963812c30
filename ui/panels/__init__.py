"""The panels of the window. A new one is one file and one row here."""

from ui.panels.activations import ActivationsPanel
from ui.panels.alignment import AlignmentPanel
from ui.panels.conditioning import ConditioningPanel
from ui.panels.doctor import DoctorPanel
from ui.panels.equation import EquationPanel
from ui.panels.fields import FieldsPanel
from ui.panels.gradient_history import GradientHistoryPanel
from ui.panels.gradients import GradientWallPanel
from ui.panels.landscape import LandscapePanel
from ui.panels.liveness import LivenessPanel
from ui.panels.losses import ErrorPanel, LossesPanel
from ui.panels.ntk import NtkPanel
from ui.panels.optimizer import OptimizerPanel
from ui.panels.panel import Lane, Panel
from ui.panels.readings import ReadingsPanel
from ui.panels.slopes import SlopesPanel
from ui.panels.spectrum import SpectrumPanel
from ui.panels.step_check import StepCheckPanel
from ui.panels.stiffness import StiffnessPanel
from ui.panels.timing import TimingPanel
from ui.panels.weights import WeightsPanel

PANELS: tuple[type[Panel], ...] = (
    GradientWallPanel,
    FieldsPanel,
    DoctorPanel,
    LossesPanel,
    ErrorPanel,
    WeightsPanel,
    ReadingsPanel,
    EquationPanel,
    StiffnessPanel,
    SpectrumPanel,
    LandscapePanel,
    NtkPanel,
    SlopesPanel,
    ActivationsPanel,
    ConditioningPanel,
    LivenessPanel,
    TimingPanel,
    GradientHistoryPanel,
    AlignmentPanel,
    StepCheckPanel,
    OptimizerPanel,
)

__all__ = ["PANELS", "Lane", "Panel"]
