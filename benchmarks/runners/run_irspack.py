"""Runs irspack's models, which one "model" says; see common.py."""

import common
from irspack.utils.id_mapping import retrieve_recommend_from_score


def fit(X, parameters, clock):
    parameters = dict(parameters)
    kind = parameters.pop("model", "MultVAE")
    if kind != "MultVAE":
        return fit_at_once(kind, X, parameters, clock)
    import jax
    from irspack.recommenders.multvae import MultVAERecommender

    model = MultVAERecommender(X, **parameters)
    clock.start()
    model.start_learning()
    while True:
        model.run_epoch()
        jax.block_until_ready(model.trainer.params)  # JAX returns before it has computed
        if clock.epoch_ended(model.get_score_cold_user):
            return model


def fit_at_once(kind, X, parameters, clock):
    """A model that is scored once, at its end."""
    import irspack

    model = getattr(irspack, f"{kind}Recommender")(X, **parameters)
    clock.start()
    model.learn()
    clock.epoch_ended(model.get_score_cold_user)
    return model


def recommend(model, X, users, k):
    size = model.minibatch_size
    blocks = [X[users[first : first + size]] for first in range(0, len(users), size)]
    return [
        retrieve_recommend_from_score(model.get_score_cold_user_remove_seen(block), [], k, common.N_THREADS)
        for block in blocks
    ]


if __name__ == "__main__":
    common.main(fit, recommend)
