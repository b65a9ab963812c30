"""Reference solutions, made by hand: `python -m tools.references` makes all, `python -m tools.references.NAME` one.

Each script writes resources/references/*.npz and prints what shows its accuracy; resources/references/README.md keeps
those figures. They need numpy alone and no random numbers but from a fixed seed. Nothing of the program imports them.
"""
