"""Figures of a cell beside its accuracy, against PyTorch, NumPy and loops, and how a study comes to them."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from restool.data import Batches
from restool.transfer import resolve_protocol
from restool.transfer.evaluate import EVALUATION_BATCH
from restool.transfer.figures import ROWS, cost_figures, output_figures, peak_memory, start_peak_memory
from restool.transfer.trainer import Training

CPU = torch.device("cpu")


@pytest.fixture(params=[300, ROWS + 7])
def outputs(request):
    """Logits, labels and what is correct, with other logits for the same images."""
    random = torch.Generator().manual_seed(request.param)
    logits, own = (3 * torch.randn(request.param, 12, generator=random) for _ in range(2))
    labels = torch.randint(0, 12, (request.param,), generator=random)
    return logits, labels, logits.argmax(1) == labels, own


def test_figures_of_outputs_are_those_of_other_libraries(outputs):
    logits, labels, correct, own = outputs
    found = output_figures(logits, labels, correct, own)
    assert found["nll_nats"] == pytest.approx(float(F.cross_entropy(logits.double(), labels)), rel=1e-12)
    largest = np.argpartition(-logits.numpy(), 4, axis=1)[:, :5]
    assert found["top5"] == np.mean([label in row for label, row in zip(labels.tolist(), largest, strict=True)])
    assert found["top5"] > float(correct.float().mean())
    assert found["agreement"] == float((logits.argmax(1) == own.argmax(1)).double().mean())
    here, at_source = (F.log_softmax(table.double(), 1) for table in (logits, own))
    expected = F.kl_div(here, at_source, log_target=True, reduction="batchmean")
    assert found["divergence_nats"] == pytest.approx(float(expected), rel=1e-12)


def test_the_calibration_error_is_that_of_a_loop_over_bins(outputs):
    logits, labels, correct, own = outputs
    sure = F.softmax(logits.double(), 1).max(1).values.tolist()
    expected = 0.0
    for bin_ in range(15):
        inside = [at for at, value in enumerate(sure) if bin_ / 15 < value <= (bin_ + 1) / 15]
        if inside:
            right = sum(bool(correct[at]) for at in inside) / len(inside)
            expected += len(inside) / len(sure) * abs(right - sum(sure[at] for at in inside) / len(inside))
    assert output_figures(logits, labels, correct, own)["calibration_error"] == pytest.approx(expected, rel=1e-9)


def test_equal_logits_answer_the_first_classes():
    labels = torch.arange(10)
    found = output_figures(torch.zeros(10, 10), labels, labels == 0, None)
    assert found == {
        "top5": 0.5,
        "nll_nats": pytest.approx(math.log(10)),
        "calibration_error": pytest.approx(0, abs=1e-15),
    }


def test_few_classes_have_no_top5_and_broken_logits_no_figure():
    logits, labels = torch.randn(20, 5, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 5
    assert set(output_figures(logits, labels, labels == 0, None)) == {"nll_nats", "calibration_error"}
    broken = logits.clone()
    broken[3, 1] = torch.inf
    assert output_figures(broken, labels, labels == 0, logits) == {}
    assert "agreement" not in output_figures(logits, labels, labels == 0, broken)


def test_an_image_costs_what_is_counted_and_memory_only_where_it_is_known():
    start_peak_memory(CPU)
    assert peak_memory(CPU) is None
    linear = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    assert cost_figures(linear, torch.zeros(1, 3, 2, 2), None) == {"flops_per_image": 2 * 12 * 5}
    assert cost_figures(linear, torch.zeros(1, 3, 2, 2), 99)["peak_memory_bytes"] == 99


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_peak_memory_is_of_what_follows_its_start():
    device = torch.device("cuda")
    torch.zeros(1 << 22, device=device)
    start_peak_memory(device)
    before = torch.cuda.memory_allocated(device)
    torch.zeros(1 << 20, device=device)
    assert peak_memory(device) - before == 1 << 22


def logits_of(study, cell, model):
    """Of a cell by hand: source or fine-tuned model, moved to the target."""
    protocol, at = resolve_protocol(cell.protocol), cell.run.source
    if protocol.trains:
        model = study.trainer.trained(protocol.start(model, at, cell.target), Training.of_cell(cell)).model
    moved = protocol.apply(model, at, cell.target)
    batches = Batches(study.dataset, "test", protocol.sizes(at, cell.target), batch_size=EVALUATION_BATCH, device=CPU)
    with torch.no_grad():
        return torch.cat([moved(images) for images, _ in batches.epoch()]), batches.labels


def test_records_hold_the_figures_of_their_model(lab, finished, folder):
    records, study = lab.records(finished), lab.study(folder)
    cells = {cell.protocol: cell for cell in study.cells if cell.target in (8, 12)}
    source = study.trainer.source(study.runs[0]).model
    own, labels = logits_of(study, cells["source"], source)
    assert set(records[cells["source"].key]["figures"]) == {
        "top5", "nll_nats", "calibration_error", "flops_per_image"
    }  # fmt: skip
    for name in ("requery", "resize", "finetune"):
        found = records[cells[name].key]["figures"]
        logits, _ = logits_of(study, cells[name], source)
        assert found["nll_nats"] == pytest.approx(float(F.cross_entropy(logits.double(), labels)), rel=1e-5)
        assert found["agreement"] == float((logits.argmax(1) == own.argmax(1)).double().mean())
        apart = F.kl_div(logits.double().log_softmax(1), own.double().log_softmax(1), log_target=True, reduction="sum")
        assert found["divergence_nats"] == pytest.approx(float(apart) / len(labels), rel=1e-4, abs=1e-9)
    sizes = {name: records[cells[name].key]["figures"]["flops_per_image"] for name in ("source", "resize", "as-is")}
    assert sizes["resize"] == sizes["source"]  # the model sees what it saw in training
    assert sizes["as-is"] > (12 / 8) ** 2 * (sizes["source"] - 1000)


def test_the_answers_at_the_source_are_made_once_more_where_a_process_lacks_them(lab, finished, folder):
    cells, progress = lab.plan(), lab.progress()
    for cell in (cells[2], cells[4]):
        (folder / "records" / f"{cell.key}.json").unlink()
    assert lab.run(folder, progress) == []
    assert [text for text in progress.activities if text.startswith("answers of")] == [f"answers of {cells[0].run}"]
    assert lab.records(folder) == lab.records(finished)


def test_a_cell_without_figures_is_done(lab, folder):
    for path in (folder / "records").iterdir():
        record = json.loads(path.read_text())
        path.write_text(json.dumps({name: value for name, value in record.items() if name != "figures"}))
    assert lab.study(folder).missing() == []
