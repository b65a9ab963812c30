"""A thin layer over pyqtgraph and QPainter that draws right."""
