"""Whether the network can learn: saturation, dead neurons, signals and gradients that vanish."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from studio.findings import Remedy, Severity
from studio.rules.balance import EARLY, wrong
from studio.rules.problem import SCALED
from studio.rules.rule import Sighting, rule
from studio.rules.seen import Seen

SATURATED = 0.7  # the last layer of a healthy Helmholtz M2 is flat at 58 to 64 %
DEAD = 0.5
VANISHED = 0.01
SMOOTH = Remedy(text="Change to tanh, which is smooth and cannot die", changes={"network.activation": "tanh"})


@rule("saturated-layer", panel="activations", source="Glorot & Bengio 2010; limit: ours",
      threshold=f"over {SATURATED:.0%} of a layer's (point, neuron) pairs lie where the activation is flat, at the "
                f"last "
                f"3 looks, while the solution is wrong")
def saturated_layer(seen: Seen) -> Iterator[Sighting]:
    looks = list(seen.activations)[-3:]
    if seen.experiment.network.activation in ("relu", "relu3", "sin", "siren"):
        return  # half of a ReLU is flat, and a sine is flat at its tops
    if len(looks) < 3 or seen.made < EARLY or not wrong(seen):
        return
    share = np.min([a.saturated for a in looks], axis=0)
    layers = [name for name, s in zip(looks[-1].layers, share, strict=True) if s > SATURATED]
    if not layers:
        return
    network = seen.experiment.network
    remedies = [Remedy(text="Let the weights shrink (weight decay of 1e-3), at ten times the learning rate",
                       changes={"optimizer.weight_decay": 1e-3,
                                "optimizer.learning_rate": min(0.01, 10 * seen.experiment.optimizer.learning_rate)})]
    if network.normalize == "none":
        remedies.insert(0, SCALED)
    yield Sighting(
        severity=Severity.SERIOUS if share.max() > 0.75 else Severity.WARNING,
        title=f"saturated: {', '.join(layers)}",
        text="Most of what arrives at these neurons lies where their activation is flat. A flat activation passes no "
             "gradient on, so the layer and all before it hardly learn. Smaller weights, or inputs of size 1, bring "
             "the neurons back to where they are steep.",
        evidence="; ".join(f"{name}: {s:.0%} flat" for name, s in zip(looks[-1].layers, share, strict=True)),
        remedies=tuple(remedies))


@rule("dead-layer", panel="activations", source="Maas, Hannun & Ng 2013; limit: ours",
      threshold=f"over {DEAD:.0%} of a layer's neurons have the same output at all points, at the last 3 looks")
def dead_layer(seen: Seen) -> Iterator[Sighting]:
    looks = list(seen.activations)[-3:]
    if len(looks) < 3:
        return
    share = np.min([a.dead for a in looks], axis=0)
    layers = [name for name, s in zip(looks[-1].layers, share, strict=True) if s > DEAD]
    if layers:
        rate = seen.experiment.optimizer.learning_rate
        smooth = SMOOTH if rate <= 1e-3 else Remedy(
            text="Change to tanh, which cannot die, with a learning rate of 1e-3",
            changes={**SMOOTH.changes, "optimizer.learning_rate": 1e-3})
        grave = Severity.SERIOUS if share.max() > 0.9 else Severity.WARNING
        yield Sighting(
            severity=grave if wrong(seen) else Severity.NOTE,  # what is left of the layer may well do
            title=f"dead neurons: {', '.join(layers)}",
            text="These neurons give the same output wherever one looks, so they carry nothing and get no gradient "
                 "that "
                 "could bring them back. A smooth activation has a slope everywhere and revives them.",
            evidence="; ".join(f"{name}: {s:.0%} dead" for name, s in zip(looks[-1].layers, share, strict=True)),
            remedies=(smooth, Remedy(text="Change to SiLU, a smooth ReLU", changes={"network.activation": "silu"})))


@rule("vanishing-signal", panel="activations", source="Glorot & Bengio 2010; limit: ours",
      threshold=f"the outputs of a layer vary by less than {VANISHED:.0%} of the first layer's, at the last 3 looks, "
                f"while the solution is wrong")
def vanishing_signal(seen: Seen) -> Iterator[Sighting]:
    looks = list(seen.activations)[-3:]
    if len(looks) < 3 or seen.made < EARLY or not wrong(seen):
        return
    ratios = np.max([a.spread / a.spread[0] if a.spread[0] > 0 else np.ones_like(a.spread) for a in looks], axis=0)
    layers = [name for name, r in zip(looks[-1].layers, ratios, strict=True) if r < VANISHED]
    if layers:
        yield Sighting(
            title=f"the signal dies out: {', '.join(layers)}",
            text="What the first layer makes of the inputs is lost on the way: the outputs of these layers are almost "
                 "constant. Slopes that are trained for each layer can amplify it again.",
            evidence="; ".join(f"{name}: {r:.2g} of the first layer" for name, r in
                               zip(looks[-1].layers, ratios, strict=True)),
            remedies=(Remedy(text="Give each layer a trained slope that recovery pushes up",
                             changes={"network.slopes": "layer", "network.slope_scale": 10.0,
                                      "network.recovery": "paper"}),))


@rule("lost-derivative", panel="gradients", source="ours",
      threshold="every entry of a term's gradient is exactly zero at the last 3 looks although its loss is not")
def lost_derivative(seen: Seen) -> Iterator[Sighting]:
    pulls = list(seen.pulls)[-3:]
    if len(pulls) < 3 or seen.now is None:
        return
    for term in seen.terms:
        if not all(term in p.terms and p.silent[p.terms.index(term)] for p in pulls):
            continue
        if not seen.now.losses[term] > 0:
            continue
        bent = seen.experiment.network.activation == "relu" and seen.experiment.network.raf == "none"
        yield Sighting(
            subject=term, severity=Severity.SERIOUS, title=f"'{term}' is not trained at all",
            text=f"No weight has any effect on '{term}'. " + (
                "A ReLU network is made of straight pieces: its second derivative is zero everywhere, so an equation "
                "that has one cannot be learned. A smooth activation has derivatives of every order." if bent else
                "Its derivatives do not depend on the weights; look at the activation and at what is built in."),
            evidence=f"gradient of '{term}': every entry 0; loss {seen.now.losses[term]:.2g}",
            remedies=(SMOOTH,) if bent else ())


@rule("not-trained", panel="liveness", source="ours",
      threshold="a parameter has no gradient, stands still, is out of range or is not finite, at the last 3 looks")
def not_trained(seen: Seen) -> Iterator[Sighting]:
    looks = list(seen.liveness)[-3:]
    if len(looks) < 3:
        return
    words = {"no gradient": "nothing depends on them", "still": "they stand still", "not finite": "they are not finite",
             "not trained": "they are not changed at all", "out of range": "they are out of range"}
    rate = seen.now.learning_rate if seen.now else 0.0
    small = rate < 0.01 * seen.experiment.optimizer.learning_rate  # then everything stands still, which is told apart
    found: dict[str, str] = {}
    for name in looks[-1].names:
        states = {frame.state[frame.names.index(name)] if name in frame.names else "moves" for frame in looks}
        if len(states) != 1 or (state := states.pop()) == "moves" or (state == "still" and small):
            continue
        if not (name.startswith("weight of") and state == "still"):  # a rule at rest
            found[name] = state
    if not found:
        return
    names = ", ".join(list(found)[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
    slopes = [name for name in found if "slope" in name]
    yield Sighting(
        severity=Severity.SERIOUS if "not finite" in found.values() else Severity.WARNING,
        title=f"not learning: {names}",
        text="These should be trained, but " + "; ".join(
            f"{words.get(state, state)} ({sum(s == state for s in found.values())})" for state in
            sorted(set(found.values()))) + "." + (
            " A slope moves faster with a larger scale n, and recovery gives it a gradient of its own."
            if slopes else ""),
        evidence="; ".join(f"{name}: {state}" for name, state in list(found.items())[:6])
                 + f"; at steps {', '.join(str(f.step) for f in looks)}",
        remedies=(Remedy(text="Scale the slopes by 10 and let recovery push them",
                         changes={"network.slope_scale": 10.0, "network.recovery": "paper"}),) if slopes else ())
