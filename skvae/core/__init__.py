"""The torch half: networks, likelihoods, objectives, sparse batches and the training loop.

Nothing here imports scikit-learn or knows an estimator or a metric.
"""
