"""The benchmark scripts, without any peer."""

import ast
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from conftest import ROOT, load_script

import skvae
from skvae.metrics import ndcg_at_k
from skvae.ranking import top_k

pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def script_folders(monkeypatch):
    """The scripts import each other as they do when run."""
    for folder in ("benchmarks", "benchmarks/runners"):
        monkeypatch.syspath_prepend(str(ROOT / folder))


@pytest.fixture
def harness():
    return load_script("benchmarks/harness.py")


def table_lines(text):
    return [line for line in text.splitlines() if line.startswith("|")]


@pytest.mark.parametrize(
    ("script", "folder"),
    [
        *[(name, name) for name in ("accuracy", "ablation", "blend_weights", "defaults", "few_users", "likelihoods")],
        ("rules", "rules"),
        ("accuracy", "transposed"),
    ],
)
def test_the_tables_of_the_docs_are_those_of_the_record(harness, script, folder):
    rows = table_lines(load_script(f"benchmarks/{script}.py").tables(harness.RESULTS / folder))
    assert len(rows) > 8
    assert not set(rows) - set(table_lines((ROOT / "docs/accuracy.md").read_text()))


def test_the_table_of_the_readme_is_that_of_the_record(harness):
    models = {
        "`BlendRecommender`": "Blend",
        "`LinearRecommender`": "Linear",
        "`MultDAERecommender`": "MultDAE",
        "`MultVAERecommender`": "MultVAE",
        "Mult-VAE of irspack": "irspack MultVAE",
        "Mult-VAE of RecBole": "RecBole MultiVAE",
        "Mult-VAE of Cornac": "Cornac VAECF",
        "ALS of implicit": "implicit ALS",
        "popularity": "popularity",
    }
    section = (ROOT / "README.md").read_text().partition("## How accurate")[2].partition("\n## ")[0]
    (_, *names), _, *rows = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in table_lines(section)]
    labels, *columns = zip(*rows, strict=True)
    assert list(labels) == list(models)
    for name, shown in zip(names, columns, strict=True):
        runs = harness.Record(harness.RESULTS / "accuracy" / name.partition(",")[0]).runs
        means = [
            np.mean([runs[f"{model}, split {seed}"]["ndcg@100"][0] for seed in range(2)]) for model in models.values()
        ]
        assert list(shown) == [f"{mean:.3f}".lstrip("0") for mean in means]


def test_the_table_of_busy_machines_is_that_of_the_record(harness):
    script = load_script("benchmarks/busy.py")
    rows = table_lines(script.table(json.loads((harness.RESULTS / "busy" / "busy.json").read_text())))
    assert len(rows) == 8
    assert not set(rows[2:]) - set(table_lines((ROOT / "docs/faq.md").read_text()))


def test_programs_are_busy_as_long_as_they_are_measured_beside():
    script = load_script("benchmarks/busy.py")
    with script.busy(2) as programs:
        assert [program.poll() for program in programs] == [None, None]
    assert all(program.poll() is not None for program in programs)


@pytest.fixture
def common():
    return load_script("benchmarks/runners/common.py")


@pytest.mark.parametrize(("n_users", "n_items"), [(60, 300), (300, 60)])
def test_the_matrix_has_the_stated_mean_and_leaves_no_user_and_no_item_out(harness, n_users, n_items):
    X = harness.make_matrix(n_users, n_items, per_user=12)
    assert X.shape == (n_users, n_items)
    assert X.nnz == 12 * n_users
    assert (X.data == 1).all()
    assert X.has_canonical_format
    assert X.sum(0).min() > 0
    assert X.sum(1).min() > 0


