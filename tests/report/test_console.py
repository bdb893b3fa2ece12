"""Terminal output."""

from __future__ import annotations

import io

from rich.console import Console

from jpeg_preproc.report import Table, console, print_error, print_tables, progress
from jpeg_preproc.report.tables import markdown_table


def printed(width: int, *tables: Table) -> str:
    stream = io.StringIO()
    print_tables(tables, Console(file=stream, width=width))
    return stream.getvalue()


def test_tables_show_titles_heads_and_cells():
    text = printed(100, Table("live1 · fbcnn", ("restorer", "QF 10"), (("jpeg", "25.69 / 0.743"),)))
    assert all(part in text for part in ("live1 · fbcnn", "restorer", "QF 10", "25.69 / 0.743"))


def test_names_stay_whole_on_a_narrow_terminal():
    cells = ("25.69 / 0.743 / 24.20",) * 4
    text = printed(80, Table("", ("restorer", "a", "b", "c", "d"), (("gridunet_base", *cells),)))
    assert "gridunet_base" in text
    assert "…" not in text


def test_markup_in_names_is_shown_not_obeyed():
    text = printed(80, Table("[red]set[/red]", ("[b]", "n"), (("[bold]x", "1"),)))
    assert all(part in text for part in ("[red]set[/red]", "[b]", "[bold]x"))


def test_a_file_gets_whole_lines(capsys):
    console().print("x" * 150)
    assert capsys.readouterr().out == "x" * 150 + "\n"


def test_progress_shows_count_estimate_and_item():
    stream = io.StringIO()
    output = Console(file=stream, width=120, force_terminal=True)
    with progress("compressing [1]", output) as bar:
        task = bar.add_task("", total=4)
        bar.update(task, advance=3, description="[a].jpg")
        bar.refresh()
    text = stream.getvalue()
    assert all(part in text for part in ("compressing [1]", "3/4", "ETA", "[a].jpg"))


EVIL = "a\x1b[31m\x07\r\n\u202egpj\udcff.jpg"
HARMLESS = r"a\x1b[31m\x07\r\n\u202egpj\udcff.jpg"


def test_names_that_would_lead_a_terminal_astray_are_shown_as_escapes(capsys):
    console().print_line(EVIL)
    print_error(ValueError(EVIL))
    found = capsys.readouterr()
    assert found.out == HARMLESS + "\n"
    assert found.err == f"error: {HARMLESS}\n"
    assert HARMLESS in printed(200, Table("", ("name", "n"), ((EVIL, "1"),)))
    stream = io.StringIO()
    with progress("", Console(file=stream, width=200)) as bar:
        bar.add_task(EVIL, total=1)
    text = stream.getvalue()  # rich itself takes the bell and the carriage return away
    assert r"a\x1b[31m" in text and text.strip().isprintable()


def test_letters_signs_and_spaces_of_all_kinds_stay_as_they_are(capsys):
    text = "Größe 50\u00a0% \u2192 \u202f写真.jpg"
    console().print_line(text)
    assert capsys.readouterr().out == text + "\n"


def test_names_in_markdown_are_neither_html_nor_links_nor_cells():
    table = Table("", ("name",), (("<script>|[x](http://y)" + EVIL,),))
    line = markdown_table(table).splitlines()[-1]
    assert "&lt;script>\\|[x]\\(http://y)" in line
    assert line.isprintable()
