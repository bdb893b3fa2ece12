"""A page with planted figures and pictures, and with names that try to break out of it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from jpeg_preproc.report import Table
from jpeg_preproc.report.page import (
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
from jpeg_preproc.report.page.content import State

#: A name of a file, a class or a model that would run a script wherever it is taken for markup.
EVIL = (
    "</script><script>document.title='broken'</script>"
    "<img src=x onerror=\"document.title='broken'\">&amp;"
)


def picture(number: int, helped: bool, classes: tuple[str, ...], pixels: np.ndarray) -> Picture:
    """Return an image of the gallery, with boxes of every state."""
    height, width = pixels.shape[:2]
    shaded = np.clip(pixels.astype(int) + 10 * number, 0, 255).astype(np.uint8)

    def file(kind: str, **settings: object) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(shaded).save(stream, kind, **settings)
        return stream.getvalue()

    mask = io.BytesIO()
    Image.new("LA", (width, height), (255, 60)).save(mask, "PNG")
    whole = (0.0, 0.0, float(width), float(height))
    states: tuple[State, ...] = ("kept", "lost", "regained", "added")
    boxes = tuple(
        Box(state, classes[0], 0.9, (8.0 + 30 * at, 10.0, 36.0 + 30 * at, 60.0 + 10 * at))
        for at, state in enumerate(states)
    )
    return Picture(
        name=f"{number}.jpg",
        model="detector on planted",
        condition="JPEG at QF 10, restored by small-task",
        helped=helped,
        change="2 objects regained" if helped else "1 object lost",
        classes=classes,
        counts="1 as in the original, 1 lost, 1 regained, 1 falsely added.",
        size=(width, height),
        views=(
            View("original", "original", "", file("WEBP", lossless=True), "image/webp", whole),
            View(
                "corrupted",
                "JPEG at QF 10",
                "",
                file("JPEG", quality=10),
                "image/jpeg",
                whole,
                boxes,
            ),
            View(
                *("restored", "restored by small-task", "", file("WEBP", quality=92), "image/webp"),
                *(whole, boxes, mask.getvalue()),
            ),
        ),
        crops=(Crop(classes[0], 20.0, 10.0, 60.0),),
    )


def planted_page(pixels: np.ndarray, pictures: int = 4, name: str = "detector") -> Page:
    """Return a page; ``name`` is what the model, a restorer, a class and a file are called."""
    table = FigureTable(
        ("QF 10", "QF 20"),
        (
            ("original", (Cell("30.2"), Cell("30.2"))),
            ("jpeg", (Cell("23.4", "−6.8", "−9.1 to −4.2", "loss"), Cell("29.6", "−0.6"))),
            (name, (Cell("30.4", "+7.0*", "+4.8 to +10.3", "gain"), Cell("31.2", "+1.6"))),
        ),
        "In smaller print: points lost on JPEG, and gained by restoring.",
    )
    qf = Axis(
        "JPEG quality factor",
        False,
        (
            Line(
                "jpeg",
                ((10.0, 23.4, 20.0, 26.0), (20.0, 29.6, 27.0, 32.0), (90.0, 30.1, 27.5, 32.5)),
            ),
            Line(
                name, ((10.0, 30.4, 27.0, 33.0), (20.0, 31.2, 28.0, 34.0), (90.0, 30.0, 27.4, 32.6))
            ),
        ),
    )
    bits = Axis("bits per pixel", True, qf.lines)
    return Page(
        title=f"A planted study of {name}",
        sentences=(
            f"JPEG at QF 10 costs {name} 6.8 points of mAP (95 % interval 4.2 to 9.1).",
            "Restoring gives 7.0 of them back (4.8 to 10.3).",
            "Of 2 comparisons 1 is established.",
        ),
        caveat="These figures are planted.",
        figures=(Figures(name, "mAP, 40 images", table, Chart("mAP in points", 30.2, (qf, bits))),),
        costs=(
            Cost(name, "small-task", 0.17, 0.05, 7.0, 4.8, 10.3, "mAP"),
            Cost(name, "nano-task", 0.07, 0.05, 5.0, None, None, "mAP"),
        ),
        classes=(
            SortableTable(
                "By class",
                "F1 against the original.",
                ("class", "boxes", "jpeg", "restored"),
                (
                    ("ant", (3.0, 50.0, Cell("20.0", "−30.0", "−41.0 to −8.0", "loss"))),
                    (name, (9.0, 10.0, None)),
                    ("zebra", (5.0, 30.0, 60.0)),
                ),
            ),
        ),
        comparisons=(Table("Differences", ("restorer", "QF 10"), ((name, "+7.0"),)),),
        gallery=Gallery(
            "Chosen by hand.",
            tuple(
                picture(number, number % 2 == 0, (name if number == 0 else "zebra",), pixels)
                for number in range(pictures)
            ),
        ),
        facts=(Facts("Machine", (("processor", name), ("seed", "0"))),),
        citation=("Cite it so.", "@software{x,\n}"),
    )
