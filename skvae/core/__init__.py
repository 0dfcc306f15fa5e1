"""The torch half: networks, objectives, sparse batches and the training loop.

Nothing here imports scikit-learn or knows an estimator or a metric. `likelihoods`, `priors`,
`annealing` and the ``xavier`` of `initialization` are public, for pieces of your own; all else may
change without notice.
"""
