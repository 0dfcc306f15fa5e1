"""The reproduction of Liang et al. (WWW 2018): the split against a slow oracle, resumption, checks, errors."""

import json
import re
from collections import Counter

import numpy as np
import pytest
from conftest import error_sentence, load_script

import skvae

pytest.importorskip("pandas")

SCRIPT = "benchmarks/reproduce/liang2018.py"
N_USERS, N_ITEMS, N_TEST = 270, 80, 25
NAMES = ("ml-20m", "netflix", "msd")
TINY = {"batch_size": 100, "n_components": 4, "verbose": 0}


@pytest.fixture
def script(monkeypatch):
    """The script with few test users, small models, and nothing known of the data."""
    module = load_script(SCRIPT)
    for name in NAMES:
        monkeypatch.setitem(module.N_TEST_USERS, name, N_TEST)
    monkeypatch.setitem(module.COUNTS, "ml-20m", {})
    monkeypatch.delitem(module.PUBLISHED["ml-20m"], "popularity")
    module.MODELS["mult-dae"].set_params(**TINY)
    module.MODELS["mult-vae"].set_params(**TINY, hidden_layer_sizes=(8,), total_anneal_steps=0)
    return module


def raw_rows(name):
    """(user, item, value) in the order of the file, ids not dense; Netflix has an order of its own."""
    rng = np.random.default_rng(0)
    user_ids = rng.choice(10_000, N_USERS, replace=False) + 1
    item_ids = rng.choice(10_000, N_ITEMS, replace=False) + 1
    # so many users a song that 200 listeners and 20 songs decide something; else few, and items of one user
    share = 0.74 * (np.arange(N_ITEMS) < 50) if name == "msd" else np.geomspace(0.8, 0.002, N_ITEMS)
    pairs = np.argwhere(rng.random((N_USERS, N_ITEMS)) < share)
    if name == "netflix":
        pairs = pairs[np.lexsort((rng.random(len(pairs)), pairs[:, 1]))]
    values = rng.integers(5, 11, len(pairs)) / 2 if name == "ml-20m" else rng.integers(2, 6, len(pairs))
    rows = [(int(user_ids[u]), int(item_ids[i]), value) for (u, i), value in zip(pairs, values, strict=True)]
    if name == "msd":
        return sorted(rows, key=lambda row: (f"{row[0]:x}", f"SO{row[1]:x}"))
    return sorted(rows) if name == "ml-20m" else rows


def write_movielens(folder, *lines):
    (folder / "ratings.csv").write_text("\n".join(["userId,movieId,rating,timestamp", *lines]) + "\n")
    movies = sorted({int(line.split(",")[1]) for line in lines})
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "".join(f"{i},Movie {i},Drama\n" for i in movies))


def write_files(name, folder):
    rows = raw_rows(name)
    folder.mkdir(exist_ok=True)
    if name == "ml-20m":
        write_movielens(folder, *(f"{u},{i},{value:.1f},11" for u, i, value in rows))
    elif name == "msd":
        lines = [f"{u:x}\tSO{i:x}\t{value}\n" for u, i, value in rows]
        (folder / "train_triplets.txt").write_text("".join(lines))
    else:
        movies = list(dict.fromkeys(item for _, item, _ in rows))
        for part in range(4):
            lines = [netflix_block(movie, rows) for movie in movies[20 * part : 20 * part + 20]]
            (folder / f"combined_data_{part + 1}.txt").write_text("".join(lines))
    return folder


def netflix_block(movie, rows):
    return f"{movie}:\n" + "".join(f"{u},{value},2005-09-06\n" for u, i, value in rows if i == movie)


