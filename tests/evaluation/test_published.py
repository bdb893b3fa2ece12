"""Published figures beside measured rows."""

from __future__ import annotations

import pytest

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.published import published_rows
from jpeg_preproc.evaluation.rows import RestorationRow

HEAD = "source,table,dataset,colour,qf,method,metric,value\n"
FIGURES = (
    "A,1,LIVE1,rgb,10,JPEG,psnr_db,25.69\n"
    "A,1,LIVE1,rgb,10,QGAC,psnr_db,27.62\n"
    "A,1,LIVE1,rgb,10,QGAC,ssim,0.804\n"
    "B,2,LIVE1,rgb,10,QGAC,psnr_db,27.6\n"
    "A,1,LIVE1,rgb,20,QGAC,psnr_db,29.88\n"
    "A,1,LIVE1,rgb,10,FBCNN,psnr_db,27.77\n"
    "A,1,LIVE1,gray,10,DnCNN-3,psnr_db,29.19\n"
    "A,1,BSD500,rgb,10,FBCNN,psnr_db,27.85\n"
)
MEASURED = [RestorationRow("live-1", 10, "jpeg", "fbcnn", 25.7, 0.7, 24.2, 29, "jpeg:10", 10.0)]


@pytest.fixture
def figures(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(HEAD + FIGURES)
    return path


def found(rows):
    return [(row.restorer, row.qf, row.psnr) for row in rows]


def test_figures_of_the_measured_data_set_and_colour_the_first_source_first(figures):
    rows = published_rows(figures, MEASURED)
    assert found(rows) == [
        ("QGAC, published", 10, 27.62),
        ("QGAC, published", 20, 29.88),
        ("FBCNN, published", 10, 27.77),
    ]
    assert all((row.dataset, row.protocol) == ("live-1", "fbcnn") for row in rows)
    assert found(published_rows(figures, MEASURED, grey=True)) == [
        ("DnCNN-3, published", 10, 29.19)
    ]


def test_a_figure_is_drawn_in_the_panel_of_what_was_measured(figures):
    (measured,) = MEASURED
    row = published_rows(figures, MEASURED)[0]
    assert (row.table, row.place) == (measured.table, measured.place)
    assert (row.line, row.columns()["psnr"]) == ("QGAC, published", 27.62)


def test_methods_are_chosen_by_name(figures):
    assert len(published_rows(figures, MEASURED, methods=["FBCNN"])) == 1
    with pytest.raises(JpegPreprocError, match=r"no published PSNR of fbcnn on live1"):
        published_rows(figures, MEASURED, methods=["fbcnn"])


@pytest.mark.parametrize(
    "text,message",
    [
        (HEAD, "no published PSNR of any method on live1"),
        ("a,b\n1,2\n", "lacks the columns colour, dataset, method, metric, qf, value"),
        (HEAD + "A,1,LIVE1,rgb,ten,QGAC,psnr_db,27.62\n", "'ten'.*give numbers"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
    ],
)
def test_files_that_will_not_do(tmp_path, text, message):
    path = tmp_path / "figures.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(JpegPreprocError, match=rf"figures\.csv: .*{message}"):
        published_rows(path, MEASURED)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(JpegPreprocError, match=r"none\.csv: cannot be read"):
        published_rows(tmp_path / "none.csv", MEASURED)
