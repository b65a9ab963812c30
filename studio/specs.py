"""The parts of an experiment as validated data; `studio.experiment` puts them together."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from core.choices import (
    Activation,
    Basis,
    Direction,
    Initial,
    Measure,
    NetworkKind,
    Normalize,
    OptimizerKind,
    PointWeighting,
    Recovery,
    Reproducing,
    ReproducingStart,
    Rule,
    SamplingKind,
    Slopes,
)
from core.problem import Condition, Decomposition, Observation, Problem, Residual

WTP = "Wang, Teng & Perdikaris 2021"
JKK = "Jagtap, Kawaguchi & Karniadakis 2020"
RAF = "Liang, Lyu, Wang & Yang 2021"


class Model(BaseModel):
    """Frozen, and a key that nobody knows is an error, not a silent nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def tip(text: str, default: Any = ..., *, source: str = "", unit: str = "", **bounds: Any) -> Any:
    """A field with its explanation, the source of the explanation, and its unit."""
    return Field(default, description=text, json_schema_extra={"source": source, "unit": unit}, **bounds)


class ResidualSpec(Model):
    name: str = tip("Name of the equation, as panels show it.", min_length=1)
    equation: str = tip("The equation as text, zero where it holds: u_xx + u_yy + k**2*u - q. "
                        "'left = right' works too.")
    term: str = tip("The loss term that this equation's mean square is added to.", "residual", min_length=1)
    points: int = tip("Collocation points in each step's minibatch.", 128, source=WTP, ge=1, le=1_000_000)
    measure: Measure = tip("square: the loss is the mean square of the equation. mean: the mean of the expression "
                           "itself, such as an energy or a cross entropy.", "square")


class ConditionSpec(Model):
    name: str = tip("Name of the condition.", min_length=1)
    on: str = tip("Where it holds: 'boundary' for every face, or one face such as 'x = -1' or 't = 0'.", "boundary")
    equation: str = tip("The condition as text: u = u_exact, or u_t = 0.")
    term: str = tip("The loss term that its mean square is added to.", "boundary", min_length=1)
    points: int = tip("Points on each face in each step's minibatch.", 128, source=WTP, ge=1, le=1_000_000)

    @field_validator("on")
    @classmethod
    def _one_face(cls, value: str) -> str:
        # said here, before the parser looks for an operator between 'x = 0' and 'and'; x = 0,5 is its business
        several = re.search("\\s(and|or)\\s|,\\s|[;&\N{PLUS-MINUS SIGN}]|=.*=", value.replace("==", "="))
        if several and not re.search("[<>]", value):
            raise ValueError(f"'{value}' is more than one face; a condition lies on one, or with 'boundary' on all of "
                             "them, and another face is another condition")
        return value


class ObservationSpec(Model):
    name: str = tip("Name of the observation.", min_length=1)
    equation: str = tip("What holds at the file's points, whose columns are NAME_data: u = u_data.")
    file: str = tip("The .npz file with the points; the problem's reference where empty. One 1-D array for each input "
                    "and column, or axes and arrays over their grid.", "")
    columns: tuple[str, ...] = tip("Columns that the equation uses beside those of the fields.", ())
    term: str = tip("The loss term that its mean square is added to.", "data", min_length=1)
    points: int = tip("How many of the file's points are used, drawn once; 0 for all.", 0, ge=0, le=1_000_000)
    noise: float = tip("Normal noise added to every column, relative to its root mean square.", 0.0, ge=0, le=10)
    seed: int = tip("Seed of the chosen points and of the noise.", 0, ge=0, le=2**31 - 1)
    measure: Measure = tip("square: mean square of the equation. mean: mean of the expression itself.", "square")