def test_the_matrix_has_long_tails(harness):
    X = harness.make_matrix(500, 2000, per_user=20)
    for counts in (X.sum(0), X.sum(1)):
        most = np.sort(counts)[::-1]
        assert most[: len(most) // 10].sum() > 0.3 * X.nnz


def test_the_matrix_is_that_of_its_seed(harness):
    first, same, other = (harness.make_matrix(50, 40, 6, seed=seed) for seed in (0, 0, 1))
    assert (first != same).nnz == 0
    assert (first != other).nnz > 0


def test_users_of_a_large_catalogue_have_the_stated_items_with_a_long_tail(monkeypatch):
    script = load_script("benchmarks/large_catalogues.py")
    monkeypatch.setattr(script, "USERS_PER_CHUNK", 70)
    X = script.power_law(200, 5000, 20)
    assert X.shape == (200, 5000)
    assert X.has_canonical_format
    assert 15 < X.nnz / 200 <= 20
    assert (X.data == 1).all()
    counts = np.sort(X.sum(0))[::-1]
    assert counts[:500].sum() > 0.5 * X.nnz


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads it")
def test_the_memory_beside_a_mapped_matrix_is_measured_of_each_call(tmp_path):
    arguments = [
        "--scale",
        "0.005",
        "--items",
        "600",
        "--draws",
        "20",
        "--epochs",
        "1",
        "--folder",
        str(tmp_path / "X"),
    ]
    figures = load_script("benchmarks/mapped.py").main(arguments)
    assert skvae.open_interactions(tmp_path / "X" / "train").shape == (2000, 600)
    assert skvae.open_interactions(tmp_path / "X" / "test").shape == (200, 600)
    assert figures.keys() == {"interactions", "fit", "recommend", "evaluate"}
    assert 0 < figures["fit"] < 2**28


def test_a_markdown_table_has_a_line_a_row_under_two_of_header(harness):
    table = harness.markdown_table(["contestant", "users/s"], [["skvae", 2], ["floor", 3]])
    assert table == "| contestant | users/s |\n| --- | --- |\n| skvae | 2 |\n| floor | 3 |\n"


def test_a_file_is_not_there_before_it_is_complete(harness, tmp_path):
    path = tmp_path / "new" / "record.json"
    with harness.replacing(path) as part:
        part.write_text("{}")
        assert not path.exists()
    assert [file.name for file in path.parent.iterdir()] == ["record.json"]


def test_ndcg_of_the_runners_is_that_of_skvae(common):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((30, 150)).astype(np.float32)
    interactions = rng.random((30, 150))
    fold_in = sp.csr_matrix((interactions < 0.2).astype(np.float32))
    held_out = sp.csr_matrix(((interactions > 0.9) & (np.arange(30) > 2)[:, None]).astype(np.float32))
    items, _ = top_k(np.where(fold_in.toarray() > 0, -np.inf, scores), 100)
    assert common.ndcg_at_k(scores, fold_in, held_out) == pytest.approx(ndcg_at_k(held_out, items, k=100))


def test_ndcg_of_a_hand_worked_user(common):
    # item 0 is seen, so that the ranking is 1, 2, 3: hits at ranks 1 and 3 of 2 relevant items
    held_out = sp.csr_matrix([[0, 1, 0, 1]])
    ndcg = common.ndcg_at_k([[9, 3, 2, 1]], sp.csr_matrix([[1, 0, 0, 0]]), held_out)
    assert ndcg == pytest.approx((1 + 1 / 2) / (1 + 1 / np.log2(3)))


def test_the_clock_stands_still_during_a_visit(common, monkeypatch):
    now = iter([10.0, 12.0, 50.0, 53.0, 99.0])  # start, epoch 1, after its visit, epoch 2, after its visit
    monkeypatch.setattr(common.time, "perf_counter", lambda: next(now))
    clock = common.Clock(lambda seconds, score: len(seconds) == 2)
    clock.start()
    assert not clock.epoch_ended()
    assert clock.epoch_ended()
    assert clock.seconds == [2.0, 5.0]


@pytest.mark.parametrize("users_first", [True, False])
def test_the_floor_of_training_is_logits_weight_gradient_and_hidden_gradient(users_first):
    floor = load_script("benchmarks/runners/run_floor.py")
    products = floor.training_products(5, 3, 11, torch.float32, users_first)
    logits = (5, 11) if users_first else (11, 5)
    assert [tuple(out.shape) for *_, out in products] == [logits, (11, 3), (5, 3)]
    assert sum(left.shape[0] * left.shape[1] * right.shape[1] for left, right, _ in products) == 3 * 5 * 3 * 11
    floor.run(products)  # shapes fit
    left, right, out = products[0]
    torch.testing.assert_close(out, left @ right)


def test_the_floor_of_recommending_is_one_product_over_all_users():
    floor = load_script("benchmarks/runners/run_floor.py")
    products = floor.recommending_products(12, 5, 3, 11, torch.bfloat16)
    assert [tuple(left.shape) for left, *_ in products] == [(5, 3), (5, 3), (2, 3)]
    assert {out.data_ptr() for *_, out in products} == {products[0][2].data_ptr()}
    floor.run(products)


def test_every_runner_is_there_and_every_peer_has_requirements(harness):
    for script, groups in (("speed", "CONTESTANTS"), ("time_to_quality", "contestants")):
        contestants = getattr(load_script(f"benchmarks/{script}.py"), groups)
        contestants = contestants(91) if callable(contestants) else contestants
        runners = {runner for group in contestants.values() for runner, _ in group.values()}
        assert all((harness.RUNNERS / f"run_{runner}.py").exists() for runner in runners)
        peers = runners - {"skvae", "torch", "floor"}
        assert all((harness.RUNNERS / "requirements" / f"{peer}.txt").exists() for peer in peers)


def test_speed_compares_with_the_floor_of_the_same_precision():
    speed = load_script("benchmarks/speed.py")
    values = {
        "skvae float32": [300, 100, 200],
        "skvae bfloat16": [400],
        "floor float32": [500],
        "floor bfloat16": [800],
    }
    assert speed.compared("skvae float32", values) == ["200 (100 - 300)", "0.40", "1.00", "2.00"]
    assert speed.compared("skvae bfloat16", values) == ["400 (400 - 400)", "0.50", "0.50", "1.00"]
    assert speed.compared("irspack", {"irspack": [50], "skvae float32": [200]})[1:] == ["", "4.00", ""]


def test_time_to_quality_says_how_soon_ours_is_as_good():
    script = load_script("benchmarks/time_to_quality.py")
    own = {"seconds": [1.0, 2.0, 3.0], "scores": [0.1, 0.3, 0.25]}
    assert script.best_of(own) == (0.3, 2.0)
    assert script.seconds_to(own, 0.2) == 2.0
    assert script.seconds_to(own, 0.31) is None


def test_a_runner_measures_training_memory_and_recommending(harness):
    pytest.importorskip("sklearn.callback")  # which tells the end of an epoch
    python = harness.environment("skvae")
    with harness.saved(train=harness.make_matrix(80, 60, 8)) as folder:
        parameters = {"model": "MultDAERecommender", "n_components": 4, "batch_size": 20}
        result = harness.run("skvae", python, "speed", folder, parameters=parameters, n_epochs=2, n_calls=2)
    assert len(result["epoch_seconds"]) == 2
    assert min(result["epoch_seconds"]) > 0
    assert result["weight_bytes"] == 4 * (2 * 60 * 4 + 60 + 4)
    assert result["recommended_per_second"] > 0
    assert json.dumps(result["versions"])


def test_a_runner_that_fails_says_why(harness, tmp_path):
    with pytest.raises(RuntimeError, match=r"run_nobody\.py failed .*\n.*No such file"):
        harness.run("nobody", harness.environment("nobody"), "speed", tmp_path)


def test_accuracy_is_what_evaluate_says_and_is_not_run_again(tmp_path, monkeypatch, capsys):
    accuracy = load_script("benchmarks/accuracy.py")
    X = skvae.datasets.make_interactions(n_users=300, n_items=60, random_state=0)
    monkeypatch.setattr(accuracy, "load", lambda name: X)
    arguments = ["accuracy.py", "made-up", "--seeds", "2", "--results", str(tmp_path), "--models"]
    monkeypatch.setattr("sys.argv", [*arguments, "popularity", "EASE", "Linear"])
    accuracy.main()
    runs = json.loads((tmp_path / "made-up.json").read_text())["runs"]
    split = skvae.strong_generalization_split(X, random_state=1)
    ease = skvae.EASERecommender(**runs["EASE, split 1"]["parameters"]).fit(split.train)
    expected = skvae.evaluate(ease, split.test)
    assert runs["EASE, split 1"]["ndcg@100"] == pytest.approx(
        [expected.mean["ndcg@100"], expected.standard_error["ndcg@100"]]
    )
    difference = expected - skvae.evaluate(skvae.PopularityRecommender().fit(split.train), split.test)
    per_user = np.load(tmp_path / "made-up.npz")
    assert accuracy.pooled(
        [accuracy.mean_and_error(per_user["EASE, split 1"] - per_user["popularity, split 1"])]
    ) == accuracy.pooled([[difference.mean["ndcg@100"], difference.standard_error["ndcg@100"]]])
    linear = skvae.LinearRecommender(**runs["Linear, split 1"]["parameters"]).fit(split.train)
    assert runs["Linear, split 1"]["ndcg@100"][0] == pytest.approx(linear.score(split.test), abs=1e-4)
    assert "| EASE | " in (tmp_path / "accuracy.md").read_text()
    monkeypatch.setattr(accuracy.Models, "fit", None)
    accuracy.main()  # all of it is on record


def test_the_gpu_script_finds_that_a_device_computes_what_the_cpu_does(capsys):
    load_script("benchmarks/gpu.py").check_against_cpu("cpu")
    assert "cpu and cpu differ by 0.0e+00" in capsys.readouterr().out


def test_the_ablation_prints_a_row_a_model_beside_the_plain_one(X, tmp_path, monkeypatch, capsys):
    ablation = load_script("benchmarks/ablation.py")
    monkeypatch.setattr(ablation, "load", lambda name: X[:150])
    small = {"hidden_layer_sizes": (8,), "n_components": 4, "max_iter": 1}
    table = {name: (kind, parameters | small) for name, (kind, parameters) in ablation.models().items()}
    monkeypatch.setattr(ablation, "models", lambda: table)
    arguments = ["--max-iter", "1", "--seeds", "2", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["ablation.py", "small", *arguments])
    ablation.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| small")]
    assert [row[1] for row in rows] == list(table)
    assert [row[-1] for row in rows] == ["2 |"] * len(table)
    assert [row[1] for row in rows if "+-" not in row[-2]] == ["Mult-VAE", "Mult-DAE"]
    monkeypatch.setattr(ablation, "fit", None)
    ablation.main()  # all of it is on record


def test_the_defaults_stand_beside_the_best_of_the_grid(X, tmp_path, monkeypatch, capsys):
    defaults = load_script("benchmarks/defaults.py")
    monkeypatch.setattr(defaults, "load", lambda name: X)
    small = {"hidden_layer_sizes": (8,), "n_components": 4, "max_iter": 2}
    monkeypatch.setattr(defaults, "MODELS", {name: partial(kind, **small) for name, kind in defaults.MODELS.items()})
    monkeypatch.setattr("sys.argv", ["defaults.py", "small", "--trials", "2", "--results", str(tmp_path)])
    defaults.main()
    runs = list(json.loads((tmp_path / "small.json").read_text())["runs"].values())
    assert [run["model"] for run in runs] == ["MultVAE", "MultDAE"] * 3
    best = max(runs[3::2], key=lambda run: run["ndcg@100"][0])
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| small | MultDAE | 2"))
    assert f"| {runs[1]['ndcg@100'][0]:.4f} | {best['ndcg@100'][0]:.4f} |" in row
    assert f"batch_size={best['parameters']['batch_size']}" in row
    monkeypatch.setattr(defaults, "fit", None)
    defaults.main()  # all of it is on record


def test_a_rule_is_judged_on_the_set_that_did_not_choose_it(harness, X, tmp_path, monkeypatch, capsys):
    rules = load_script("benchmarks/rules.py")
    monkeypatch.setattr(rules, "load", lambda name: X[:150])
    small = {"hidden_layer_sizes": (8,), "n_components": 4, "max_iter": 1}
    monkeypatch.setattr(rules, "MODELS", {name: partial(kind, **small) for name, kind in rules.MODELS.items()})
    monkeypatch.setattr("sys.argv", ["rules.py", "a", "b", "c", "--seeds", "2", "--results", str(tmp_path)])
    rules.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| a | ")]
    assert [row[3] for row in rows if len(row) > 6] == [*rules.RULES_OF["MultDAE"], *rules.RULES_OF["MultVAE"]]
    assert [row[1] for row in rows if len(row) <= 6] == ["MultDAE", "MultVAE"]
    # rule 0 is the best on two of three sets, rule 1 on the last one
    records = []
    for name, values in {"a": (0.5, 0.4), "b": (0.6, 0.4), "c": (0.1, 0.2)}.items():
        record = harness.Record(tmp_path / "judged" / name)
        for rule, value in zip(rules.RULES, values, strict=False):
            record.add(f"MultDAE: {rule}, 0", {}, [value, value])
        records.append(record)
    first, second, *_ = rules.RULES
    lines = [line.strip("| ").split(" | ") for line in rules.judged("MultDAE", records).splitlines()[2:]]
    assert [line[2:4] for line in lines] == [[first, first], [first, first], [first, second]]
    assert lines[2][4] == "-0.1000 +- 0.0000"
    monkeypatch.setattr(rules, "fit", None)
    rules.main()  # all of it is on record


def test_the_rule_of_a_blend_is_among_those_that_are_compared(harness, X, tmp_path, monkeypatch, capsys):
    script = load_script("benchmarks/blend_weights.py")
    models = {"Linear": skvae.EASERecommender(), "MultDAE": skvae.PopularityRecommender()}
    monkeypatch.setattr(script, "load", lambda name: X)
    monkeypatch.setattr(script, "BLENDS", [tuple(models)])
    monkeypatch.setattr(
        script.accuracy, "Models", lambda split, seed: {name: (m.fit(split.train), {}) for name, m in models.items()}
    )
    monkeypatch.setattr("sys.argv", ["blend_weights.py", "small", "--splits", "1", "--results", str(tmp_path)])
    script.main()
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("| small | 2 |"))
    runs = harness.Record(tmp_path / "blend_weights").runs
    split = skvae.strong_generalization_split(X, random_state=0)
    blend = skvae.BlendRecommender([*models.items()], prefit=True).fit(split.validation)
    own = runs["small, Linear MultDAE, split 0, mean by nearness"]
    np.testing.assert_allclose(own["weights"], blend.weights_, atol=2e-3)
    assert runs["small, Linear MultDAE, split 0, equal"]["weights"] == [0.5, 0.5]
    best = max(skvae.evaluate(model, split.test, "ndcg@100").mean["ndcg@100"] for model in models.values())
    assert row.split(" | ")[5].startswith(f"{own['ndcg@100'] - best:.4f}")
    monkeypatch.setattr(script, "measure", None)
    script.main()  # all of it is on record


