"""What is chosen by name. Imports nothing, so that a form can offer it before torch is loaded."""

from __future__ import annotations

from typing import Literal, get_args

#: How loss terms are weighted against each other; core.balancing says what each rule computes.
Rule = Literal["fixed", "annealing-siam", "annealing-arxiv", "annealing-cavity", "gradient-norm", "ntk", "relobralo",
               "inverse-dirichlet"]
RULES: tuple[str, ...] = get_args(Rule)

#: How the terms' gradients become one direction; core.directions.
Direction = Literal["sum", "config", "pcgrad", "dual-cone"]

#: How the points of a term are weighted against each other; core.pointwise.
PointWeighting = Literal["equal", "self-adaptive", "residual-attention", "causal"]

#: Optimizers. adam, adamw and gd are pure functions of the gradient (core.optimizers), the others core.solvers.
OptimizerKind = Literal["adam", "adamw", "gd", "soap", "muon", "lbfgs", "ssbfgs", "ssbroyden", "levenberg-marquardt",
                        "energy-natural-gradient", "spring", "gauss-newton-cg", "auto"]
#: Those that are one pure function of the gradient.
FIRST_ORDER: tuple[str, ...] = ("adam", "adamw", "gd")
#: Those whose steps a learning rate scales; the others search for a length.
RATED: tuple[str, ...] = ("adam", "adamw", "gd", "soap", "muon")
#: Those that need a loss that stays the same function between two steps; auto is one of them.
SECOND_ORDER: tuple[str, ...] = ("lbfgs", "ssbfgs", "ssbroyden", "levenberg-marquardt", "energy-natural-gradient",
                                 "spring", "gauss-newton-cg", "auto")
#: Those that work with the residuals and their Jacobian, so that the loss must be a sum of squares at single points.
GAUSS_NEWTON: tuple[str, ...] = ("levenberg-marquardt", "energy-natural-gradient", "spring", "gauss-newton-cg")

#: Where collocation points come from; core.sampling.
SamplingKind = Literal["uniform", "latin-hypercube", "sobol", "halton", "grid", "rad", "rar-d", "r3"]

#: Network architectures; core.networks.
NetworkKind = Literal["mlp", "gated", "residual"]

#: The nonlinearities of core.activations. siren is sin(30 z).
Activation = Literal["tanh", "sin", "siren", "gelu", "silu", "softplus", "sigmoid", "relu", "relu3"]

#: Adaptive slopes (Jagtap et al. 2020): one for the network (GAAF), for each layer (L-LAAF), for each neuron (N-LAAF).
Slopes = Literal["none", "global", "layer", "neuron"]

#: The slope recovery term as the paper prints it, or as the released function-fit code computes it.
Recovery = Literal["none", "paper", "code"]

#: Reproducing activation functions (Liang et al.): neuron-wise and learned, assigned in blocks; rowdy is the tied case.
Reproducing = Literal["none", "learnable", "assigned", "rowdy"]

#: Functions that a reproducing activation combines.
Basis = Literal["x", "x2", "sin", "cos", "gaussian", "tanh", "relu", "relu3"]

#: Start values of a learnable reproducing activation.
ReproducingStart = Literal["pde", "image", "audio"]

#: Start values of weights and biases; core.initial.
Initial = Literal["glorot-normal", "glorot-uniform", "he-normal", "normal", "torch", "siren"]

#: What the inputs are mapped to before the first layer.
Normalize = Literal["z-score", "unit", "none"]

#: Whether a loss term is the mean of an expression's square, or of the expression itself.
Measure = Literal["square", "mean"]

#: The name of the loss term of slope recovery.
RECOVERY = "recovery"
