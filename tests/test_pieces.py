"""Pieces defined outside of skvae: each works wherever the built-in ones do, as an object or as a row of a table."""

import math
import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import SMALL_DAE, SMALL_RECVAE, SMALL_VAE, WideNormal, same_weights
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skvae import BlendRecommender, MultDAERecommender, PopularityRecommender, RankingScorer, UserKFold, evaluate
from skvae.blend_normalizations import NORMALIZATIONS
from skvae.core.activations import ACTIVATIONS, Activation
from skvae.core.annealing import KL_WEIGHTINGS, SCHEDULES, LinearAnnealing
from skvae.core.initialization import INITIALIZATIONS, xavier
from skvae.core.likelihoods import LIKELIHOODS, Multinomial
from skvae.core.objectives import TARGETS
from skvae.core.pieces import has_part, is_ours
from skvae.core.priors import PRIORS, CompositePrior, StandardNormal
from skvae.export import to_onnx
from skvae.metrics import METRICS


class Laplace:
    """x_ui ~ Laplace(f_ui, 1)."""

    def log_prob(self, logits, batch):
        return -(batch.to_dense() - logits).abs().sum(1)

    def mean(self, logits):
        return logits


class StudentT:
    """z_k ~ t with three degrees of freedom, without a closed form of its KL divergence."""

    def log_prob(self, code):
        return torch.distributions.StudentT(3.0).log_prob(code).sum(-1)


class Cosine:
    """From 0 to the cap along half a cosine, at the cap when linear annealing is."""

    def __init__(self, anneal_cap=0.1, total_anneal_steps=20):
        self.final, self.steps = anneal_cap, anneal_cap * total_anneal_steps

    def weight(self, update):
        return self.final * (1 - math.cos(math.pi * min(1, update / self.steps))) / 2


def constant(network, rows, generator):
    """Xavier's weights and biases of -1."""
    xavier(network, rows, generator)
    with torch.no_grad():
        network.decoder.item_bias.fill_(-1.0)


def square_root(beta, batch):
    return beta * batch.sum_per_user(batch.values).sqrt()


def kept(batch, inputs, dropout):
    """What dropout left in the input."""
    return replace(batch, values=batch.values.where(inputs.values > 0, 0)), 1 / (1 - dropout)


def ranks(scores, seen):
    return scores.argsort(axis=1).argsort(axis=1).astype(np.float32)


def first_hit(held_out, items, *, k=None, per_user=False):
    """Whether the first item is a hit; NaN where nothing was held out."""
    held_out = held_out.toarray() > 0
    hits = np.where(held_out.any(1), held_out[np.arange(len(items)), items[:, 0]], np.nan)
    return hits if per_user else float(np.nanmean(hits))


OBJECTS = [
    (SMALL_VAE, "likelihood", Laplace()),
    (SMALL_DAE, "likelihood", Laplace()),
    (SMALL_RECVAE, "likelihood", Laplace()),
    (SMALL_VAE, "prior", StudentT()),
    (SMALL_VAE, "kl_schedule", Cosine()),
    (SMALL_VAE, "initialization", constant),
    (SMALL_DAE, "initialization", constant),
    (SMALL_RECVAE, "initialization", constant),
]


@pytest.mark.parametrize(
    ("estimator", "parameter", "piece"), OBJECTS, ids=[f"{type(row[0]).__name__} {row[1]}" for row in OBJECTS]
)
def test_a_piece_of_ones_own_trains_answers_is_searched_and_saved(estimator, parameter, piece, X):
    plain, own = clone(estimator), clone(estimator).set_params(**{parameter: piece})
    assert plain.fit(X).loss_curve_ != own.fit(X).loss_curve_
    own.partial_fit(X)
    for answer in (own.decision_function(X), own.score_samples(X), own.inverse_transform(own.transform(X))):
        assert np.isfinite(answer).all()
    copy = pickle.loads(pickle.dumps(own))
    assert np.array_equal(copy.score_samples(X), own.score_samples(X))
    search = GridSearchCV(
        clone(estimator).set_params(max_iter=1),
        {parameter: [plain.get_params()[parameter], piece]},
        cv=UserKFold(2),
        scoring=RankingScorer({"hit@1": first_hit}),
        refit="hit@1",
    )
    assert np.isfinite(search.fit(X).cv_results_["mean_test_hit@1"]).all()