def test_the_likelihoods_are_compared_with_multinomial_and_not_run_again(X, tmp_path, monkeypatch, capsys):
    likelihoods = load_script("benchmarks/likelihoods.py")
    monkeypatch.setattr(likelihoods, "load", lambda name: X[:150])
    small = {name: partial(kind, n_components=4) for name, kind in likelihoods.ESTIMATORS.items()}
    monkeypatch.setattr(likelihoods, "ESTIMATORS", small)
    arguments = ["--seeds", "2", "--max-iter", "1", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["likelihoods.py", "small", *arguments])
    likelihoods.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| small")]
    assert [row[1:3] for row in rows] == [[kind, name] for kind in small for name in likelihoods.LIKELIHOODS]
    assert [row[2] for row in rows if "+-" not in row[-1]] == ["multinomial"] * 2
    monkeypatch.setattr(likelihoods, "fit", None)
    likelihoods.main()  # all of it is on record


def test_the_encoder_stands_beside_factorize_and_the_model_alone(tmp_path, monkeypatch, capsys):
    encoder = load_script("benchmarks/encoder.py")
    monkeypatch.setattr(encoder, "N_ITEMS", 500)
    small = {
        name: model.set_params(**{"n_components": 4} if name != "popularity" else {})
        for name, model in encoder.MODELS.items()
    }
    monkeypatch.setattr(encoder, "MODELS", small)
    arguments = ["--events", "500", "--users", "50", "--rounds", "3", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["encoder.py", *arguments])
    encoder.main()
    rows = [line.split(" | ")[:2] for line in table_lines(capsys.readouterr().out)[2:]]
    assert rows == [["| encode", name] for name in encoder.TYPES] + [["| recommend", name] for name in small]
    runs = json.loads((tmp_path / "encoder.json").read_text())["runs"]
    assert {len(run[name]) for run in runs.values() for name in ("seconds", "alone")} == {3}
    assert encoder.summary({"seconds": [3, 1, 2], "alone": [1, 1, 5]}) == ["2.00", "1.00", "2.0"]


