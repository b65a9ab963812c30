"""What the panels of gradients explain behind their question marks."""

from ui.panels.panel import Explanation

WALL = Explanation(
    sentences=(
        "One cell for each layer, one curve for each loss term: the density of the entries of the term's gradient "
        "with respect to the layer's weights, at the points of the newest step.",
        "The number in a cell compares mean |g|: how many times narrower or wider the term farthest from balance "
        "is than the residual.",
        "Healthy are curves of about the same width, weighted: every term then moves the network by a like amount.",
        "A spike at zero beside a broad residual is a starved term, as boundary conditions of stiff problems are "
        "(the bound below: the imbalance may grow like the wavenumber C to the fourth); a curve many times wider "
        "than the residual's dominates, and training then ignores the equation.",
        "Turn learning-rate annealing on, or set the term's weight by hand, and watch the widths meet; raw shows "
        "what the weights make up for.",
    ),
    formulas=(
        r"\hat\lambda_i = \frac{\max_\theta |\nabla_\theta L_r|}{\overline{|\nabla_\theta \lambda_i L_i|}}, \quad "
        r"\lambda_i \leftarrow (1 - \alpha) \lambda_i + \alpha \hat\lambda_i",
        r"\|\nabla_\theta L_{ub}\|_\infty \leq 2 A \|\nabla_\theta \epsilon_\theta\|_\infty, \quad "
        r"\|\nabla_\theta L_r\|_\infty \leq O(C^4) A \|\nabla_\theta \epsilon_\theta\|_\infty",
    ),
    source="Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5): Fig. 2, Algorithm 2.1, eqs. 2.14-2.15 "
           "(1-D Poisson, u = sin(Cx))",
)

OVER_TIME = Explanation(
    sentences=(
        "Each map has the steps across and the gradient's entries upwards; the color is the share of the entries "
        "there, and the ridge line shows the same as outlines, the oldest at the back.",
        "The strip below follows one number of every term through the run; with all layers it is that of all of "
        "them together, and 'ratio' is what Wang et al.'s rule aims the term's weight at.",
        "Healthy are bands that narrow slowly and together while the losses fall.",
        "Ill are a band that collapses to a line at zero beside a wide residual (starved), one that widens "
        "suddenly (the step is too large) and many exact zeros (dead units, or a term that reaches no weight).",
        "Look at 'weighted' to see what training uses; turn annealing on, or lower the learning rate where a band "
        "widens.",
    ),
    formulas=(
        r"\hat\lambda_i = \frac{\max_\theta |\nabla_\theta L_r|}{\overline{|\nabla_\theta \lambda_i L_i|}}",
        r"\mathrm{symlog}(g) = \mathrm{sign}(g) \log_{10} \left( 1 + \frac{|g|}{t} \right)",
    ),
    source="Wang, Teng & Perdikaris 2021, SIAM J. Sci. Comput. 43(5): Fig. 2 at every step; Algorithm 2.1",
)