class ProblemSpec(Model):
    name: str = tip("Name of the problem.", min_length=1)
    fields: tuple[str, ...] = tip("The unknown fields, in the order of the network's outputs.", min_length=1)
    domain: dict[str, tuple[float, float]] = tip("Lower and upper bound of every input.", min_length=1)
    shape: Literal["box", "ball"] = tip("box: the product of the ranges. ball: the ball that touches all of them.",
                                        "box")
    constants: dict[str, float] = tip("Numbers that the equations may use by name.", default_factory=dict)
    definitions: dict[str, str] = tip("Names for expressions of inputs and constants: q = ...", default_factory=dict)
    residuals: tuple[ResidualSpec, ...] = tip("The equations that hold inside the domain.", ())
    conditions: tuple[ConditionSpec, ...] = tip("Boundary and initial conditions.", ())
    observations: tuple[ObservationSpec, ...] = tip("Measured values at the points of a file.", ())
    unknowns: dict[str, float] = tip("Numbers to be found with the fields, with their start values; equations use "
                                     "them by name.", default_factory=dict)
    truth: dict[str, float] = tip("What unknowns and readings should become, where it is known.", default_factory=dict)
    averages: dict[str, str] = tip("Expressions whose mean over the equations' points the equations use by name, such "
                                   "as numerator and denominator of a Rayleigh quotient.", default_factory=dict)
    readings: dict[str, str] = tip("Numbers made of averages and unknowns that are shown while training: "
                                   "lam = energy/norm.", default_factory=dict)
    quantities: dict[str, str] = tip("Expressions of the fields and their derivatives that are shown and compared "
                                     "like fields: speed = sqrt(u**2 + v**2).", default_factory=dict)
    hard: dict[str, str] = tip("Conditions built into the field: an expression in which the field's name is the "
                               "network's own output, u = x*(1 - x)*u.", default_factory=dict)
    periodic: tuple[str, ...] = tip("Inputs in which the fields are exactly periodic, with the domain's length.", ())
    homogeneous: bool = tip("The solution is known up to a factor (an eigenfunction): errors are measured after the "
                            "best scaling.", False)
    exact: dict[str, str] = tip("The exact solution by field or quantity; equations may use it as u_exact.",
                                default_factory=dict)
    reference: str = tip("A .npz file with one array for each input and each field; for where no formula is known. "
                         "It lies beside the experiment's file, or the path is absolute.", "")

    def build(self, decomposition: Decomposition | None = None) -> Problem:
        """The problem with its equations parsed and checked. Raises ProblemError. Does not load torch."""
        return Problem(
            name=self.name,
            fields=self.fields,
            domain=dict(self.domain),
            constants=dict(self.constants),
            definitions=dict(self.definitions),
            residuals=tuple(Residual(r.name, r.equation, r.term, r.points, r.measure) for r in self.residuals),
            conditions=tuple(Condition(c.name, c.on, c.equation, c.term, c.points) for c in self.conditions),
            exact=dict(self.exact),
            reference=self.reference,
            shape=self.shape,
            observations=tuple(Observation(**o.model_dump()) for o in self.observations),
            unknowns=dict(self.unknowns),
            truth=dict(self.truth),
            averages=dict(self.averages),
            readings=dict(self.readings),
            quantities=dict(self.quantities),
            hard=dict(self.hard),
            periodic=self.periodic,
            homogeneous=self.homogeneous,
            decomposition=decomposition,
        )


class DecompositionSpec(Model):
    splits: dict[str, tuple[float, ...]] = tip(
        "Where each input is cut into sub-domains, with a network each; nothing for one network. They are numbered "
        "with the first input running fastest.", source=JKK, default_factory=dict)
    flux: dict[str, str] = tip("The flux across a cut of each input; it is matched on the interfaces, as are the "
                               "fields' averages.", source=JKK, default_factory=dict)
    hidden: tuple[tuple[int, ...], ...] = tip("Hidden widths of each sub-domain's network; the network's own where "
                                              "empty.", ())
    points: tuple[int, ...] = tip("Collocation points in each sub-domain; the equations' own where empty.", ())
    interface_points: int = tip("Points on each interface.", 100, ge=1, le=100_000)
    local: tuple[str, ...] = tip("Unknowns that every sub-domain has its own of.", ())
    starts: tuple[float, ...] = tip("Start value of the local unknown in each sub-domain.", ())

    def build(self) -> Decomposition | None:
        """None where nothing is cut."""
        if not self.splits:
            return None
        return Decomposition(**self.model_dump())


