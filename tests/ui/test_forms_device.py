"""'What is faster here?': measured off the GUI thread, told in words, and taken with one click."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.device_advice import Advice, Measured
from studio.experiment import Experiment
from ui.forms.device import ASK, CHANGED, STOP, STOPPED, WAIT, DeviceAdvice
from ui.forms.form import ExperimentForm
from ui.forms.measure import Measurement
from ui.theme import LIGHT

FOUND = Advice(devices=(("cpu", "2 cores"), ("cuda", "this build of torch is for the CPU only")),
               measured=(Measured("cpu", 1, 100.0), Measured("cpu", 2, 150.0)), device="cpu", threads=2,
               sentence="With 2 threads of the CPU the steps are 1.5 times as fast as with 1.")


class Fake:
    """A measurement that waits until it is told what it finds."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.result: Any = FOUND
        self.go = threading.Event()
        self.thread = ""
        self.stopped = False

    def run(self) -> Advice:
        self.thread = threading.current_thread().name
        assert self.go.wait(5)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result  # type: ignore[no-any-return]

    def stop(self) -> None:
        self.stopped = True
        self.result = RuntimeError("the measurement ended before it had a result")
        self.go.set()


@pytest.fixture
def form(qtbot: QtBot) -> ExperimentForm:
    made = ExperimentForm()
    qtbot.addWidget(made)
    made.show_experiment(gallery.load("quick"))
    made.restyle(LIGHT)
    return made


def fakes(advice: DeviceAdvice) -> list[Fake]:
    made: list[Fake] = []

    def make(experiment: Experiment) -> Any:
        made.append(Fake(experiment))
        return made[-1]

    advice._make = make
    return made


def test_the_question_stands_under_the_field_of_the_device(form: ExperimentForm) -> None:
    section = next(section for row, section in form._sections if row.title == "Training")
    place = section.inner.indexOf(form.device_advice)
    assert place == section.inner.indexOf(form.field("training.device")) + 1
    assert form.device_advice.ask_button.text() == ASK


def test_what_was_measured_is_told_and_taken(form: ExperimentForm, qtbot: QtBot) -> None:
    advice = form.device_advice
    made = fakes(advice)
    advice.ask_button.click()
    assert advice.words.text() == WAIT and advice.ask_button.text() == STOP and advice.busy
    advice.ask()
    assert len(made) == 1 and made[0].experiment == form.experiment
    made[0].go.set()
    qtbot.waitUntil(lambda: not advice.busy)
    assert made[0].thread == "device", "not the GUI thread"
    assert advice.words.text() == FOUND.sentence and advice.ask_button.text() == ASK
    assert advice.take_button.text() == "Take cpu, 2 threads" and not advice.take_button.isHidden()
    advice.take_button.click()
    assert form.experiment is not None
    assert (form.experiment.training.device, form.experiment.training.threads) == ("cpu", 2)
    assert advice.take_button.isHidden() and advice.words.text() == FOUND.sentence


def test_what_is_in_the_form_already_need_not_be_taken(form: ExperimentForm, qtbot: QtBot) -> None:
    form.field("training.threads").set_raw("2")
    form.check()
    made = fakes(form.device_advice)
    form.device_advice.ask()
    made[0].go.set()
    qtbot.waitUntil(lambda: not form.device_advice.busy)
    assert form.device_advice.take_button.isHidden() and form.device_advice.words.text() == FOUND.sentence


def test_a_form_that_is_wrong_and_a_measurement_that_fails_say_so(form: ExperimentForm, qtbot: QtBot) -> None:
    advice = form.device_advice
    made = fakes(advice)
    form.field("training.steps").set_raw("many")
    form.check()
    advice.ask()
    assert made == [] and "Mend what is wrong" in advice.words.text()
    form.field("training.steps").set_raw("10")
    form.check()
    advice.ask()
    made[0].result = RuntimeError("it could not be measured: no memory")
    made[0].go.set()
    qtbot.waitUntil(lambda: not advice.busy)
    assert advice.words.text() == "It could not be measured: no memory." and advice.take_button.isHidden()


def test_another_experiment_ends_the_measurement_without_a_word(form: ExperimentForm, qtbot: QtBot) -> None:
    advice = form.device_advice
    made = fakes(advice)
    advice.ask()
    form.show_experiment(gallery.load("helmholtz-m2"))
    assert made[0].stopped
    qtbot.waitUntil(lambda: not advice.busy)
    assert advice.words.isHidden() and advice.ask_button.isEnabled()


def test_a_measurement_can_be_stopped(form: ExperimentForm, qtbot: QtBot) -> None:
    advice = form.device_advice
    made = fakes(advice)
    advice.ask_button.click()
    advice.ask_button.click()
    assert made[0].stopped and len(made) == 1
    qtbot.waitUntil(lambda: not advice.busy)
    assert advice.words.text() == STOPPED and advice.ask_button.text() == ASK and advice.ask_button.isEnabled()
    advice.ask_button.click()
    assert len(made) == 2 and advice.words.text() == WAIT
    made[1].go.set()
    qtbot.waitUntil(lambda: not advice.busy)


@pytest.mark.parametrize("asked_only", [False, True])
def test_an_answer_about_another_network_goes(form: ExperimentForm, qtbot: QtBot, asked_only: bool) -> None:
    advice = form.device_advice
    made = fakes(advice)
    advice.ask()
    if not asked_only:
        made[0].go.set()
        qtbot.waitUntil(lambda: not advice.busy)
    for path, text in (("name", "other"), ("training.steps", "12"), ("training.threads", "2"), ("network.hidden", "?")):
        form.field(path).set_raw(text)
        form.check()
        assert advice.words.text() == (WAIT if asked_only else FOUND.sentence), f"{path} does not matter, or not yet"
    form.field("network.hidden").set_raw("400, 400")
    form.check()
    assert advice.words.text() == CHANGED and advice.take_button.isHidden() and made[0].stopped is asked_only
    qtbot.waitUntil(lambda: not advice.busy)
    assert advice.words.text() == CHANGED and advice.ask_button.text() == ASK


def test_closing_ends_the_measurement(form: ExperimentForm) -> None:
    made = fakes(form.device_advice)
    form.device_advice.ask()
    form.stop()
    assert made[0].stopped and not form.device_advice.busy


def test_a_real_measurement_is_made_in_a_process_of_its_own() -> None:
    """And what is wrong in there is told as a sentence."""
    small = gallery.load("quick").with_changes({"network.hidden": (4,), "training.threads": 1})
    found = Measurement(small).run()
    assert found.device in ("cpu", "cuda") and found.sentence and found.measured
    wrong = small.model_copy(update={"problem": small.problem.model_copy(update={"exact": {}})})
    with pytest.raises(RuntimeError, match="it could not be measured: .*unknown name 'u_exact'"):
        Measurement(wrong).run()


def test_a_measurement_that_is_stopped_has_no_result() -> None:
    measurement = Measurement(gallery.load("quick"))
    measurement.stop()
    with pytest.raises(RuntimeError, match="ended before it had a result"):
        measurement.run()
