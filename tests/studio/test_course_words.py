"""What is told at the beginning of a phase."""

from __future__ import annotations

from studio import gallery
from studio.course import Course
from studio.experiment import Experiment
from studio.phases import Place
from tests.studio.test_course import phase


def test_in_a_phase_with_another_constant_it_is_told_what_the_errors_are_held_against() -> None:
    said: list[str] = []
    course = Course(gallery.load("accurate-cavity-re1000").lanes()[0], lambda kind, text, value="": said.append(text))
    for number in range(4):
        course.place = Place(number)
        course.announce(course.begin(again=True))
    against = ", Re = {} (errors are distances from the reference, Re = 1000)"
    assert [against.format(100) in said[1], against.format(400) in said[2]] == [True, True]
    assert "reference" not in said[0] + said[3]


def test_what_a_phase_does_without_is_told() -> None:
    """soap and the second-order methods work on the loss as a whole; adam keeps what there was."""
    said: list[str] = []
    causal = gallery.load("method-causal").lanes()[-1]
    config = gallery.load("method-config").lanes()[-1]
    for experiment in (causal, config):
        for kind in ("soap", "adam"):
            course = Course(Experiment.from_data({**experiment.model_dump(mode="json"), "phases": [phase(kind, 5)]}),
                            lambda kind, text, value="": said.append(text), Place(1))
            course.announce(course.begin(again=True))
    assert "all of the same weight in the place of causal" in said[0]
    assert "of the plain sum of the terms in the place of config" in said[2]
    assert "in the place of" not in said[1] + said[3]