class NetworkSpec(Model):
    kind: NetworkKind = tip(
        "mlp: a plain fully connected network. gated: the 'improved architecture', two encoders mixed by every "
        "hidden layer's gate; 1.2 times (compiled) to 1.7 times (eager) the work of a plain one. residual: blocks of "
        "two layers with a skip.",
        "mlp", source=f"{WTP}, eqs. 2.33-2.38; residual: {RAF}")
    hidden: tuple[int, ...] = tip("Width of every hidden layer, from the input on.", (50, 50, 50), source=WTP,
                                  min_length=1, max_length=64)
    activation: Activation = tip("The nonlinearity of the hidden layers. siren is sin(30 z).", "tanh", source=WTP)
    slopes: Slopes = tip("Trained slopes inside the activation, phi(n a z): one for all (GAAF), one for each layer "
                         "(L-LAAF), one for each neuron (N-LAAF).", "none", source=f"{JKK}, section 2")
    slope_scale: float = tip("The fixed factor n; slopes start at a = 1/n.", 1.0, source=JKK, ge=1e-3, le=1e3)
    slope_on_output: bool = tip("The output layer has a slope too, as in the paper's theory and its Figure 2.", False,
                                source=f"{JKK}, section 3")
    recovery: Recovery = tip("A loss term that pushes the slopes up. paper: as printed, with the mean over the layers. "
                             "code: the released function-fit code, with their sum. Its weight is that of the loss "
                             "term 'recovery'.", "none", source=f"{JKK}, section 2b")
    raf: Reproducing = tip("Reproducing activations. learnable: every neuron learns its own combination of the basis. "
                           "assigned: each block of neurons has one basis function. rowdy: the activation plus sines "
                           "that the layer shares.", "none", source=RAF)
    raf_basis: tuple[Basis, ...] = tip("The functions that are combined, or assigned to the blocks.",
                                       ("x", "x2", "sin", "gaussian"), source=RAF, min_length=1, max_length=12)
    raf_blocks: tuple[int, ...] = tip("Widths of the assigned blocks; equal ones where empty.", ())
    raf_start: ReproducingStart = tip("Start values of a learnable combination; image and audio are the released "
                                      "code's, pde is ours.", "pde", source=RAF)
    raf_width: float = tip("Width s of the Gaussian exp(-z^2 / (2 s^2)); its start where it is learned.", 0.5,
                           source=RAF, ge=1e-3, le=1e3)
    rowdy_terms: int = tip("Sines of a rowdy activation.", 3, ge=1, le=32)
    initial: Initial = tip("Start values of the weights.", "glorot-normal", source=WTP)
    initial_scale: float = tip("Standard deviation of weights and biases where they start 'normal'.", 0.1, gt=0, le=10)
    normalize: Normalize = tip("What the inputs are mapped to: z-score (mean 0, deviation 1 over the domain), unit "
                               "(-1 to 1), or nothing.", "z-score", source=WTP)
    harmonics: int = tip("Of a periodic input the first layer sees the cosine and sine of this many multiples of its "
                         "period's angle. One is enough in theory; more help where waves are much shorter than the "
                         "period.", 1, source="Dong & Ni 2021", ge=1, le=256)
    fourier_features: int = tip("Random frequencies B of the first layer's cos(Bx), sin(Bx); 0 for none.", 0,
                                source="Tancik et al. 2020", ge=0, le=4096)
    fourier_sigma: float = tip("Standard deviation of the random frequencies.", 1.0, source="Tancik et al. 2020",
                               gt=0, le=1000)

    @field_validator("hidden")
    @classmethod
    def _widths(cls, value: tuple[int, ...], others: ValidationInfo) -> tuple[int, ...]:
        for width in value:
            if not 1 <= width <= 4096:
                raise ValueError(f"a layer of width {width} is not possible; a width is a whole number from 1 to 4096")
        kind = others.data.get("kind")
        if kind == "gated" and len(set(value)) > 1:
            raise ValueError("the gated network mixes its encoders into every layer, "
                             "so all hidden widths must be equal")
        if kind == "residual" and (len(set(value)) > 1 or len(value) % 2):
            raise ValueError("a residual network is made of blocks of two layers of one width, so give an even number "
                             "of equal widths")
        return value


