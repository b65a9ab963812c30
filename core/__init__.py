"""The numerics of PINNscope: torch and numpy, no window, no files; threads only inside a step."""
