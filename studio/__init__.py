"""The application without a window: experiments as data, sessions, run files, the command line."""

__version__ = "0.1.0"
