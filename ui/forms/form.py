"""The experiment as a form: built from the schema, checked while a person types, and nothing typed is ever lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from core.problem import ProblemError
from studio.experiment import Experiment, ExperimentError
from studio.specs import DecompositionSpec, ProblemSpec
from ui.forms.compare import Compare
from ui.forms.device import DeviceAdvice
from ui.forms.field import Field, MessageLabel, sentence
from ui.forms.looks import form_sheet
from ui.forms.paths import at, expression_error, head, inside, put
from ui.forms.phases import Phases
from ui.forms.records import Records
from ui.forms.relevance import matters
from ui.forms.schema import MORE, PHASES, SectionRow, sections
from ui.forms.section import Section
from ui.forms.text import write
from ui.theme import LIGHT, Theme

CHECK_AFTER = 150  # ms without a key before the whole experiment is checked
OPENED = frozenset({"Problem", "Network", "Balancing", "Training", "Phases"})
#: Opened where an experiment sets something in them.
OPENED_WHERE_SET = frozenset({MORE[0], "Sub-domains", "Sampling", "Optimizer"})

DEVICE = "training.device"  # under its field stands the question what is faster

Draft = dict[str, Any]


class ExperimentForm(QScrollArea):
    """The fields of one experiment. `checked` comes after every change, when `experiment` and `problems` are new."""

    checked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.experiment: Experiment | None = None  # None while something is wrong
        self.problems: list[tuple[str, str]] = []  # (dotted path, sentence)
        self._base: dict[str, Any] = {}
        self._theme = LIGHT
        self._filling = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(CHECK_AFTER)
        self._timer.timeout.connect(self.check)
        self._wanted: QWidget | None = None
        self._scroll = QTimer(self)  # scrolls when section and message have found their places
        self._scroll.setSingleShot(True)
        self._scroll.setInterval(50)
        self._scroll.timeout.connect(self._scroll_to_wanted)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Experiment")
        inside = QWidget(self)
        inside.setObjectName("formBody")
        self._layout = QVBoxLayout(inside)
        self._layout.setContentsMargins(8, 6, 6, 8)
        self._layout.setSpacing(4)
        self.compare = Compare(inside)
        self.compare.edited.connect(self._edited)
        self.message = MessageLabel(inside)
        self._layout.addWidget(self.compare)
        self._layout.addWidget(self.message)
        self.device_advice = DeviceAdvice(lambda: self.experiment, inside)
        self.device_advice.taken.connect(self._take_device)
        self._sections: list[tuple[SectionRow, Section]] = []
        self._plain: dict[str, Field] = {}
        self._tables: dict[str, Records] = {}
        for row in sections():
            self._add_section(row, inside)
        self._layout.addStretch(1)
        self.setWidget(inside)

    def _add_section(self, row: SectionRow, parent: QWidget) -> None:
        section = Section(row.title, opened=row.title in OPENED, parent=parent)
        self._sections.append((row, section))
        for item, path in zip(row.fields, row.paths(), strict=True):
            if item.kind == "records":
                table = (Phases if path == PHASES else Records)(item, path, section.body)
                table.edited.connect(self._edited)
                self._tables[path] = table
                section.inner.addWidget(table)
            else:
                field = Field(item, partial(str, path), parent=section.body)
                field.edited.connect(self._edited)
                self._plain[path] = field
                section.inner.addWidget(field)
                if path == DEVICE:
                    self.device_advice.setParent(section.body)
                    section.inner.addWidget(self.device_advice)
        self._layout.addWidget(section)

    # -- fields ------------------------------------------------------------------------------------------------

    def fields(self) -> Iterator[Field]:
        """Every field, those of tables included, from top to bottom."""
        for row, _ in self._sections:
            for path in row.paths():
                if path in self._tables:
                    yield from self._tables[path].fields()
                else:
                    yield self._plain[path]

    def field(self, path: str) -> Field:
        """The field with this dotted path. Raises KeyError."""
        for field in self.fields():
            if field.path == path:
                return field
        raise KeyError(path)

    def table(self, path: str) -> Records:
        return self._tables[path]

    @property
    def phases(self) -> Phases:
        table = self._tables[PHASES]
        assert isinstance(table, Phases)
        return table

    def is_changed(self) -> bool:
        """Whether anything differs from the experiment as it was opened."""
        return (self.compare.is_changed() or any(field.is_changed() for field in self._plain.values())
                or any(table.is_changed() for table in self._tables.values()))

    # -- in ----------------------------------------------------------------------------------------------------

    def show_experiment(self, experiment: Experiment, draft: Draft | None = None) -> None:
        """Put an experiment into the form; with `draft`, what had been typed over it before."""
        data = experiment.model_dump(mode="python")
        self._filling = True
        self._base = data
        for path, field in self._plain.items():
            field.set_base(at(data, path), show=True)
        for path, table in self._tables.items():
            table.set_base(at(data, path), show=True)
        self.device_advice.forget()
        self.compare.offer(data)
        self.compare.set_base(data["compare"], show=True)
        if draft is not None:
            self._restore(draft)
        self._filling = False
        for row, section in self._sections:
            if row.title in OPENED_WHERE_SET:
                section.open(any(self._is_set(path) for path in row.paths()))
        self.check()
        self.verticalScrollBar().setValue(0)

    def change(self, changes: Mapping[str, Any]) -> None:
        """Type other settings over what there is, by dotted path. Raises ExperimentError where they make no sense."""
        if self.experiment is None:
            raise ExperimentError([("", "the form has a mistake; mend that first")])
        data = self.experiment.with_changes(changes).model_dump(mode="python")
        self._filling = True
        for path, field in self._plain.items():
            if any(changed == path or changed.startswith(f"{path}.") for changed in changes):
                base = field.base_value()
                field.set_base(at(data, path), show=True)
                field.set_base(base, show=False)
        for path, table in self._tables.items():
            if path in changes:
                rows = table.base()
                table.set_base(at(data, path), show=True)
                table.set_base(rows, show=False)
        self._filling = False
        self.check()

    def set_base(self, experiment: Experiment) -> None:
        """What is in the form has been saved: from now on changes are counted against it."""
        data = experiment.model_dump(mode="python")
        self._base = data
        for path, field in self._plain.items():
            field.set_base(at(data, path), show=False)
        for path, table in self._tables.items():
            table.set_base(at(data, path), show=False)
        self.compare.set_base(data["compare"], show=False)
        self.check()

    def draft(self) -> Draft:
        """Everything that is typed, right or wrong, to be given to `show_experiment` later."""
        return {
            "plain": {path: field.raw() for path, field in self._plain.items()},
            "tables": {path: table.raw() for path, table in self._tables.items()},
            "compare": self.compare.raw(),
        }

    def _restore(self, draft: Draft) -> None:
        for path, text in draft["plain"].items():
            self._plain[path].set_raw(text)
        for path, rows in draft["tables"].items():
            self._tables[path].set_raw(rows)
        self.compare.set_raw(draft["compare"])

    def _is_set(self, path: str) -> bool:
        return bool(self._tables[path].cards) if path in self._tables else not self._plain[path].is_default()

    # -- out ---------------------------------------------------------------------------------------------------

    def collect(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Nested data of what can be read, and (path: sentence) of what cannot; that has its last good value."""
        data: dict[str, Any] = {}
        wrong: dict[str, str] = {}

        def value_of(field: Field) -> Any:
            try:
                return field.value()
            except ValueError as error:
                wrong[field.path] = str(error)
                return field.base_value()

        for path, field in self._plain.items():
            put(data, path, value_of(field))
        for path, table in self._tables.items():
            rows: list[dict[str, Any]] = [{} for _ in table.cards]
            for place, card in zip(rows, table.cards, strict=True):
                for field in card.fields:
                    put(place, field.row.name, value_of(field))
            put(data, path, rows)
        try:
            data["compare"] = self.compare.value()
        except ValueError as error:
            wrong["compare"] = str(error)
            data["compare"] = []
        return data, wrong

    def check(self) -> None:
        """Read and validate everything now; show each message at its field."""
        self._timer.stop()
        data, wrong = self.collect()
        pointers: dict[str, tuple[str, int]] = {}
        experiment = None
        try:
            experiment = Experiment.from_data(data)
        except ExperimentError as error:
            place = expression_error(error)
            alone = self._alone(data)
            for path, said in error.problems:
                if alone is not None:  # the variant is what is wrong
                    path, said = "compare", f"{path}: {said}" if path else said
                if place is not None:
                    pointers.setdefault(path, (place.text, place.position))
                wrong.setdefault(path, said)
            self._check_problem(data, wrong, pointers)
        self.experiment = None if wrong else experiment
        self.problems = list(wrong.items())
        self.compare.offer(data)
        self._show_problems(wrong, pointers)
        self._show_relevant(data)
        self.device_advice.compare(self.experiment)
        self.checked.emit()

    def _alone(self, data: dict[str, Any]) -> Experiment | None:
        """The experiment without its variant, where that is right and there is one."""
        if not data["compare"]:
            return None
        try:
            return Experiment.from_data({**data, "compare": []})
        except ExperimentError:
            return None

    def stop(self) -> None:
        """No check is to come any more: the window is closing."""
        self._timer.stop()
        self._scroll.stop()
        self.device_advice.stop()

    def _check_problem(self, data: dict[str, Any], wrong: dict[str, str], pointers: dict[str, tuple[str, int]]) -> None:
        """The equations too, where the check of the whole stopped at some other field before it came to them."""
        if any(path.startswith("problem.") for path in wrong):
            return
        try:
            cut = not any(path.startswith("decomposition.") for path in wrong)
            parts = DecompositionSpec.model_validate(data["decomposition"]).build() if cut else None
            ProblemSpec.model_validate(data["problem"]).build(parts)
        except ProblemError as error:
            path = error.path if error.path.startswith("decomposition") else f"problem.{error.path}".rstrip(".")
            wrong[path] = str(error)
            if (place := expression_error(error)) is not None:
                pointers[path] = (place.text, place.position)

    def show_first_problem(self) -> None:
        """Scroll to the first thing that is wrong and put the cursor there: a field, a table, or the whole."""
        for row, section in self._sections:
            for path in row.paths():
                wrong = self._wrong_in(path)
                if wrong is not None:
                    section.open()
                    self._go_to(wrong)
                    return
        for message in (self.compare.message, self.message):
            if message.text():
                self._go_to(message)
                return

    def _wrong_in(self, path: str) -> QWidget | None:
        """What is wrong of a field or a table; of a table its own message comes first, which stands above its rows."""
        table = self._tables.get(path)
        if table is not None and table.message.text():
            return table.message
        fields = [self._plain[path]] if table is None else table.fields()
        return next((field for field in fields if field.problem), None)

    def _go_to(self, wanted: QWidget) -> None:
        (wanted.editor if isinstance(wanted, Field) else wanted).setFocus()
        self._wanted = wanted
        self._scroll.start()

    def _scroll_to_wanted(self) -> None:
        wanted, self._wanted = self._wanted, None
        if wanted is not None and (not isinstance(wanted, Field) or wanted in set(self.fields())):
            self.ensureWidgetVisible(wanted, 0, 60)

    def _show_problems(self, wrong: dict[str, str], pointers: dict[str, tuple[str, int]]) -> None:
        left = dict(wrong)
        counts: dict[str, int] = {}
        for field in self.fields():
            path = field.path
            own = [key for key in left if key == path or key.startswith(f"{path}.")]
            if not own:
                field.show_problem("")
                continue
            key = own[0]
            said = left[key] if key == path else f"{inside(key[len(path) + 1:])}: {left[key]}"
            text, position = pointers.get(key, ("", None))
            field.show_problem(said, text, position)
            for key in own:
                del left[key]
            counts[head(path)] = counts.get(head(path), 0) + 1
        for path, table in self._tables.items():
            own = [key for key in left if key == path or key.startswith(f"{path}.")]
            table.message.say(" ".join(sentence(left.pop(key)) for key in own))
            counts[path] = counts.get(path, 0) + len(own)
        own = [key for key in left if key == "compare" or key.startswith("compare.")]
        self.compare.message.say(" ".join(sentence(left.pop(key)) for key in own))
        # what remains has no field: a message of the whole experiment, most likely of the variant
        self.message.say(" ".join(sentence(f"{path}: {text}" if path else text) for path, text in left.items()))
        self._tell_sections(counts)

    def _tell_sections(self, wrong: dict[str, int]) -> None:
        for row, section in self._sections:
            parts = [self._plain.get(path) or self._tables[path] for path in row.paths()]
            section.tell(sum(part.is_changed() for part in parts), sum(wrong.get(path, 0) for path in row.paths()))

    def _show_relevant(self, data: dict[str, Any]) -> None:
        """Hide the fields that do not matter under what is typed, with the variant's changes beside it."""
        typed: dict[str, tuple[str, ...]] = {path: (field.raw(),) for path, field in self._plain.items()}
        for variant in data["compare"]:
            for path, value in variant["set"].items():
                if path in self._plain:
                    with suppress(TypeError, ValueError, AttributeError):  # a value of a wrong type is told elsewhere
                        typed[path] += (write(self._plain[path].row.kind, value),)
        for path, field in self._plain.items():
            field.show_where(matters(path, typed))
        for table in self._tables.values():
            table.show_relevant()
        self.phases.show_first(self._plain)

    # -- looks -------------------------------------------------------------------------------------------------

    def restyle(self, theme: Theme) -> None:
        self._theme = theme
        # The sheet first: putting it on takes back the colors that widgets have been given by themselves.
        self.setStyleSheet(form_sheet(theme))
        self.message.set_color(theme.danger)
        self.device_advice.restyle(theme)
        self.compare.restyle(theme)
        for _, section in self._sections:
            section.restyle(theme)
        for field in self._plain.values():
            field.restyle(theme)
        for table in self._tables.values():
            table.restyle(theme)

    def _take_device(self, device: str, threads: int) -> None:
        self._plain[DEVICE].set_raw(device)
        if device == "cpu":
            self._plain["training.threads"].set_raw(str(threads))
        self.check()

    def _edited(self) -> None:
        if not self._filling:
            self._timer.start()