def oracle(name):
    """The protocol in plain loops: train, validation and test as sets of (row, column), and the number of items."""
    rows = raw_rows(name)
    if name == "msd":
        rows = [(f"{u:x}", f"SO{i:x}") for u, i, _ in rows]
        listeners = {item: sum(other == item for _, other in rows) for item in {item for _, item in rows}}
        rows = [row for row in rows if listeners[row[1]] >= 200]
    else:
        rows = [(u, i) for u, i, value in rows if value >= 4]
    counts = Counter(user for user, _ in rows)
    rows = [row for row in rows if counts[row[0]] >= (20 if name == "msd" else 5)]

    users = sorted({user for user, _ in rows})
    users = [users[place] for place in np.random.RandomState(98765).permutation(len(users))]
    groups = users[: -2 * N_TEST], users[-2 * N_TEST : -N_TEST], users[-N_TEST:]
    columns = {}
    for user, item in rows:
        if user in groups[0]:
            columns.setdefault(item, len(columns))
    sets = [{(groups[0].index(user), columns[item]) for user, item in rows if user in groups[0]}]
    for group in groups[1:]:
        draws = np.random.RandomState(98765)
        fold_in, held_out = set(), set()
        for user in sorted(group):
            items = [item for other, item in rows if other == user and item in columns]
            hidden = draws.choice(len(items), size=int(0.2 * len(items)), replace=False) if len(items) >= 5 else []
            for place, item in enumerate(items):
                (held_out if place in hidden else fold_in).add((group.index(user), columns[item]))
        sets += [fold_in, held_out]
    return sets, len(groups[0]), len(columns)


def run(script, name, folder, results, *options):
    script.main([name, str(folder), "--results", str(results), "--max-iter", "2", *options])


@pytest.mark.parametrize("name", NAMES)
def test_the_split_is_that_of_the_protocol_made_or_cached(script, tmp_path, name):
    folder = write_files(name, tmp_path / "data")
    sets, n_train, n_items = oracle(name)
    for _ in range(2):
        split = script.load_split(name, folder, tmp_path)
        assert [X.shape for X in split] == [(n_train, n_items)] + 4 * [(N_TEST, n_items)]
        for X, pairs in zip(split, sets, strict=True):
            assert set(zip(*(part.tolist() for part in X.nonzero()), strict=True)) == pairs
            assert X.nnz == len(pairs)
            assert (X.data == 1).all()


def test_the_synthetic_data_reach_every_rule(script, tmp_path):
    movielens, songs = (script.load_split(n, write_files(n, tmp_path / n), tmp_path) for n in ("ml-20m", "msd"))
    n_liked = len({item for _, item, value in raw_rows("ml-20m") if value >= 4})
    assert movielens.train.shape[1] < n_liked
    assert np.diff(movielens.test_held_out.indptr).min() == 0
    n_songs = Counter(user for user, _, _ in raw_rows("msd"))
    assert songs.train.shape[1] < 50
    assert songs.train.shape[0] + 2 * N_TEST < sum(count >= 20 for count in n_songs.values())


