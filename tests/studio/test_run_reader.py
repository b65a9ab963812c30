"""Reading a run file: whatever happened to its writer; what is no run file is told in a sentence."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from core.frames import FieldsFrame
from studio.experiment import Experiment
from studio.messages import Event
from studio.runfile import RunFile, RunFileError, load_run
from tests.studio.samples import POISSON, fields_frame, scalars

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[RunFile]:
    file = RunFile.create(tmp_path / "run.pinnrun", Experiment.from_toml(POISSON))
    yield file
    file.close()


# ------------------------------------------------------------------ a writer that was killed

WRITER = """
    import sys
    from pathlib import Path
    import numpy as np
    from core.frames import FieldsFrame, ScalarsFrame
    from studio.experiment import Experiment
    from studio.runfile import RunFile
    file = RunFile.create(Path(sys.argv[1]), Experiment.from_toml(sys.stdin.read()))
    field = np.random.default_rng(0).standard_normal((100, 100))
    for step in range(1_000_000):
        file.add_scalars([ScalarsFrame(step=step, seconds=0.0, losses={"residual": step}, weights={},
                                       learning_rate=0.1, relative_l2={})])
        file.add_frame(FieldsFrame(step=step, inputs=(), axes=(), prediction={"u": field + step}, exact={}, error={},
                                   residuals={}, fixed={}))
        file.save_checkpoint(step, {"flat": field}, {"step": step})
        file.set_state("running", step, 0.0)
        file.commit()
        print(step, flush=True)
"""


@pytest.fixture
def killed(tmp_path: Path) -> tuple[Path, int]:
    """A run file whose writer was killed in mid-write, and the last step that it had committed for sure."""
    path = tmp_path / "dead" / "run.pinnrun"
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(WRITER), str(path)], cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(POISSON)
    process.stdin.close()
    for _ in range(60):
        process.stdout.readline()
    process.kill()
    said = process.stdout.read().splitlines()
    process.stdout.close()
    process.wait()
    last = int(said[-1]) if said and said[-1].isdecimal() else 59
    return path, last


def _check_killed(path: Path, last: int) -> None:
    run = load_run(path)
    assert run.state == "running" and not run.closed
    assert run.step >= last
    assert [frame.step for frame in run.scalars] == list(range(run.step + 1))
    assert run.frame_steps("fields") == tuple(range(run.step + 1))
    field = np.random.default_rng(0).standard_normal((100, 100))
    for step in (0, last):
        frame = run.frame("fields", step)
        assert isinstance(frame, FieldsFrame)
        assert np.array_equal(frame.prediction["u"], (field + step).astype(np.float32))
    checkpoint = run.latest_checkpoint()
    assert checkpoint is not None and checkpoint[0] == run.step and checkpoint[2] == {"step": run.step}


def test_a_killed_writer_leaves_everything_that_was_committed(killed: tuple[Path, int]) -> None:
    path, last = killed
    wal = Path(f"{path}-wal")
    before = path.read_bytes(), wal.read_bytes()
    assert len(before[1]) > 100_000  # much of it is still beside the file
    _check_killed(path, last)
    assert (path.read_bytes(), wal.read_bytes()) == before  # reading changed nothing


def test_a_killed_run_opens_where_nothing_can_be_written_beside_it(
        killed: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    path, last = killed
    Path(f"{path}-shm").unlink()
    Path(f"{path}-shm").symlink_to(path / "nowhere")  # SQLite cannot make it here, as in a read-only folder
    made: list[Path] = []
    mkdtemp = tempfile.mkdtemp

    def watched(prefix: str) -> str:
        made.append(Path(mkdtemp(prefix=prefix)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", watched)
    _check_killed(path, last)
    assert len(made) == 1
    assert not made[0].exists()  # the copy went with the run


# ------------------------------------------------------------------ what is no run file


def _told(path: Path) -> str:
    before = sorted(path.parent.iterdir())
    with pytest.raises(RunFileError) as told:
        load_run(path)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)
    assert sorted(path.parent.iterdir()) == before
    return str(told.value)


def test_what_is_no_run_file(tmp_path: Path) -> None:
    assert "there is no file" in _told(tmp_path / "missing.pinnrun")
    assert "is a folder" in _told(tmp_path)
    empty, text, short = tmp_path / "empty.pinnrun", tmp_path / "text.pinnrun", tmp_path / "short.pinnrun"
    empty.touch()
    text.write_text("# a TOML file, say\n" * 100)
    short.write_bytes(b"SQLite format 3\0 and no more")
    assert "is empty" in _told(empty)
    assert "is no run file of PINNscope" in _told(text)
    assert "damaged: it ends after 28 bytes" in _told(short)
    below = text / "below.pinnrun"
    with pytest.raises(RunFileError, match="a part of this path is a file"):
        load_run(below)


def test_somebody_elses_database(tmp_path: Path) -> None:
    path = tmp_path / "browser.sqlite"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE about (key, value)")
        database.commit()
    assert "a SQLite file of another program" in _told(path)


def test_a_newer_layout(writer: RunFile) -> None:
    writer.close()
    with closing(sqlite3.connect(writer.path)) as database:
        database.execute("PRAGMA user_version = 4")
    assert "made by a newer version of PINNscope" in _told(writer.path)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("closed", [True, False])
def test_a_truncated_file(tmp_path: Path, writer: RunFile, share: float, closed: bool) -> None:
    for step in range(50):
        writer.add_scalars([scalars(step)])
        writer.add_event(Event(step=step, kind="weight", text="a" * 300))
    writer.commit()
    if not closed:
        assert writer._database is not None
        writer._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    else:
        writer.close()
    data = writer.path.read_bytes()
    path = tmp_path / "cut.pinnrun"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(RunFileError, match="damaged"):
        load_run(path)


def test_a_damaged_frame_leaves_the_others(writer: RunFile) -> None:
    for step in (1, 2):
        writer.add_frame(fields_frame(step))
    writer.close()
    with closing(sqlite3.connect(writer.path)) as database:
        database.execute("UPDATE frames SET data = substr(data, 1, 50) WHERE step = 1")
        database.commit()
    run = load_run(writer.path)
    with pytest.raises(RunFileError, match="the frame 'fields' of step 1"):
        run.frame("fields", 1)
    assert run.frame("fields", 2).step == 2


@pytest.mark.parametrize("change", [
    "UPDATE about SET value = 'name = 3' WHERE key = 'experiment'",
    "DELETE FROM about",
    "DELETE FROM status",
    "UPDATE scalars SET losses = '{'",
    "UPDATE scalars SET losses = '[1]'",
    "UPDATE about SET value = 'x' WHERE key = 'machine'",
    "DROP TABLE journal",
])
def test_a_file_that_somebody_edited(writer: RunFile, change: str) -> None:
    writer.add_scalars([scalars(1)])
    writer.close()
    with closing(sqlite3.connect(writer.path)) as database:
        database.execute(change)
        database.commit()
    _told(writer.path)


def test_a_path_with_every_odd_character(tmp_path: Path) -> None:
    folder = tmp_path / "a b?c#d%20é{}'\""
    writer = RunFile.create(folder / "run 100%?.pinnrun", Experiment.from_toml(POISSON))
    writer.add_scalars([scalars(1)])
    writer.commit()
    assert len(load_run(writer.path).scalars) == 1
    writer.close()
    assert [p.name for p in folder.iterdir()] == ["run 100%?.pinnrun"]


def test_no_torch_is_loaded() -> None:
    code = "import sys, studio.runfile; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
