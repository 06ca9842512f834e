"""Histories of trainings as a table and as lines."""

import pandas as pd
import pytest

from restool.report.training import draw, table, write_training

HISTORIES = {
    "a": [
        {"loss": 2.0, "penalty": 0.5, "accuracy": 0.25, "validation_accuracy": 0.375},
        {"loss": 1.0, "accuracy": 0.5},
    ],
    "b": [{"loss": 3.0, "penalty": 0.0, "accuracy": 0.125, "validation_accuracy": 0.25}],
}


def test_the_table_has_a_row_per_training_and_epoch_in_percent():
    rows = table(HISTORIES)
    assert list(zip(rows["training"], rows["epoch"], strict=True)) == [("a", 1), ("a", 2), ("b", 1)]
    assert list(rows["accuracy_percent"]) == [25, 50, 12.5]
    assert list(rows["validation_accuracy_percent"][[0, 2]]) == [37.5, 25]
    assert rows[["penalty", "validation_accuracy_percent"]].iloc[1].isna().all()


def test_lines_are_the_columns_of_the_table():
    figure = draw(HISTORIES, table(HISTORIES))
    loss, accuracy = figure.axes
    assert [list(line.get_ydata()) for line in loss.get_lines()] == [[2, 1], [3]]
    solid = [line for line in accuracy.get_lines() if line.get_linestyle() == "-"]
    assert [line.get_ydata()[0] for line in solid] == [37.5, 25]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["a", "b"]


def test_files_hold_the_table(tmp_path):
    files, rows = write_training(tmp_path, HISTORIES)
    assert [file.name for file in files] == ["training.png", "training.pdf", "training.csv"]
    written = pd.read_csv(tmp_path / "training.csv")
    assert written["loss"].tolist() == pytest.approx(rows["loss"].tolist())
