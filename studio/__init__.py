"""The application without a window: experiments as data, sessions, run files, the command line."""

import os

__version__ = "0.1.0"

# torch's threads wait for their next work in a loop, for long, which takes the core from the threads that compute tiles
# (core.crew). Fewer rounds serve steps of small operations as well (Helmholtz M1, two threads, compiled: 0.49 ms with
# either), and a step of self-scaled Broyden on Korteweg-de Vries takes 22 ms in the place of 26. It is read when torch
# is loaded, so it stands here, before that.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