class BalancingSpec(Model):
    rule: Rule = tip(
        "How the loss terms are weighted against each other. fixed: as given. annealing: the ratio of the residual "
        "gradient's maximum to the mean of the other term's, averaged over time. siam: as in the SIAM paper and the "
        "released code (weighted mean in the denominator; made the published tables). arxiv: unweighted mean. "
        "cavity: the ratio layer by layer, then the largest. gradient-norm: equal norms of all gradients. ntk: equal "
        "traces of the tangent kernel's blocks. relobralo: equal relative progress. inverse-dirichlet: equal spread "
        "of the gradients.", "fixed", source=f"{WTP}, Algorithm 2.1")
    weights: dict[str, float] = tip("Weight of each loss term by name; 1 where not given. With a rule: the start.",
                                    default_factory=dict)
    interval: int = tip("Steps between two updates of the weights.", 10, source=WTP, unit="steps", ge=1, le=1_000_000)
    rate: float = tip("Share of the new value in the moving average (the paper's alpha).", 0.1, source=WTP, gt=0, le=1)
    floor: float = tip("Smallest denominator of the ratio, so that a gradient of zero gives a finite weight.", 1e-12,
                       source="not in the paper, whose code divides by zero", gt=0, le=1)
    temperature: float = tip("Temperature of ReLoBRaLo's softmax.", 0.1, source="Bischof & Kraus 2021", gt=0, le=1e6)
    memory: float = tip("ReLoBRaLo's expected share of looking back to the last step, not to the first (rho). The "
                        "paper's alpha is 1 - rate: set rate = 0.001, interval = 1.", 0.9999,
                        source="Bischof & Kraus 2021", ge=0, le=1)
    direction: Direction = tip(
        "What becomes of the weighted gradients. sum: their sum. config: ConFIG, equal cosine with every term. pcgrad: "
        "conflicting parts are projected away. dual-cone: inside the cone where no term grows. All but the sum cost a "
        "backward pass for each term.", "sum", source="Liu et al. 2024; Yu et al. 2020; Hwang & Lim 2024")
    points: PointWeighting = tip(
        "How a term's points are weighted. self-adaptive: weights that ascend while the network descends. "
        "residual-attention: an average of the relative residual. Both need fixed points. causal: later times wait "
        "for earlier ones, so an input is t.", "equal",
        source="McClenny & Braga-Neto 2020; Anagnostopoulos et al. 2024; Wang et al. 2022")
    points_rate: float = tip("Step of the points' weights: ascent rate, or the attention's learning rate.", 0.01,
                             gt=0, le=10)
    points_decay: float = tip("What residual attention keeps of its weights at every step (gamma).", 0.999, ge=0, lt=1)
    chunks: int = tip("Pieces of time of causal weights.", 32, source="Wang et al. 2022", ge=2, le=1000)
    epsilon: float = tip("Steepness of causal weights at the start; it grows tenfold, up to 100, whenever all weights "
                         "are above 0.99.", 1e-2, source="Wang et al. 2022", gt=0, le=1e6)

    @field_validator("weights")
    @classmethod
    def _weights(cls, value: dict[str, float]) -> dict[str, float]:
        return positive_weights(value)


def positive_weights(value: dict[str, float]) -> dict[str, float]:
    """The weights of loss terms as they are. Raises ValueError where one is below zero."""
    for term, weight in value.items():
        if weight < 0:
            raise ValueError(f"the weight of '{term}' is {weight:g}; a weight is zero or positive")
    return value


class SamplingSpec(Model):
    kind: SamplingKind = tip(
        "Where collocation points come from. uniform: random. latin-hypercube, sobol, halton, grid: designs that fill "
        "the domain evenly. rad: drawn by the residual's size. rar-d: the easiest points are replaced by hard ones. "
        "r3: hard points are kept, the others drawn anew.", "uniform", source=f"{WTP}; Wu et al. 2023; Daw et al. 2023")
    every: int = tip("Steps after which points are drawn anew; 0 for never.", 1, unit="steps", ge=0, le=100_000_000)
    candidates: int = tip("Points that rad and rar-d choose from.", 2000, source="Wu et al. 2023", ge=2, le=1_000_000)
    exponent: float = tip("Power k of the residual in rad's density; rar-d's is 2.", 1.0, source="Wu et al. 2023", ge=0,
                          le=10)
    offset: float = tip("Constant c of rad's density; larger is more uniform.", 1.0, source="Wu et al. 2023", ge=0,
                        le=1000)


