"""Written pages say what the models and the measurements say."""

from __future__ import annotations

import pytest

from tools import write_accuracy
from tools.write_docs import FILE, page


def test_the_page_on_the_experiment_file_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run: python -m tools.write_docs"


def test_the_table_of_accuracy_is_that_of_the_results() -> None:
    text = write_accuracy.README.read_text(encoding="utf-8")
    assert text == write_accuracy.page(text), "run: python -m tools.write_accuracy"
    assert write_accuracy.page(text.replace("| Burgers, visc", "| Byrgers, visc")) == text, "what is not so is seen"
    with pytest.raises(ValueError, match="there is no table"):
        write_accuracy.page("nothing")
