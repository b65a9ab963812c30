"""What an experiment does, in a few lines: for a person who chooses one."""

from __future__ import annotations

import html
from collections.abc import Iterator

from core.choices import RECOVERY
from studio.experiment import Experiment
from studio.specs import NetworkSpec
from ui.forms.text import write, write_changes
from ui.panels.rules import balancing_words

_SLOPES = {"global": "one slope for the network (GAAF)", "layer": "a slope for each layer (L-LAAF)",
           "neuron": "a slope for each neuron (N-LAAF)"}
_EQUATIONS = 4  # at most; a person who wants all of them opens the experiment


def summary(experiment: Experiment) -> list[tuple[str, str]]:
    """(word, text) of everything that sets the experiment apart; a text may have several lines."""
    return [(word, text) for word, text in _rows(experiment) if text]


def preview_html(experiment: Experiment) -> str:
    """Title, what to look at, source and summary as rich text."""
    rows = "".join(
        f"<tr><td style='padding: 2px 14px 2px 0'><i>{word}</i></td>"
        f"<td style='padding: 2px 0'>{html.escape(text).replace(chr(10), '<br>')}</td></tr>"
        for word, text in summary(experiment))
    parts = (f"<h3>{html.escape(experiment.title or experiment.name)}</h3>",
             f"<p>{html.escape(experiment.look)}</p>" if experiment.look else "",
             f"<table cellspacing='0' style='margin-top: 8px'>{rows}</table>",
             f"<p><small>Source: {html.escape(experiment.source)}</small></p>" if experiment.source else "")
    return "".join(parts)


def _rows(e: Experiment) -> Iterator[tuple[str, str]]:
    p = e.problem
    texts = [r.equation for r in p.residuals] + [o.equation for o in p.observations]
    more = f"\n... and {len(texts) - _EQUATIONS} more" if len(texts) > _EQUATIONS else ""
    yield "Equations", "\n".join(texts[:_EQUATIONS]) + more
    yield "Conditions", "\n".join(f"{c.equation}  ({c.on})" for c in p.conditions[:_EQUATIONS])
    yield "Averages", "\n".join(f"{name} = mean of {text}" for name, text in p.averages.items())
    yield "Built in", "\n".join(f"{name} = {text}" for name, text in p.hard.items())
    yield "Domain", _domain(e) + (f", periodic in {', '.join(p.periodic)}" if p.periodic else "")
    yield "To be found", ", ".join(name + (f" (is {write('real', p.truth[name])})" if name in p.truth else "")
                                   for name in p.unknowns)
    yield "Sub-domains", _cuts(e)
    yield "Network", _network(e.network, e.decomposition.hidden)
    weights = {term: e.balancing.weights.get(term, 1.0) for term in e.terms}
    yield "Loss terms", ", ".join(term if weight == 1 else f"{write('real', weight)} \u00d7 {term}"
                                  for term, weight in weights.items())
    yield "Balancing", balancing_words(e.balancing, e.balancing.rule)
    kept = "kept" if e.sampling.every == 0 else ("drawn anew at every step" if e.sampling.every == 1 else
                                                 f"drawn anew every {e.sampling.every:,} steps")
    yield "Points", f"{e.sampling.kind}, {kept}"
    yield "Optimizer", f"{e.optimizer.kind}, learning rate {write('real', e.optimizer.learning_rate)}"
    yield "Training", f"{e.training.steps:,} steps, {e.training.precision}"
    if e.phases:
        yield "Then", "\n".join(f"{phase.optimizer.kind}, at most {phase.steps:,} steps, {phase.precision}"
                                f"{phase.values}"
                                for phase in e.phases)
    yield "Compared with", "\n".join(f"{v.label}: {write_changes(v.set)}" for v in e.compare)


def _domain(e: Experiment) -> str:
    domain = list(e.problem.domain.items())
    if len(domain) > 3 and len({ends for _, ends in domain}) == 1:
        low, high = domain[0][1]
        text = f"{len(domain)} inputs in [{low:g}, {high:g}]"
    else:
        text = ", ".join(f"{name} in [{low:g}, {high:g}]" for name, (low, high) in domain)
    return f"{text}, the ball inside" if e.problem.shape == "ball" else text


def _cuts(e: Experiment) -> str:
    return ", ".join(f"cut at {name} = {write('reals', cuts)}" for name, cuts in e.decomposition.splits.items())


def _size(hidden: tuple[int, ...]) -> str:
    return f"{len(hidden)} \u00d7 {hidden[0]}" if len(set(hidden)) == 1 else write("wholes", hidden)


def _network(n: NetworkSpec, parts: tuple[tuple[int, ...], ...]) -> str:
    """`parts`: the hidden widths of each sub-domain's network, where they have their own."""
    size = " or ".join(dict.fromkeys(map(_size, parts or (n.hidden,))))
    if n.raf in ("learnable", "assigned"):
        activation = f"{n.raf} combination of {', '.join(n.raf_basis)}"
    else:
        activation = n.activation + (f" with {n.rowdy_terms} terms (rowdy)" if n.raf == "rowdy" else "")
    said = [n.kind, size, activation]
    if n.slopes != "none":
        said.append(_SLOPES[n.slopes] + (f", n = {write('real', n.slope_scale)}" if n.slope_scale != 1 else ""))
    if n.recovery != "none":
        said.append(f"slope {RECOVERY}")
    if n.harmonics > 1:
        said.append(f"{n.harmonics} harmonics")
    if n.fourier_features:
        said.append(f"{n.fourier_features} Fourier features")
    return ", ".join(said)