def test_two_processes_stand_beside_one(tmp_path, monkeypatch, capsys):
    script = load_script("benchmarks/processes.py")
    monkeypatch.setattr(script, "TASKS", {"small": (skvae.MultDAERecommender(4, n_sampled_items=None), 20, 400)})
    script.take_part(0, 1, torch.get_num_threads(), tmp_path, "small", 4)
    assert float((tmp_path / "seconds").read_text()) > 0
    monkeypatch.setattr(script, "measure", lambda task, size, n_threads, n_updates: 0.1 / size)
    monkeypatch.setattr("sys.argv", ["processes.py", "--tasks", "small", "--results", str(tmp_path)])
    script.main()
    assert table_lines(capsys.readouterr().out)[-1] == "| small | 100 | 50 | 100 | 2.00 |"


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads it")
def test_a_soak_finds_nothing_that_grows_and_no_wrong_answer(tmp_path, monkeypatch, capsys):
    pytest.importorskip("fastapi")
    soak = load_script("benchmarks/soak.py")
    monkeypatch.setattr(soak, "SECONDS_OF_SILENCE", 0.5)
    soak.main(["--minutes", "0.02", "--client-minutes", "0.02", "--results", str(tmp_path)])
    record = json.loads((tmp_path / "soak.json").read_text())
    assert record["loop"]["loops"] > 0
    assert (record["clients"]["wrong"], record["clients"]["after"]) == (0, record["clients"]["before"])
    assert record["clients"]["good"] > 0
    assert record["clients"]["refused"] > 0
    assert "\n| minutes | resident, MB | handles |" in capsys.readouterr().out
    soak.main(["--minutes", "0", "--client-minutes", "0", "--results", str(tmp_path)])  # all of it is on record


