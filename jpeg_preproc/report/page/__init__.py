"""A study's results as one web page that needs nothing else: no server, no request, no account."""

from jpeg_preproc.report.page.content import (
    Axis,
    Box,
    Cell,
    Chart,
    Cost,
    Crop,
    Facts,
    Figures,
    FigureTable,
    Gallery,
    Line,
    Page,
    Picture,
    SortableTable,
    View,
)
from jpeg_preproc.report.page.render import part_rows, render_markdown, render_page

__all__ = [
    "Axis",
    "Box",
    "Cell",
    "Chart",
    "Cost",
    "Crop",
    "Facts",
    "FigureTable",
    "Figures",
    "Gallery",
    "Line",
    "Page",
    "Picture",
    "SortableTable",
    "View",
    "part_rows",
    "render_markdown",
    "render_page",
]