class OptimizerSpec(Model):
    kind: OptimizerKind = tip(
        "adam, adamw, gd (plain gradient descent), soap, muon: a step for each gradient; these bear points that are "
        "drawn anew. lbfgs, ssbfgs, ssbroyden: quasi-Newton with a line search. levenberg-marquardt, "
        "energy-natural-gradient, spring, gauss-newton-cg: they solve for the step with the Jacobian of all residuals. "
        "auto: the best of these that the memory allows.", "adam",
        source=f"{WTP}; {JKK}; Vyas et al. 2025; Jordan 2024; Liu & Nocedal 1989; Urban et al. 2025; More 1978; Müller "
               "& Zeinhofer 2023; Goldshlager et al. 2024")
    learning_rate: float = tip("Step size at the start.", 1e-3, source=WTP, gt=0, le=10)
    beta1: float = tip("Decay of Adam's first moment, and of soap's. SOAP's paper has 0.95, for language models.", 0.9,
                       source="Kingma & Ba 2015; Vyas et al. 2025 (arXiv 2409.11321)", ge=0, lt=1)
    beta2: float = tip("Decay of Adam's second moment, and of all averages of soap. SOAP's paper has 0.95 for both; on "
                       "helmholtz-m1, 1,500 steps of soap ended at a loss of about 2,000 with 0.95 and 0.95, at about "
                       "10 with 0.9 and 0.999.", 0.999,
                       source="Kingma & Ba 2015; Vyas et al. 2025 (arXiv 2409.11321); the losses: measured here",
                       ge=0, lt=1)
    epsilon: float = tip("Added to the root of the second moment.", 1e-8, source="Kingma & Ba 2015", gt=0, le=1)
    weight_decay: float = tip("Share of the parameters added to their gradient (L2).", 0.0, ge=0, le=1)
    clip: float = tip("The gradient's norm is cut down to this where it is larger; 0 for never.", 0.0, ge=0, le=1e12)
    decay: Literal["continuous", "staircase", "cosine"] = tip(
        "How the learning rate falls: by 'decay rate' every 'decay steps', continuously or in stairs; cosine: to zero "
        "at the last step.", "continuous", source=f"{WTP}; {RAF}")
    decay_rate: float = tip("The learning rate is multiplied by this every 'decay steps'.", 0.9,
                            source=WTP, gt=0, le=1)
    decay_steps: int = tip("Steps for one factor of the decay rate.", 1000, source=WTP, unit="steps", ge=1)
    damping: float = tip("Damping of levenberg-marquardt and gauss-newton-cg at the start, which they adapt; of spring "
                         "always (its lambda).", 1e-2, source="More 1978; Goldshlager et al. 2024", gt=0, le=1e6)
    momentum: float = tip("Share of the last step's direction that muon and spring keep.", 0.95,
                          source="Jordan 2024; Goldshlager et al. 2024", ge=0, lt=1)
    history: int = tip("Pairs of steps and gradients that lbfgs remembers.", 50, source="Liu & Nocedal 1989", ge=1,
                       le=1000)
    refresh: int = tip("Steps between two refreshes of soap's eigenbases.", 10, source="Vyas et al. 2025",
                       unit="steps", ge=1, le=10_000)
    cg_iterations: int = tip("Most iterations of gauss-newton-cg's linear solver in a step.", 200,
                             source="Martens 2010", ge=1, le=100_000)
    form: Literal["auto", "parameters", "samples"] = tip(
        "Which linear system levenberg-marquardt solves: one as large as there are parameters, or as there are "
        "residuals. auto: the smaller one.", "auto")


class TrainingSpec(Model):
    steps: int = tip("Steps of the first optimizer: of the whole run where no phases follow.", 40_000, source=WTP,
                     unit="steps", ge=1, le=100_000_000)
    seed: int = tip("Seed of the initial weights and of every random point. The same seed gives the same numbers.", 0,
                    ge=0, le=2**31 - 1)
    precision: Literal["float32", "float64"] = tip("Arithmetic of network and training.", "float32", source=WTP)
    threads: int = tip("Threads to compute with. One leaves the other cores to the window. A compiled step of some "
                       "thousand points is nearly twice as fast with two.", 1, ge=1, le=256)
    engine: Literal["auto", "eager", "compiled"] = tip(
        "auto: starts eager at once and changes over when the compiled step is ready. eager, compiled: one engine "
        "from first step to last, so that the same seed gives the same bits.", "auto")
    device: Literal["cpu", "cuda"] = tip(
        "Where the step is computed. cuda: a GPU of NVIDIA, the whole step as one CUDA graph; it pays for large "
        "networks and many points. Points are drawn on the CPU, so that a seed gives the same ones on both.", "cpu")
    chunk: int = tip("Points that are evaluated at a time, so that memory stays bounded; losses and gradient are the "
                     "sums over all. 0: chosen by the program, which takes all at once up to 65,536.", 0, ge=0,
                     le=100_000_000)
