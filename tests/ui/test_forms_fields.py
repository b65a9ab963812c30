"""Every kind of field reads back what it writes; what does not matter is hidden, but never what somebody has set."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytestqt.qtbot import QtBot

from studio import gallery
from studio.experiment import Experiment
from ui.forms.compare import presets
from ui.forms.editors import YesNoEditor
from ui.forms.form import ExperimentForm
from ui.forms.relevance import RULES, matters
from ui.forms.schema import MORE, FieldRow, sections
from ui.forms.text import kinds, read, write

NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_]{0,5}\Z")
REALS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = {
    "reals": st.lists(REALS, max_size=5),
    "wholes": st.lists(st.integers(-9, 9999), max_size=5),
    "yes or no": st.booleans(),
    "wholes by line": st.lists(st.lists(st.integers(1, 4096), min_size=1, max_size=5), max_size=4),
    "lists by name": st.dictionaries(NAMES, st.lists(REALS, max_size=4), max_size=3),
    "reals by term": st.dictionaries(st.sampled_from(["boundary", "interface flux", "a-b"]), REALS),
}


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_every_kind_reads_back(kind: str) -> None:
    @given(VALUES[kind])
    def reads_back(value: object) -> None:
        assert read(kind, write(kind, value)) == value

    reads_back()
    assert kind in kinds()


def test_lists_by_name_may_be_written_in_two_ways() -> None:
    assert read("lists by name", "x = 0.2, 0.6") == read("lists by name", "x: 0.2 0.6") == {"x": [0.2, 0.6]}
    assert read("wholes", "") == [] and read("wholes by line", "20, 20\n\n30") == [[20, 20], [30]]


@pytest.fixture
def form(qtbot: QtBot) -> ExperimentForm:
    made = ExperimentForm()
    qtbot.addWidget(made)
    made.show_experiment(gallery.load("quick"))
    return made


def type_in(form: ExperimentForm, **texts: str) -> None:
    for path, text in texts.items():
        form.field(path.replace("__", ".")).set_raw(text)
    form.check()


def shown(form: ExperimentForm, path: str) -> bool:
    return not form.field(path).isHidden()


# -- what matters ----------------------------------------------------------------------------------------------


def test_every_rule_is_about_fields_that_there_are(form: ExperimentForm) -> None:
    """What a rule looks at is found by giving it a form where every field looks different."""
    paths = {path for row in sections() for path in row.paths()}
    assert set(RULES) <= paths
    for path, rule in RULES.items():
        asked: set[str] = set()

        class Typed(dict[str, tuple[str, ...]]):
            def get(self, key: str, default: object = None, seen: set[str] = asked) -> tuple[str, ...]:  # type: ignore[override]
                seen.add(key)
                return ("other",)

        rule(Typed())
        assert asked and asked <= paths, path
        assert path not in asked, "a field that hides itself could not be brought back"


@pytest.mark.parametrize(("choice", "text", "field", "otherwise"), [
    ("network.slopes", "layer", "network.slope_scale", "none"),
    ("network.slopes", "global", "network.slope_on_output", "none"),
    ("network.slopes", "neuron", "network.recovery", "none"),
    ("network.raf", "learnable", "network.raf_basis", "rowdy"),
    ("network.raf", "learnable", "network.raf_start", "none"),
    ("network.raf", "assigned", "network.raf_blocks", "learnable"),
    ("network.raf", "assigned", "network.raf_width", "rowdy"),
    ("network.raf", "rowdy", "network.rowdy_terms", "learnable"),
    ("network.raf", "rowdy", "network.slope_scale", "learnable"),
    ("network.raf", "rowdy", "network.activation", "assigned"),
    ("network.initial", "normal", "network.initial_scale", "siren"),
    ("network.fourier_features", "64", "network.fourier_sigma", "0"),
    ("problem.periodic", "y", "network.harmonics", ""),
    ("sampling.kind", "rad", "sampling.candidates", "sobol"), ("sampling.kind", "rar-d", "sampling.exponent", "grid"),
    ("sampling.kind", "rad", "sampling.offset", "r3"),
    ("balancing.rule", "relobralo", "balancing.temperature", "ntk"),
    ("balancing.rule", "relobralo", "balancing.memory", "fixed"),
    ("balancing.rule", "ntk", "balancing.floor", "relobralo"),
    ("balancing.points", "self-adaptive", "balancing.points_rate", "causal"),
    ("balancing.points", "residual-attention", "balancing.points_decay", "self-adaptive"),
    ("balancing.points", "causal", "balancing.chunks", "equal"),
    ("balancing.points", "causal", "balancing.epsilon", "equal"),
    ("optimizer.kind", "adam", "optimizer.beta1", "gd"), ("optimizer.kind", "adam", "optimizer.beta2", "gd"),
    ("optimizer.kind", "adam", "optimizer.epsilon", "gd"),
    ("optimizer.decay", "staircase", "optimizer.decay_rate", "cosine"),
    ("optimizer.decay", "continuous", "optimizer.decay_steps", "cosine"),
    ("decomposition.splits", "x = 0", "decomposition.flux", ""),
    ("decomposition.splits", "x = 0", "decomposition.hidden", ""),
    ("decomposition.splits", "x = 0", "decomposition.points", ""),
    ("decomposition.splits", "x = 0", "decomposition.interface_points", ""),
    ("problem.unknowns", "nu = 1", "problem.truth", ""), ("problem.averages", "e = u**2", "problem.readings", ""),
])
def test_a_field_is_there_where_it_matters(form: ExperimentForm, choice: str, text: str, field: str,
                                           otherwise: str) -> None:
    form.compare.choice.set_raw("nothing")
    type_in(form, **{choice: otherwise})
    assert not shown(form, field)
    type_in(form, **{choice: text})
    assert shown(form, field)


def test_what_is_set_or_wrong_is_never_hidden(form: ExperimentForm) -> None:
    type_in(form, network__slopes="layer", network__slope_scale="10")
    type_in(form, network__slopes="none")
    assert shown(form, "network.slope_scale"), "it differs from its default"
    type_in(form, network__slope_scale="1")
    assert not shown(form, "network.slope_scale")
    type_in(form, optimizer__beta1="x", optimizer__kind="gd")
    assert shown(form, "optimizer.beta1") and form.field("optimizer.beta1").problem


def test_what_only_the_variant_needs_is_shown(form: ExperimentForm) -> None:
    assert form.compare.choice.raw() == "M2: annealing" and shown(form, "balancing.floor")
    form.compare.changes.set_raw('balancing.rule = "relobralo"')
    form.check()
    assert shown(form, "balancing.temperature") and not shown(form, "balancing.floor")
    form.compare.changes.set_raw("network.slopes = 3")
    form.check()
    assert form.experiment is None, "a variant of nonsense breaks nothing"


def test_local_unknowns_need_cuts_and_unknowns() -> None:
    typed = {"decomposition.splits": ("x = 0",), "problem.unknowns": ("",), "decomposition.local": ("",)}
    assert not matters("decomposition.local", typed)
    typed["problem.unknowns"] = ("nu = 1",)
    assert matters("decomposition.local", typed) and not matters("decomposition.starts", typed)
    assert matters("decomposition.starts", {**typed, "decomposition.local": ("nu",)})
    assert not matters("network.raf_width", {"network.raf": ("learnable",), "network.raf_basis": ("x, sin",)})
    assert matters("no.rule", {})


def test_sections_open_where_an_experiment_sets_something(form: ExperimentForm) -> None:
    opened = {row.title: section.opened for row, section in form._sections}
    assert opened["Problem"] and opened["Network"] and opened["Training"] and not opened["Sampling"]
    assert not opened[MORE[0]] and not opened["Sub-domains"]
    changed = gallery.load("quick").with_changes({"sampling.kind": "sobol", "problem.quantities": {"v": "2*u"}})
    form.show_experiment(changed)
    opened = {row.title: section.opened for row, section in form._sections}
    assert opened["Sampling"] and opened[MORE[0]] and not opened["Optimizer"]


# -- kinds in the form -----------------------------------------------------------------------------------------


def test_a_yes_or_no_is_a_check_box(form: ExperimentForm) -> None:
    editor = form.field("problem.homogeneous").editor
    assert isinstance(editor, YesNoEditor) and not editor.isChecked()
    editor.click()
    form.check()
    assert form.experiment is not None and form.experiment.problem.homogeneous
    assert form.field("problem.homogeneous").is_changed()


@pytest.mark.parametrize(("path", "text", "says"), [
    ("network.raf_basis", "x, x3", "There is no 'x3'; possible are x, x2"),
    ("network.raf_basis", "", "at least 1 is needed"),
    ("decomposition.splits", "x = 0.2, a", "line 1: 'a' is no number"),
    ("decomposition.splits", "x = 0.2", "flux"),
    ("decomposition.hidden", "20\n20, x", "line 2: 'x' is no whole number"),
    ("decomposition.starts", "0.5, y", "'y' is no number"),
    ("problem.unknowns", "nu", "has no '='"),
    ("problem.hard", "u = x*(1 - y*u", "(1 - y*u"),
    ("problem.quantities", "speed = sqrt(v)", "v"),
])
def test_a_wrong_value_of_every_kind_gets_its_sentence(form: ExperimentForm, path: str, text: str, says: str) -> None:
    form.compare.choice.set_raw("nothing")
    field = form.field(path)
    field.set_raw(text)
    form.check()
    assert form.experiment is None and shown(form, path)
    if path == "decomposition.splits" and says == "flux":
        assert "flux" in form.field("decomposition.flux").problem and shown(form, "decomposition.flux")
    else:
        assert says.lower() in (field.problem + field.pointer.text()).lower()
    assert field.raw() == text


def test_a_wrong_entry_of_a_list_is_counted_from_one(form: ExperimentForm) -> None:
    form.field("problem.periodic").set_raw("y, z")
    form.check()
    assert form.field("problem.periodic").problem.startswith("Entry 2: 'z' is to be periodic")


def test_an_observation_is_a_row_whose_rare_columns_wait(form: ExperimentForm) -> None:
    table = form.table("problem.observations")
    table.add_button.click()
    card = table.cards[0]
    assert card.raw()["name"] == "observation 1" and card.raw()["term"] == "data"
    form.check()
    assert "no file" in form.field("problem.observations.0.file").problem
    form.field("problem.observations.0.file").set_raw("points.npz")
    form.check()
    assert form.field("problem.observations.0.equation").problem
    noise = form.field("problem.observations.0.noise")
    assert noise.isHidden()
    card.more.click()
    assert not noise.isHidden()
    noise.set_raw("0.1")
    card.more.click()
    assert not noise.isHidden() and form.field("problem.observations.0.seed").isHidden()
    form.field("problem.observations.0.equation").set_raw("u = u_data")
    form.check()
    assert form.experiment is not None
    (observation,) = form.experiment.problem.observations
    assert observation.noise == 0.1 and observation.equation == "u = u_data"


def test_an_experiment_with_everything_comes_out_as_it_went_in(form: ExperimentForm) -> None:
    base = gallery.load("quick").model_dump(mode="python")
    base["problem"] |= {
        "unknowns": {"k2": 0.5}, "truth": {"k2": 1.0}, "quantities": {"flow": "u_x"},
        "observations": ({"name": "points", "equation": "u = u_data", "file": "a.npz", "columns": ("w",), "noise": 0.1,
                          "points": 50, "seed": 3, "measure": "mean"},),
    }
    base["problem"]["residuals"][0]["equation"] = "u_xx + u_yy + k2*u - q"
    base["decomposition"] |= {"splits": {"x": (0.0,), "y": (-0.5, 0.5)}, "flux": {"x": "u_x", "y": "u_y"},
                              "hidden": ((20, 20), (10,)) * 3, "points": (1, 2, 3, 4, 5, 6), "local": ("k2",),
                              "starts": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)}
    base["network"] |= {"raf": "learnable", "raf_basis": ("x", "relu3"), "initial": "normal", "fourier_features": 8,
                        "harmonics": 3}
    base["balancing"]["weights"] = {"interface flux": 20.0, "data": 10.0}
    base["compare"] = ()
    wanted = Experiment.from_data(base)
    form.show_experiment(wanted)
    assert form.problems == [] and form.experiment == wanted and not form.is_changed()


def test_a_type_that_the_form_cannot_ask_for_is_told_at_once() -> None:
    row = FieldRow(name="a", kind="choices", description="", choices=("x", "y"))
    assert row.read("y, x") == ["y", "x"]
    with pytest.raises(ValueError, match="there is no 'z'; possible are x, y"):
        row.read("z")


def test_the_variants_that_are_offered_fit_the_network() -> None:
    slopes = {"network": {"slopes": "layer", "recovery": "paper"},
              "balancing": {"weights": {"recovery": 2.0, "data": 1.0}}}
    assert presets(slopes)["fixed activation"][1] == {"network.slopes": "none", "network.recovery": "none",
                                                      "balancing.weights": {"data": 1.0}}
    assert presets({"network": {"raf": "rowdy"}})["plain activation"][1] == {"network.raf": "none"}
    assert presets({})["L-LAAF: a slope in each layer"][1] == {"network.slopes": "layer"}
    assert not any("gated" in name for name in presets({"network": {"hidden": (20, 30)}}))