def test_the_original_netflix_archive_gives_what_the_kaggle_files_give(script, tmp_path):
    kaggle = script.read_netflix(write_files("netflix", tmp_path / "kaggle"))
    folder, rows = tmp_path / "original" / "training_set", raw_rows("netflix")
    folder.mkdir(parents=True)
    for place, movie in enumerate(dict.fromkeys(item for _, item, _ in rows)):
        (folder / f"mv_{place:07d}.txt").write_text(netflix_block(movie, rows))
    for ours, theirs in zip(script.read_netflix(folder.parent), kaggle, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_prints_its_table_and_a_second_run_trains_nothing(script, tmp_path, capsys, monkeypatch, name):
    folder, results = write_files(name, tmp_path / "data"), tmp_path / "results"
    global_state = np.random.get_state()[1].copy()  # noqa: NPY002
    run(script, name, folder, results)
    np.testing.assert_array_equal(np.random.get_state()[1], global_state)  # noqa: NPY002
    models = [f"{name}-mult-dae-2-float32.json", f"{name}-mult-vae-2-float32.json", f"{name}-popularity.json"]
    assert sorted(path.name for path in results.iterdir()) == sorted([*models, f"{name}.md", f"{name}.npz"])
    report = (results / f"{name}.md").read_text()
    assert report in capsys.readouterr().out
    assert f" ({script.PUBLISHED[name]['mult-vae'][2]:.3f}) | " in report

    for model in (skvae.MultVAERecommender, skvae.MultDAERecommender, skvae.PopularityRecommender):
        monkeypatch.setattr(model, "fit", lambda *_, **__: pytest.fail("a finished model is trained again"))
    run(script, name, folder, results)
    assert (results / f"{name}.md").read_text() == report


def test_a_result_holds_what_evaluate_says_of_the_same_model(script, tmp_path):
    run(script, "ml-20m", write_files("ml-20m", tmp_path / "data"), tmp_path, "--model", "mult-dae")
    result = json.loads((tmp_path / "ml-20m-mult-dae-2-float32.json").read_text())
    split = script.load_split("ml-20m", tmp_path / "data", tmp_path)
    model = skvae.MultDAERecommender(4, batch_size=100, max_iter=2, early_stopping=False, random_state=0)
    model.set_params(learning_rate=1e-3, averaging_epochs=0, initialization="xavier", target="all")
    model.fit(split.train, X_val=(split.validation_fold_in, split.validation_held_out))
    evaluation = skvae.evaluate(model, split.test_fold_in, y=split.test_held_out)
    assert result["mean"] == pytest.approx(evaluation.mean)
    assert result["standard_error"] == pytest.approx(evaluation.standard_error)
    assert result["best_epoch"] == model.best_iter_
    assert sum(group["n_users"] for group in result["by_activity"]) == result["n_users"] == evaluation.n_users
    assert not list(tmp_path.glob("*mult-vae*"))


def test_models_have_the_settings_of_the_original():
    module = load_script(SCRIPT)
    shared = {"batch_size": 500, "learning_rate": 1e-3, "averaging_epochs": 0, "early_stopping": False}
    shared |= {"initialization": "xavier", "target": "all"}
    shared |= {"n_components": 200, "dropout": 0.5}
    vae = {"hidden_layer_sizes": (600,), "total_anneal_steps": 200_000, "anneal_cap": 0.2, "l2_regularization": 0}
    dae = {"hidden_layer_sizes": (), "l2_regularization": 2e-5, "activation": "tanh"}
    for name, expected in {"mult-vae": vae, "mult-dae": dae}.items():
        assert (shared | expected).items() <= module.MODELS[name].get_params().items()


def test_quintiles_are_those_of_numpy(script):
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 30, 200)
    fold_in = skvae.model_selection.sp.csr_array(np.arange(30) < sizes[:, None])
    scores = np.where(rng.random(200) < 0.1, np.nan, rng.random(200))
    scored = ~np.isnan(scores)
    edges = [0, *np.quantile(sizes[scored], [0.2, 0.4, 0.6, 0.8, 1.0])]
    groups = script.by_activity(fold_in, skvae.Evaluation({"ndcg@100": scores}))
    assert len(groups) == 5
    for group, low, high in zip(groups, edges, edges[1:], strict=False):
        members = scored & (low < sizes) & (sizes <= high)
        assert group["n_users"] == members.sum()
        assert group["fold_in_items"] == [sizes[members].min(), sizes[members].max()]
        assert group["mean"] == pytest.approx(scores[members].mean())
        assert group["standard_error"] == pytest.approx(scores[members].std(ddof=1) / np.sqrt(members.sum()))


def test_users_of_one_size_are_one_quintile(script):
    evaluation = skvae.Evaluation({"ndcg@100": np.arange(6.0)})
    groups = script.by_activity(skvae.model_selection.sp.csr_array(np.ones((6, 4))), evaluation)
    assert [group["n_users"] for group in groups] == [6]


def test_another_popularity_than_the_known_one_stops_before_training(script, tmp_path, capsys, monkeypatch):
    folder = write_files("ml-20m", tmp_path / "data")
    split = script.load_split("ml-20m", folder, tmp_path)
    popularity = skvae.PopularityRecommender().fit(split.train)
    mean = skvae.evaluate(popularity, split.test_fold_in, script.METRICS, y=split.test_held_out).mean
    known = np.array([mean[metric] for metric in script.METRICS])
    monkeypatch.setitem(script.PUBLISHED["ml-20m"], "popularity", (known + 0.0009).tolist())
    script.check_popularity("ml-20m", split)
    monkeypatch.setitem(script.PUBLISHED["ml-20m"], "popularity", (known + np.array([0, 0, 0.0011])).tolist())
    sentence = error_sentence(capsys, run, script, "ml-20m", folder, tmp_path / "results")
    assert "Popularity has ndcg@100 " in sentence
    assert "no model is trained" in sentence
    assert not list((tmp_path / "results").iterdir())