def test_a_soak_tells_what_grows():
    soak = load_script("benchmarks/soak.py")
    rows = [{"minutes": n, "rss": 1e8 + 2e6 * n, "handles": 5 + n // 5, "files": 3} for n in range(10)]
    assert soak.slope(rows) == pytest.approx((120, 0), abs=1e-6)
    assert soak.grown(rows, ("handles", "files"), "the loop") == ["handles of the loop grew from 5 to 6."]


@pytest.mark.filterwarnings("ignore:partial_fit adds users")
def test_a_soak_tells_of_a_model_that_answers_in_another_way_once_loaded(tmp_path, monkeypatch):
    soak, failures = load_script("benchmarks/soak.py"), []
    model = soak.MODELS["linear"].fit(soak.harness.make_matrix(soak.N_USERS, soak.N_ITEMS, per_user=20))
    other = skvae.EASERecommender().fit(np.ones((3, soak.N_ITEMS + soak.N_ADDED)))
    monkeypatch.setattr(soak.joblib, "load", lambda path: other)
    soak.used(model, soak.harness.make_matrix(soak.N_USERS, soak.N_ITEMS, per_user=20), 0, tmp_path, failures)
    assert failures == ["Round 0: LinearRecommender answers in another way from now.joblib."]


def test_a_fault_changes_its_module_alone_and_the_same_seed_draws_the_same():
    mutants = load_script("benchmarks/mutants.py")
    for name in mutants.TESTS:
        source = (ROOT / mutants.source_file(name)).read_text()
        drawn = list(mutants.faults(name, 3, seed=0))
        assert drawn == list(mutants.faults(name, 3, seed=0))
        assert all(ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source)) for _, changed in drawn)
        assert all((ROOT / path).exists() for path in mutants.tests_of(name))


def test_what_is_chosen_is_worth_nothing_to_a_linear_model_where_users_are_too_few(X, tmp_path, monkeypatch, capsys):
    script = load_script("benchmarks/few_users.py")
    small = partial(skvae.MultDAERecommender, 2, max_iter=2)
    monkeypatch.setattr(script, "load", lambda name: X)
    monkeypatch.setattr(script.skvae, "MultDAERecommender", small)
    options = ["--splits", "1", "--users", "90", "200", "--results", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["few_users.py", "small", *options])
    script.main()
    lines = (line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| small"))
    few, more, *of_few_items = lines
    assert few[6] == "0.0000 +- 0.0000 |"
    assert more[6] != "0.0000 +- 0.0000 |"
    assert [row[4] == "0.0000 +- 0.0000 |" for row in of_few_items] == [False, False]
    cut = script.few_of_each(X, seed=0)
    assert set(np.diff(cut.indptr)) == {2, 3, 4}
    assert (cut.multiply(X) != 0).nnz == cut.nnz
    monkeypatch.setattr(script, "validated", None)
    script.main()  # all of it is on record
