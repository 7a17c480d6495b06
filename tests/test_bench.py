"""The benchmark itself: its layers, its peers' results, its command line."""

import json
from dataclasses import replace
from time import sleep

import numpy as np
import pytest

from bench import campaign, choice, cli, network, summary
from bench.peers import installed, notebook
from bench.reference import reference
from bench.results import Run
from bench.suites import SUITES, Conv, Pool, layer_of
from bench.timing import alternate
from bench.work import UnsupportedError, Work, error, tolerance

LAYERS = [
    Conv(2, 9, 7, 6, 8, 3, 3, 1, 1),
    Conv(2, 9, 7, 6, 8, 3, 3, 2, 1),
    Conv(3, 8, 8, 4, 8, 3, 3, 2, 1, groups=4),
    Conv(2, 6, 6, 3, 5, 1, 1, 2),
    Conv(10, 4, 4, 3, 8, 2, 2, 2, 2),
    *(
        Pool(2, 7, 7, 3, mode, 3, stride, padding)
        for mode in ("max", "avg")
        for stride, padding in ((2, 1), (1, 1), (2, 0))
    ),
]
KEYS = (
    "cyconv",
    "cyconv-direct",
    "cyconv-out",
    "cyconv-notebook",
    "torch-nhwc",
    "torch-nchw",
    "onnxruntime",
    "jax",
    "im2col",
    "windows",
    "loops",
)


def test_the_networks_are_the_published_ones():
    def total(suite):
        layers = [layer for layer in SUITES[suite] if isinstance(layer, Conv)]
        return sum(layer.count for layer in layers), sum(
            layer.count * replace(layer, N=1).flops("forward") for layer in layers
        )

    assert total("resnet50") == (53, pytest.approx(8.17e9, rel=1e-3))
    assert total("vgg16") == (13, pytest.approx(30.69e9, rel=1e-3))


@pytest.mark.parametrize("suite", SUITES)
def test_a_layer_is_found_by_its_name(suite):
    assert all(layer_of(suite, layer.name, layer.N) == layer for layer in SUITES[suite])


def test_the_loops_give_the_numbers_printed_in_the_notebook():
    np.random.seed(1)
    shapes = (10, 4, 4, 3), (2, 2, 3, 8), (1, 1, 1, 8)
    A_prev, W, b = (np.random.randn(*shape) for shape in shapes)
    Z, cache = notebook.conv_forward(A_prev, W, b, {"stride": 2, "pad": 2})
    assert Z.mean() == pytest.approx(0.0489952035289, rel=1e-10)
    dA, dW, db = notebook.conv_backward(Z, cache)
    assert [dA.mean(), dW.mean(), db.mean()] == pytest.approx([1.45243777754, 1.72699145831, 7.83923256462], rel=1e-10)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("key", KEYS)
def test_every_contender_gives_the_reference_result(key):
    found, missing = installed((key,))
    if missing:
        pytest.skip(missing[key])
    compared = 0
    for layer in LAYERS:
        for direction in layer.directions:
            for dtype in ("float32", "float64"):
                work = Work.of(layer, direction, dtype)
                try:
                    prepared = found[0].prepare(work)
                except UnsupportedError:
                    continue
                part = work.first(prepared.images) if prepared.images else work
                assert error(prepared.read(prepared.run()), reference(part)) <= tolerance(part), (layer, direction)
                compared += 1
    assert compared >= 10


def test_a_wrong_result_is_seen():
    work = Work.of(LAYERS[0])
    (y,) = reference(work)
    y[0, 0, 0, 0] += 0.01
    assert error((y,), reference(work)) > tolerance(work)
    y[0, 0, 0, 0] = np.nan
    assert error((y,), reference(work)) == np.inf
    assert error((y[:1],), reference(work)) == np.inf


def test_turns_are_taken_until_everyone_has_enough_samples():
    order = []
    timings = alternate([lambda: order.append("a"), lambda: order.append("b")], budget=0.01, repeats=3)
    assert all(timing.samples >= 3 and 0 < timing.best <= timing.median for timing in timings)
    assert "ab" in "".join(order)
    assert "ba" in "".join(order)[1:]


def test_rivals_that_cannot_be_the_fastest_take_one_turn(monkeypatch):
    monkeypatch.setattr("bench.timing.LONG", 0.02)
    calls = [lambda: sleep(0.03), lambda: sleep(0.06), lambda: sleep(0.06)]
    timings = alternate(calls, budget=0, repeats=2, rivals=[0, 1])
    assert [timing.samples for timing in timings] == [2, 1, 2]


