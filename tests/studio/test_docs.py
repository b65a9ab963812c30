"""The page on the experiment file says what the models say."""

from __future__ import annotations

from tools.write_docs import FILE, page


def test_the_page_on_the_experiment_file_is_current() -> None:
    assert FILE.read_text(encoding="utf-8") == page(), "run: python -m tools.write_docs"
