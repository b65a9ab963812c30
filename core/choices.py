"""What is chosen by name. Imports nothing, so that a form can offer it before torch is loaded."""

from __future__ import annotations

from typing import Literal, get_args

#: How loss terms are weighted against each other; core.balancing says what each rule computes.
Rule = Literal["fixed", "annealing-siam", "annealing-arxiv", "annealing-cavity"]
RULES: tuple[str, ...] = get_args(Rule)

#: The nonlinearities of core.activations.
Activation = Literal["tanh", "sin", "gelu", "silu", "softplus", "sigmoid", "relu3"]
