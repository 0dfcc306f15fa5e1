"""The torch half: networks, objectives, sparse batches and the training loop.

Nothing here imports scikit-learn or knows an estimator or a metric. `likelihoods`, `priors` and
`annealing` are public, for pieces of your own; the other modules may change without notice.
"""