def test_the_network_learns_the_same_on_the_loops():
    rng = np.random.default_rng(0)
    images, labels = rng.random((4, 8, 8, 1)), np.array([0, 3, 3, 9])
    parameters = network.initial_parameters(0, "float64")
    import cyconv

    ours, gradients = network.loss_and_gradients(cyconv, parameters, images, labels)
    loops, expected = network.loss_and_gradients(notebook, parameters, images, labels)
    assert ours == pytest.approx(loops, abs=1e-10)
    for ours, theirs in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize(
    "arguments",
    [
        "nonsense", "layers --suite nonsense", "layers --repeats 0", "layers --threads 0", "layers --threads 100000",
        "layers --peers tensorflow", "layers --suite lenet -k nonsense", "layers --direction up", "layers --seconds -1",
        "layers --json /no/such/place.json", "layers --picture x.gif", "compare /no/such.json /no/such.json", "readme",
        "layers --batch 1,0", "digits --algorithm fast", "choice --suite pool", "accuracy --suite pool -k max",
        "record -k nonsense", "report /no/such.json", "stack alexnet",
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_status_2(arguments, capsys):
    assert cli.main(arguments.split()) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert not printed.out


def test_help_explains_every_command(capsys):
    with pytest.raises(SystemExit) as leaving:
        cli.main(["--help"])
    assert leaving.value.code == 0
    text = capsys.readouterr().out
    assert all(f"python -m bench {command} " in text for command in cli.COMMANDS)


def test_a_run_is_kept_and_compared(tmp_path, capsys):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    asked = "layers --suite lenet -k 5x5x16 --direction forward --peers im2col --seconds 0.01"
    assert cli.main([*asked.split(), "--json", str(old)]) == 0
    assert "5x5x16->120 5x5" in capsys.readouterr().out
    run = json.loads(old.read_text())
    run["rows"][0]["timings"]["cyconv"]["best"] *= 2
    new.write_text(json.dumps(run))
    assert cli.main(["compare", str(old), str(old)]) == 0
    assert cli.main(["compare", str(old), str(new)]) == 1


def test_rows_are_judged_in_groups():
    def row(name, N, ours, peer, direct):
        layer = layer_of("resnet50", name, N)
        timings = {"cyconv": ours, "torch-nhwc": peer, "cyconv-direct": direct}
        return {
            "suite": "resnet50", "layer": name, "N": N, "direction": "forward", "dtype": "float32", "threads": 1,
            "algorithm": "auto", "flops": layer.flops("forward"), "bytes": 1,
            "timings": {key: {"best": seconds} for key, seconds in timings.items()},
        }  # fmt: skip

    run = Run("layers", {}, "", {}, limits={"float32 1": {"flops": 1e12, "bytes": 1e9}})
    run.contenders = {"torch-nhwc": {"name": "PyTorch NHWC"}}
    run.rows = [row("56x56x64->64 3x3", 1, 1e-3, 2e-3, 2e-3), row("14x14x1024->2048 1x1/2", 4, 2e-3, 1e-3, 2e-3)]
    table = summary.table([run])
    lines = {(*line[0].split("\n"), line[1]): line[2:] for line in table.rows}
    assert lines["every layer", "of best peer", "auto"] == [
        "2", "1.00x", "0.50x", "4x14x14x1024->2048 1x1/2\n(PyTorch NHWC)",
    ]  # fmt: skip
    assert lines["3x3, stride 1, C >= 32", "of best peer", "auto"][:3] == ["1", "2.00x", "2.00x"]
    assert lines["3x3, stride 1, C >= 32", "of best peer", "direct"][:3] == ["1", "1.00x", "1.00x"]
    assert lines["C, K >= 64, >= 50 MFLOP", "of limit", "auto"][2] == "23 %"  # 0.23 and 0.41 of 1 TFLOP/s
    assert not any("pooling" in line[0] or "depthwise" in line[0] for line in table.rows)
    assert table.notes[0].startswith("slowest rows: 0.50x auto 4x14x14x1024->2048 1x1/2 (PyTorch NHWC), 2.00x")
    overview = summary.overview([run])
    assert overview.columns == ["layers", "forward\nfloat32, 1 thread"]
    assert overview.rows[0] == ["every layer, auto\nof best peer", "1.00x\nleast 0.50x, 2"]


def test_a_choice_is_what_its_bits_say_and_costs_what_it_costs(capsys):
    asked = "choice --suite resnet50 -k 14x14x256->256 --batch 1 --direction forward --seconds 0.01 --repeats 1"
    assert cli.main(asked.split()) == 0
    assert "of 1 rows, within 15 %" in capsys.readouterr().out
    row = {"chosen": "direct", "timings": {"direct": {"best": 3.0}, "winograd": {"best": 2.0}}}
    assert choice.loss(row) == 0.5
    assert choice.loss(row | {"chosen": "winograd"}) == 0
    assert choice.loss(row | {"chosen": "neither"}) == np.inf


@pytest.mark.parametrize("name", campaign.RUNS)
def test_the_campaign_is_made_of_commands(name):
    options = cli._parse(campaign.RUNS[name].split())
    assert name.startswith(options.command) or name.split("-")[0] in SUITES


def test_pictures_are_the_same_whoever_draws_them():
    pytest.importorskip("matplotlib")
    from bench import pictures

    stack = {"network": "resnet50", "layers": 53, "N": 4, "dtype": "float64", "threads": 2, "flops": 1, "notes": {}}
    timing = {"best": 0.5, "median": 0.5, "spread": 0.0}
    run = Run("stack", {"network": "resnet50"}, "2026-01-01", {})
    run.contenders = {key: {"name": key} for key in ("cyconv", "jax")}
    run.rows = [
        stack | {"direction": direction, "timings": {"cyconv": timing, "jax": timing | {"best": 1.5}}}
        for direction in ("forward", "backward")
    ]
    drawn = pictures.draw_opening([run])
    assert drawn == pictures.draw_opening([run])
    assert b">4.00<" in drawn
    assert b">1.33 (3.00x)<" in drawn
    assert not pictures.same(drawn, drawn.replace(b">4.00<", b">5.00<"))
    elsewhere = drawn.replace(b"Matplotlib v", b"Matplotlib v0.")
    assert pictures.same(drawn, elsewhere.replace(b"fill: #", b"fill:#"))
    assert not pictures.same(drawn, drawn.replace(b"fill: #", b"fill:#"))
    assert not pictures.same(drawn, elsewhere.replace(b">4.00<", b">5.00<"))


def test_a_report_needs_no_other_file(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    asked = "layers --suite lenet -k 5x5x16 --direction forward --peers im2col --seconds 0.01"
    assert cli.main([*asked.split(), "--json", str(tmp_path / "run.json")]) == 0
    page = tmp_path / "page.html"
    assert cli.main(["report", str(tmp_path / "run.json"), "-o", str(page)]) == 0
    text = page.read_text()
    assert text.count("<img") == text.count("data:image/svg+xml;base64,") == 1
    assert "<td>5x5x16-&gt;120 5x5</td>" in text
    assert "http" not in text


def test_the_model_that_is_trained_has_the_convolutions_of_the_suite():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from bench.resnet import resnet50

    with torch.device("meta"):
        model = resnet50()
    convs = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    found = [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.padding[0]) for m in convs]
    suite = [layer for layer in SUITES["resnet50"] if isinstance(layer, Conv)]
    named = [(layer.C, layer.K, layer.R, layer.stride, layer.padding) for layer in suite for _ in range(layer.count)]
    assert sorted(found) == sorted(named)
    assert model(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 1000)


@pytest.mark.filterwarnings("default")
def test_training_steps_are_compared(monkeypatch, capsys):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from bench import resnet, train

    monkeypatch.setattr(resnet, "STAGES", ((8, 1, 1), (16, 1, 2)))
    asked = "train --size 32 --batch 2 --repeats 1 --seconds 0.001 --dtype float64"
    assert cli.main(asked.split()) == 0
    assert "PyTorch + cyconv" in capsys.readouterr().out
    monkeypatch.setattr(train, "TOLERANCE", {"float64": 0.0})
    assert cli.main(asked.split()) == 1
    assert cli.main(["train", "--peers", "im2col"]) == 2


def test_interrupted_work_is_shown(monkeypatch, capsys):
    from bench import layers

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(layers, "contest", interrupted)
    assert cli.main(["layers", "--suite", "lenet", "--peers", "none"]) == 130
    assert "interrupted" in capsys.readouterr().out


def test_more_threads_are_compared_with_fewer():
    from bench import speedup

    def row(name, threads, seconds):
        identity = {"layer": name, "N": 1, "direction": "forward", "algorithm": "auto", "dtype": "float32"}
        return identity | {"threads": threads, "timings": {"cyconv": {"best": seconds}}}

    run = Run("layers", {}, "", {})
    run.rows = [row("a", 1, 4e-3), row("b", 1, 4e-3), row("small", 1, 1e-3)]
    assert speedup.tables(run) == []
    run.rows += [row("a", 2, 2e-3), row("b", 2, 3.2e-3), row("small", 2, 1e-3)]
    assert [(round(one.value, 6), one.row["layer"]) for one in speedup.speedups(run)] == [(1.25, "b"), (2.0, "a")]
    (table,) = speedup.tables(run)
    assert table.rows[0] == ["1xb", "forward", "4.00 ms", "3.20 ms", "1.25x"]
    assert table.notes == ["1.58x (geometric mean of 2 rows above 2.00 ms), least 1.25x"]