def test_other_counts_than_the_known_ones_are_named(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(script.COUNTS, "ml-20m", {"users": 136_677})
    sentence = error_sentence(capsys, run, script, "ml-20m", write_files("ml-20m", tmp_path / "data"), tmp_path)
    assert "users, ml-20m has 136677: use the official files." in sentence


def test_a_missing_folder_is_named(script, tmp_path, capsys):
    assert "absent is not a folder." in error_sentence(capsys, run, script, "msd", tmp_path / "absent", tmp_path)


FILES = {"ml-20m": "ratings.csv", "netflix": "combined_data_1.txt", "msd": "train_triplets.txt"}


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(script, tmp_path, capsys, name):
    assert f"{FILES[name]} not found" in error_sentence(capsys, run, script, name, tmp_path, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_other_columns_are_shown(script, tmp_path, capsys, name):
    (tmp_path / FILES[name]).write_text("user;item\n1;2\n")
    sentence = error_sentence(capsys, run, script, name, tmp_path, tmp_path)
    assert re.search(rf"{FILES[name]} .*must begin with .*; it begins with 'user;item'", sentence)


def test_lines_that_cannot_be_read_are_said(script, tmp_path, capsys):
    write_movielens(tmp_path, "1,2,good,3")
    assert "ratings.csv cannot be read: " in error_sentence(capsys, run, script, "ml-20m", tmp_path, tmp_path)
    (tmp_path / FILES["netflix"]).write_text("1:\nx7,4,2005-09-06\n")
    assert "user or movie that is not a number" in error_sentence(capsys, run, script, "netflix", tmp_path, tmp_path)
    (tmp_path / FILES["msd"]).write_text("a\tb\t1\na\n")
    assert "train_triplets.txt cannot be read: " in error_sentence(capsys, run, script, "msd", tmp_path, tmp_path)


def test_too_few_users_are_counted(script, tmp_path, capsys):
    write_movielens(tmp_path, "1,2,4.0,3")
    sentence = error_sentence(capsys, run, script, "ml-20m", tmp_path, tmp_path)
    assert "0 users are left: 50 are for validation and test alone." in sentence


def test_epochs_are_at_least_one(script, tmp_path, capsys):
    sentence = error_sentence(capsys, run, script, "msd", tmp_path, tmp_path, "--max-iter", "0")
    assert "--max-iter must be at least 1, got 0." in sentence


@pytest.mark.filterwarnings("ignore:beta will end at")  # the schedule is one for gowalla
def test_on_gowalla_what_the_first_fit_chooses_the_second_takes_over(tmp_path, monkeypatch):
    gowalla = load_script("benchmarks/reproduce/gowalla.py")
    for model in gowalla.AUTOENCODERS.values():
        model.set_params(n_components=4, max_iter=4, batch_size=50, verbose=0)
    train = skvae.datasets.make_interactions(n_users=300, n_items=80, random_state=0)
    kept, test = skvae.fold_in_split(train)
    fits = gowalla.Fits(kept, tmp_path, {"device": "cpu"})
    for name in gowalla.MODELS:
        fits.evaluate(name, test)
    record = json.loads((tmp_path / "blend.json").read_text())
    assert list(record["weights"]) == ["linear-chosen", "mult-vae", "mult-dae-default"]
    blend = fits.second("blend")
    np.testing.assert_allclose(blend.weights_, list(record["weights"].values()))
    assert blend.named_estimators_["linear-chosen"].n_features_in_ == 80
    assert blend.named_estimators_["mult-vae"].n_iter_ == fits.chosen("mult-vae")["epochs"]
    evaluation = skvae.evaluate(blend, kept, gowalla.METRICS, y=test)
    assert record["mean"] == pytest.approx(evaluation.mean)
    assert all(
        f"| skvae {name} | {fits.chosen(name)['mean']['recall@20']:.4f}" in gowalla.table(tmp_path)
        for name in gowalla.MODELS
    )
    dan = fits.second("rlae-dan")
    assert (dan.l2_regularization_, dan.dropout_, dan.user_exponent_, dan.item_exponent_) == (20, 0.6, 0.3, 0.2)
    assert dan.weights_.diagonal().max() == pytest.approx(0.1)
    monkeypatch.setattr(gowalla.Fits, "first", None)
    again = gowalla.Fits(kept, tmp_path, {})
    again.evaluate("blend", test)  # it is on record
