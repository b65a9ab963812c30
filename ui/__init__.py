"""The window: Qt and pyqtgraph, no torch, no numerics."""
