"""How the training goes: too fast, too slow, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from studio.findings import Remedy, Severity
from studio.rules.balance import good, wrong
from studio.rules.remedies import then_second_order
from studio.rules.rule import Sighting, rule
from studio.rules.seen import Seen, gain, jump, level

JUMPS = 0.25  # decades from record to record
STIFF_JUMPS = 0.25
RISEN = 100.0
FROZEN = 0.01
ADAM = "Cohen et al. 2022 (arXiv 2207.14484): Adam follows curvatures of D^(-1/2) H D^(-1/2) below (2 + 2 beta1) / " \
       "((1 - beta1) learning rate)"


def slower(seen: Seen, factor: float) -> dict[str, object]:
    """The settings that multiply the present learning rate by `factor`; the decay goes on."""
    return {"optimizer.learning_rate": float(f"{seen.experiment.optimizer.learning_rate * factor:.2g}")}


@rule("not-finite", panel="losses", source="ours", certain=True, threshold="a loss became NaN or infinite")
def not_finite(seen: Seen) -> Iterator[Sighting]:
    found = [e for e in seen.events if e.kind == "nan"]
    if found:
        event = found[-1]
        yield Sighting(
            severity=Severity.SERIOUS, title="a loss is no longer a number",
            text="A step was so large that the numbers overflowed. The state before it is kept: with a tenth of the "
                 "learning rate, and with gradients cut to a norm of 1, training can go on from there.",
            evidence=event.text,
            remedies=(Remedy(text="Go on with a tenth of the learning rate, and gradients cut to norm 1",
                             changes={**slower(seen, 0.1), "optimizer.clip": 1.0}),))


@rule("diverging", panel="losses", source="ours",
      threshold=f"the weighted loss has risen to over {RISEN:g} times its lowest level, and above where it began")
def diverging(seen: Seen) -> Iterator[Sighting]:
    whole = seen.whole()
    if len(whole) < 20:
        return
    late = level(whole[-8:])
    blocks = whole[: len(whole) // 8 * 8].reshape(-1, 8)
    best = float(np.nanmin(np.median(blocks, axis=1)))
    if late > RISEN * best and late > whole[0]:
        yield Sighting(
            severity=Severity.SERIOUS, title="the loss grows",
            text="Steps overshoot: the loss is far above what it was before, and every step makes it worse. A smaller "
                 "learning rate turns this round.",
            evidence=f"weighted loss {late:.2g}, its lowest level so far was {best:.2g}",
            remedies=(Remedy(text="Go on with a tenth of the learning rate", changes=slower(seen, 0.1)),))


@rule("learning-rate-too-high", panel="losses", source="ours",
      threshold=f"the weighted loss jumps by more than {JUMPS:g} decades from one record to the next (median of the "
                f"last third) and falls less than that over the last third")
def learning_rate_too_high(seen: Seen) -> Iterator[Sighting]:
    late = seen.recent(seen.whole(), 1 / 3)
    jumps, fallen = jump(late), gain(late)
    if seen.made >= 200 and len(late) >= 16 and jumps > JUMPS and fallen < 10**jumps:
        yield Sighting(
            severity=Severity.NOTE if good(seen) else Severity.WARNING, title="the learning rate is too high",
            text="The loss jumps up and down instead of falling: steps are longer than the valley is wide. A smaller "
                 "learning rate settles into it.",
            evidence=f"median jump {jumps:.2f} decades; over the last third the loss changed by a factor of "
                     f"{1 / fallen:.2g}; learning rate {seen.scalars[-1].learning_rate:.2g}",
            remedies=(Remedy(text="Go on with a tenth of the learning rate", changes=slower(seen, 0.1)),))


@rule("stiff", panel="stiffness", pace=True,
      source=f"Wang, Teng & Perdikaris 2021, section 2.3 (gradient descent: 2 / sigma_max); {ADAM}",
      threshold=f"largest curvature above the stable limit (with Adam, which settles at it: above half) at the last "
                f"3 looks, and jumps of the loss of over {STIFF_JUMPS:g} decades while it does not fall")
def stiff(seen: Seen) -> Iterator[Sighting]:
    looks = list(seen.stiffness)[-3:]
    if len(looks) < 3:
        return
    o, ratios, edge = seen.experiment.optimizer, [], 1.0
    for frame in looks:
        adam = "preconditioned" in frame.rows
        limit = (2 * (1 + o.beta1) / (1 - o.beta1) if adam else 2.0) / frame.learning_rate
        ratios.append(float(frame.largest[frame.rows.index("preconditioned" if adam else "total")]) / limit)
        edge = 0.5 if adam else 1.0
    late = seen.recent(seen.whole(), 0.2)
    jumps = jump(late)
    if min(ratios) > edge and jumps > STIFF_JUMPS and gain(late) < 10**jumps:
        factor = min(0.1, 0.1 / level(ratios))
        yield Sighting(
            severity=Severity.NOTE if good(seen) else Severity.WARNING,
            title="the problem is too stiff for this learning rate",
            text="The loss is curved so sharply in some directions that steps of this length jump across the valley "
                 "and back. They bind the learning rate for all the others. A smaller one follows the curvature, and a "
                 "second-order method divides by it.",
            evidence=f"largest curvature / stable limit: {level(ratios):.2g}; median jump of the loss {jumps:.2f} "
                     f"decades; learning rate {looks[-1].learning_rate:.2g}",
            remedies=(Remedy(text=f"Go on with {factor:.2g} times the learning rate", changes=slower(seen, factor)),
                      *then_second_order(seen)))


@rule("learning-rate-gone", panel="losses", source="ours",
      threshold=f"the learning rate has decayed below {FROZEN:.0%} of its start, over a fifth of the steps is left, "
                f"nothing falls, and the solution is not yet good")
def learning_rate_gone(seen: Seen) -> Iterator[Sighting]:
    now, o = seen.now, seen.experiment.optimizer
    left = 1 - seen.step / seen.total
    if now is None or left < 0.2 or not now.learning_rate < FROZEN * o.learning_rate:
        return
    fallen = gain(seen.recent(seen.whole(), 0.2))
    good = seen.error < 0.02 if math.isfinite(seen.error) else not wrong(seen)
    if fallen < 1.1 and not good:
        yield Sighting(
            title="the learning rate has decayed to nothing",
            text="The decay has made the steps so small that nothing moves any more, with much of the run still to "
                 "come. Kept constant at a third of its start, it goes on learning.",
            evidence=f"learning rate {now.learning_rate:.2g} of {o.learning_rate:.2g}; {left:.0%} of the steps are left"
                     + (f"; relative L2 error {seen.error:.2g}" if math.isfinite(seen.error) else ""),
            remedies=(Remedy(text="Keep the learning rate at a third of its start",
                             changes={"optimizer.decay": "continuous", "optimizer.decay_rate": 1.0,
                                      **slower(seen, 1 / 3)}),))


@rule("plateau", panel="error", source="ours", pace=True,
      threshold="over the last third of at least 1,000 steps, past the middle of the run, neither the weighted loss "
                "nor "
                "the error has fallen by a tenth")
def plateau(seen: Seen) -> Iterator[Sighting]:
    if seen.made < 1000 or seen.step < 0.5 * seen.total:
        return
    fallen = gain(seen.recent(seen.whole(), 1 / 3))
    errors = np.array([e for step, e in seen.errors if step > seen.step - seen.made / 3])
    better = gain(errors) if len(errors) >= 8 else math.nan
    if fallen < 1.1 and not better > 1.1:
        poor = math.isfinite(seen.error) and seen.error > 0.2
        yield Sighting(
            severity=Severity.WARNING if poor else Severity.NOTE, title="nothing improves any more",
            text="Neither the losses nor the error have fallen over the last third of the run. " + (
                "As it is, more steps will not make the solution right: change something, or stop."
                if poor else "The time may be better spent elsewhere."),
            evidence=f"weighted loss: factor {1 / fallen:.2g} over the last third"
                     + (f"; relative L2 error {seen.error:.2g}" if math.isfinite(seen.error) else ""),
            remedies=(Remedy(text="Let each layer's activation adapt its slope",
                             changes={"network.slopes": "layer", "network.slope_scale": 10.0}),))
