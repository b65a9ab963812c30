"""Frames that are computed once, because somebody asks: they take seconds, are followed and can be abandoned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from core.device import on_cpu
from core.diagnostics.landscape import LandscapeDiagnostic
from core.diagnostics.spectrum import SpectrumDiagnostic
from core.diagnostics.stopping import Stopped
from core.frames import Frame
from core.trainer import Trainer
from studio.engines import Tell
from studio.inbox import Inbox

#: What can be asked for, and what it is called while it is computed.
WORDS = {"spectrum": "the Hessian's spectrum", "landscape": "the loss landscape"}


class Demands:
    """Computes what is asked for. Meanwhile commands wait in the inbox; stopping the demand, or the run, ends it.

    say: shows what is being computed, '' for nothing; put: takes the frame; tell: writes into the journal.
    """

    def __init__(self, inbox: Inbox, say: Callable[[str], None], put: Callable[[Frame], None], tell: Tell) -> None:
        self._inbox, self._say, self._put, self._tell = inbox, say, put, tell

    def serve(self, kind: str, options: Mapping[str, Any], trainer: Trainer) -> None:
        """Compute a frame now; what cannot be computed is said in the journal."""
        if kind == "stop":
            return  # nothing is being computed
        words = WORDS.get(kind, kind)
        self._say(f"computing {words}")
        try:
            self._put(compute(kind, options, on_cpu(trainer), self._inbox.called_off,
                              lambda share: self._say(f"computing {words}: {share:.0%}")))
        except Stopped:
            self._tell("demand", f"computing {words} was stopped")
        except ValueError as error:
            self._tell("demand", str(error))
        except (MemoryError, RuntimeError) as error:  # torch's own words for a full memory are a RuntimeError
            self._tell("demand", f"{words} could not be computed: {error}")
        finally:
            self._say("")


def compute(kind: str, options: Mapping[str, Any], trainer: Trainer, stop: Callable[[], bool],
            tell: Callable[[float], None]) -> Frame:
    """The frame that was asked for. Raises Stopped, and ValueError with a sentence for what cannot be computed."""
    try:
        match kind:
            case "spectrum":
                return SpectrumDiagnostic().observe(trainer, stop=stop, tell=tell, **options)
            case "landscape":
                return LandscapeDiagnostic().observe(trainer, stop=stop, tell=tell, **options)
    except TypeError as error:
        raise ValueError(f"{WORDS[kind]} cannot be computed with {dict(options)}: {error}") from None
    raise ValueError(f"there is no '{kind}' that could be computed once; there are {', '.join(WORDS)}")
