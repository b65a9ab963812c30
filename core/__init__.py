"""The numerics of PINNscope: torch and numpy, no window, no files, no threads."""
