"""Laws of a study's run: every cell of its sweeps once, resumable, and never longer than it may."""

import json

import pytest

from restool.studies import read_study, run_study


def records(out):
    return {path.name: json.loads(path.read_text())["result"] for path in (out / "records").glob("*.json")}


def test_a_study_runs_the_cells_of_all_its_sweeps(done, out):
    _, _, result = done
    assert (result.failed, result.missing) == (0, [])
    assert not result.timed_out
    cells = {cell.key for sweep in result.sweeps for cell in sweep.cells}
    assert len(cells) == 3 * (1 + 2 * 5) + 2  # a source, two targets by five protocols, and two fine-tuned
    found = records(out)
    assert set(found) == {f"{key}.json" for key in cells}
    page = (out / "README.md").read_text()
    assert page.count("| official |") + page.count("| official ") >= 5


def test_the_time_limit_is_that_of_the_whole_study(file, tmp_path):
    study = read_study(file, small=True)
    result = run_study(study, tmp_path / "out", device="cpu", time_limit=1e-9)
    assert result.timed_out
    assert len(result.sweeps) <= 1
    assert not (tmp_path / "out" / "records").exists()


def test_the_command_line_prints_the_page_and_runs_nothing_again(file, out, capsys, monkeypatch):
    from restool.cli import main

    page = (out / "README.md").read_text()
    (out / "README.md").unlink()
    times = {path: path.stat().st_mtime_ns for path in (out / "records").glob("*.json")}
    capsys.readouterr()
    monkeypatch.setattr("sys.argv", ["restool", "study", "run", str(file), "--small", "--out", str(out)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    printed = capsys.readouterr()
    assert printed.out == page + "\n"
    assert "study.png" in printed.err
    assert {path: path.stat().st_mtime_ns for path in (out / "records").glob("*.json")} == times


def test_a_list_of_studies_names_file_question_and_records(file, tmp_path, capsys, monkeypatch):
    from restool.cli import main

    monkeypatch.setattr("sys.argv", ["restool", "study", "ls", str(tmp_path), "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    rows = json.loads(capsys.readouterr().out)
    assert rows == [{"file": str(file), "records": 0, "question": "Does it help?"}]


def test_a_question_of_several_lines_is_listed_on_one(file, tmp_path, capsys, monkeypatch):
    from restool.cli import main

    file.write_text(file.read_text().replace('"Does it help?"', '"""\nDoes it\nhelp?\n"""'))
    monkeypatch.setattr("sys.argv", ["restool", "study", "ls", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    header, line = capsys.readouterr().out.splitlines()
    assert header.split() == ["file", "records", "question"]
    assert line.split() == [str(file), "0", "Does", "it", "help?"]