class OfStandard(StandardNormal):
    log_prob = WideNormal.log_prob


class OfComposite(CompositePrior):
    log_prob = WideNormal.log_prob


def test_pieces_show_their_parameters():
    gaussian, prior = LIKELIHOODS["gaussian"](alpha=3), PRIORS["composite"](wide_log_variance=2.0)
    assert repr(gaussian) == "Gaussian(alpha=3)"
    assert "likelihood=Gaussian(alpha=3)" in repr(MultDAERecommender(likelihood=gaussian))
    assert repr(prior) == "CompositePrior(weights=(0.15, 0.75, 0.1), wide_log_variance=2.0)"
    assert repr(LinearAnnealing(0.2)) == "LinearAnnealing(anneal_cap=0.2, total_anneal_steps=0)"


@pytest.mark.parametrize("subclass", [OfStandard, OfComposite])
def test_a_prior_that_replaces_log_prob_is_trained_by_its_own(subclass, X):
    alone, inherited = (clone(SMALL_VAE).set_params(prior=prior).fit(X) for prior in (WideNormal(), subclass()))
    assert same_weights(alone, inherited)


class LogProbOfMultinomial:
    def log_prob(self, logits, batch):
        return (logits.log_softmax(-1) * batch.to_dense()).sum(-1)

    def mean(self, logits):
        return logits.softmax(-1)

    def intercept(self, rows):
        return Multinomial().intercept(rows)


class OfMultinomial(Multinomial):
    log_prob, mean, intercept = map(vars(LogProbOfMultinomial).get, ("log_prob", "mean", "intercept"))


class ByResiduals(Multinomial):
    def residuals(self, logits, batch):
        return super().residuals(logits, batch)


def test_a_likelihood_that_replaces_log_prob_says_itself_what_it_can(X):
    alone, inherited = (
        clone(SMALL_DAE).set_params(likelihood=likelihood).fit(X)
        for likelihood in (LogProbOfMultinomial(), OfMultinomial())
    )
    assert alone.target_ == inherited.target_ == "all"
    assert same_weights(alone, inherited)
    for likelihood in (OfMultinomial(), ByResiduals()):
        with pytest.raises(ValueError, match="needs a likelihood with takes_item_weights = True"):
            clone(SMALL_DAE).set_params(likelihood=likelihood, n_sampled_items=5).fit(X)
        likelihood.takes_item_weights = True
        clone(SMALL_DAE).set_params(likelihood=likelihood, n_sampled_items=5, max_iter=1).fit(X)


class Falling:
    final = 0.1

    def weight(self, update):
        return max(self.final, 1 - 0.01 * update)


def test_early_stopping_waits_for_a_schedule_that_falls(X):
    model = clone(SMALL_VAE).set_params(kl_schedule=Falling(), max_iter=60, learning_rate=0.02, n_iter_no_change=2)
    model.set_params(batch_size=40).fit(X[:400], X_val=X[400:])
    at_final = next(i for i, beta in enumerate(model.beta_curve_, start=1) if beta == 0.1)
    assert model.n_iter_ == max(at_final - 1, model.best_iter_) + 2
    assert model.n_iter_ < 60


ROWS = [
    (SMALL_DAE, "likelihood", LIKELIHOODS, Laplace),
    (SMALL_VAE, "prior", PRIORS, StudentT),
    (SMALL_VAE, "kl_schedule", SCHEDULES, Cosine),
    (SMALL_VAE, "kl_weighting", KL_WEIGHTINGS, square_root),
    (SMALL_DAE, "target", TARGETS, kept),
    (SMALL_RECVAE, "initialization", INITIALIZATIONS, constant),
    (SMALL_RECVAE, "activation", ACTIVATIONS, Activation(nn.Softplus, "{y} = Softplus ({x})")),
    (BlendRecommender([("a", PopularityRecommender())]), "normalization", NORMALIZATIONS, ranks),
]


@pytest.mark.parametrize(("estimator", "parameter", "table", "row"), ROWS, ids=[row[1] for row in ROWS])
def test_a_row_of_a_table_is_a_name_that_checks_and_errors_know(
    estimator, parameter, table, row, X, monkeypatch, tmp_path
):
    wrong, named = (clone(estimator).set_params(**{parameter: name}) for name in ("neither", "new"))
    with pytest.raises(ValueError, match=rf"{parameter} must be one of {', '.join(sorted(table))}.*got 'neither'"):
        wrong.fit(X)
    monkeypatch.setitem(table, "new", row)
    assert np.isfinite(named.fit(X).decision_function(X)).all()
    if parameter == "normalization":
        with pytest.raises(ValueError, match="normalises scores by 'new', which to_onnx cannot write"):
            to_onnx(named, tmp_path / "model.onnx")
    with pytest.raises(ValueError, match=rf"{parameter} must be one of {', '.join(sorted(table))}.*got 'neither'"):
        wrong.fit(X)


def test_a_new_activation_is_written_as_onnx(X, monkeypatch, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    monkeypatch.setitem(ACTIVATIONS, "softplus", Activation(nn.Softplus, "{y} = Softplus ({x})"))
    model = clone(SMALL_VAE).set_params(activation="softplus").fit(X)
    to_onnx(model, tmp_path / "model.onnx", k=5)
    inputs = {"indices": X.indices.astype(np.int64), "data": X.data, "indptr": X.indptr.astype(np.int64)}
    _, scores = onnxruntime.InferenceSession(tmp_path / "model.onnx").run(None, inputs)
    np.testing.assert_allclose(scores, model.recommend(X, 5)[1], rtol=1e-4, atol=1e-5)


def test_a_new_metric_is_scored_by_name_and_as_a_function(X, monkeypatch):
    model = PopularityRecommender(store_user_hashes=False).fit(X)
    monkeypatch.setitem(METRICS, "first_hit", first_hit)
    by_name = evaluate(model, X, ["first_hit@3", "ndcg@10"])
    assert by_name.mean["first_hit@3"] == evaluate(model, X, {"hit": first_hit}).mean["hit"]
    assert RankingScorer("first_hit@1")(model, X) == by_name.mean["first_hit@3"]
    with pytest.raises(ValueError, match=r"write one of .*first_hit and its number"):
        RankingScorer("second_hit@1")


@pytest.mark.parametrize("buffer", [2**30, 1])
def test_a_likelihood_that_replaces_log_prob_alone_is_trained_by_it(buffer, X, monkeypatch):
    class Doubled(LIKELIHOODS["multinomial"]):
        def log_prob(self, logits, batch):
            return 2 * super().log_prob(logits, batch)

    monkeypatch.setattr("skvae.core.item_products.BYTES_OF_LOGITS", buffer)
    own = clone(SMALL_DAE).set_params(likelihood=Doubled(), max_iter=1).fit(X)
    assert own.loss_curve_[0] > 1.5 * clone(SMALL_DAE).set_params(max_iter=1).fit(X).loss_curve_[0]


def test_a_schedule_of_ones_own_takes_no_parameters_of_the_linear_one(X):
    own = clone(SMALL_VAE).set_params(kl_schedule=Cosine())
    assert own.fit(X).beta_curve_[-1] == pytest.approx(0.1)
    with pytest.raises(ValueError, match=r"does not use anneal_cap=0.3 and total_anneal_steps='auto'"):
        own.set_params(anneal_cap=0.3).fit(X)


class PerComponent:
    """A prior that forgets the sum over the components."""

    def log_prob(self, code):
        return -code.square()


class PerCell(Multinomial):
    def log_prob(self, logits, batch):
        return logits.log_softmax(-1) * batch.to_dense()


class Total(Multinomial):
    def log_prob(self, logits, batch):
        return (logits.log_softmax(-1) * batch.to_dense()).sum()


@pytest.mark.parametrize(
    ("parameters", "method"),
    [
        ({"prior": PerComponent()}, "PerComponent.log_prob"),
        ({"likelihood": PerCell()}, "PerCell.log_prob"),
        ({"likelihood": Total()}, "Total.log_prob"),
    ],
    ids=["prior", "per cell", "total"],
)
def test_a_piece_that_does_not_give_one_value_for_each_user_is_named(parameters, method, X):
    model = clone(SMALL_VAE).set_params(n_components=32, batch_size=32, early_stopping=False, **parameters)
    with pytest.raises(
        ValueError, match=rf"{method} gave values of shape \(.*\) for (32|44) users: it must give one for"
    ):
        model.fit(X[:320])


@pytest.mark.parametrize("weight", [None, "much", -1.0])
def test_a_schedule_that_gives_no_weight_is_refused(weight, X):
    schedule = SimpleNamespace(weight=lambda update: weight, final=1.0)
    with pytest.raises((TypeError, ValueError), match=r"kl_schedule.weight\(0\)"):
        clone(SMALL_VAE).set_params(kl_schedule=schedule, anneal_cap="auto", total_anneal_steps="auto").fit(X)


def test_a_schedule_whose_later_weight_is_none_is_refused_where_it_is_asked(X):
    class Late:
        final = 0.2

        def weight(self, update):
            return 0.2 if update == 0 else -1.0

    with pytest.raises(ValueError, match=r"kl_schedule.weight\(\d+\) == -1.0, must be >= 0"):
        clone(SMALL_VAE).set_params(kl_schedule=Late()).fit(X)


def test_a_likelihood_without_a_gradient_is_named(X):
    class Detached:
        def log_prob(self, logits, batch):
            return (batch.to_dense() * torch.log_softmax(logits.detach(), -1)).sum(1)

        def mean(self, logits):
            return torch.softmax(logits, -1)

    with pytest.raises(ValueError, match=r"Detached.log_prob gave values without a gradient"):
        clone(SMALL_DAE).set_params(likelihood=Detached()).fit(X)


def test_a_piece_that_computes_with_numpy_is_named(X):
    class Plain:
        def log_prob(self, logits, *batch):
            return np.zeros(len(logits))

        def mean(self, logits):
            return logits.numpy()

    for piece in ("likelihood", "prior"):
        with pytest.raises(TypeError, match=r"Plain.log_prob gave ndarray: it must give a tensor"):
            clone(SMALL_VAE).set_params(**{piece: Plain()}).fit(X)

    class PlainMean(PlainWeighted):
        mean = Plain.mean

    model = clone(SMALL_VAE).set_params(max_iter=1, likelihood=PlainMean()).fit(X)
    with pytest.raises(TypeError, match=r"PlainMean.mean gave ndarray"):
        model.inverse_transform(model.transform(X[:2]))


# -- pieces that are modules of torch


class PlainWeighted:
    """Multinomial with a weight for each item."""

    def __init__(self, n_items=200):
        self.weights = torch.linspace(0.5, 2, n_items)

    def log_prob(self, logits, batch):
        return (batch.to_dense() * self.weights.to(logits.device) * torch.log_softmax(logits, -1)).sum(1)

    def mean(self, logits):
        return torch.softmax(logits, -1)


class ModuleWeighted(nn.Module):
    def __init__(self, n_items=200):
        super().__init__()
        self.register_buffer("weights", torch.linspace(0.5, 2, n_items))

    log_prob, mean = PlainWeighted.log_prob, PlainWeighted.mean


class PlainScaled:
    scale = torch.tensor(2.0)

    def log_prob(self, code):
        return torch.distributions.Normal(0.0, self.scale.detach()).log_prob(code).sum(-1)


class ModuleScaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    log_prob = PlainScaled.log_prob


@pytest.mark.parametrize(
    ("parameter", "plain", "module"),
    [("likelihood", PlainWeighted(), ModuleWeighted()), ("prior", PlainScaled(), ModuleScaled())],
)
def test_a_module_of_torch_is_a_piece_like_any_other_and_stays_as_it_is(parameter, plain, module, X):
    before = {name: value.clone() for name, value in module.state_dict().items()}
    by_plain, by_module = (clone(SMALL_VAE).set_params(**{parameter: piece}).fit(X) for piece in (plain, module))
    assert same_weights(by_plain, by_module)
    assert by_plain.loss_curve_ == by_module.loss_curve_
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    by_plain.partial_fit(X)
    assert same_weights(by_plain, by_module.partial_fit(X))


# -- what a piece leaves out


@pytest.mark.parametrize(
    "mean", [lambda logits: logits.sum(1, keepdim=True), lambda logits: logits.mean(0), lambda logits: logits[:, :3]]
)
def test_a_mean_of_another_shape_is_refused(mean, X):
    class Own(Multinomial):
        def mean(self, logits):
            return mean(logits)

    model = clone(SMALL_DAE).set_params(likelihood=Own()).fit(X)
    with pytest.raises(ValueError, match=r"Own.mean gave values of shape .* for logits of shape \(3, 200\)"):
        model.inverse_transform(model.transform(X[:3]))


def test_an_initialization_that_leaves_a_part_unset_or_adds_one_is_refused(X):
    def nothing(network, rows, generator):
        pass

    def only_items(network, rows, generator):
        nn.init.zeros_(network.encoder.item_weight)
        nn.init.zeros_(network.decoder.item_weight)

    def one_more(network, rows, generator):
        xavier(network, rows, generator)
        network.more = nn.Parameter(torch.zeros(3))

    def in_double(network, rows, generator):
        xavier(network, rows, generator)
        network.decoder.item_weight = nn.Parameter(network.decoder.item_weight.detach().double())

    for initialization in (nothing, only_items):
        with pytest.raises(ValueError, match=r"initialization left \S+ unset, or not finite: begin with .*xavier"):
            clone(SMALL_DAE).set_params(initialization=initialization).fit(X)
    for initialization in (one_more, in_double):
        with pytest.raises(ValueError, match=r"must leave the network its parameters, .* its shape and dtype"):
            clone(SMALL_DAE).set_params(initialization=initialization).fit(X)


def test_a_loss_that_is_not_finite_names_the_piece_that_may_have_given_it(X):
    class Broken(Laplace):
        def log_prob(self, logits, batch):
            return super().log_prob(logits, batch) * torch.nan

    with pytest.raises(
        ValueError, match=r"training diverged .* Or Broken, which is not of skvae, gives such values itself"
    ):
        clone(SMALL_DAE).set_params(likelihood=Broken()).fit(X)


def test_what_stands_beside_log_prob_in_one_class_belongs_to_it():
    assert has_part(Multinomial(), "residuals")
    assert has_part(StandardNormal, "kl_divergence")
    assert not has_part(OfStandard(), "kl_divergence")


def test_what_a_getattr_hands_on_is_a_part_and_a_package_of_a_similar_name_is_not_ours():
    class HandsOn:
        def __getattr__(self, name):
            if name not in ("log_prob", "mean"):
                raise AttributeError(name)
            return lambda *arguments: None

    class OwnLogProb(HandsOn):
        def log_prob(self, logits, batch):
            pass

    class OwnMean(HandsOn):
        def mean(self, logits):
            pass

    for kind in (HandsOn, OwnLogProb, OwnMean):
        assert has_part(kind(), "mean")
        assert not has_part(kind(), "residuals")
    Own = type("Own", (), {"__module__": "skvae_of_others.pieces"})
    assert not is_ours(Own())
    assert is_ours(Multinomial())
    assert is_ours(None)
