"""What stands around a model: Pipelines, searches, frozen estimators."""


def unfrozen(model):
    """What is frozen in an estimator, or itself.

    Parameters
    ----------
    model : estimator

    Returns
    -------
    estimator
    """
    from sklearn.frozen import FrozenEstimator  # as slow to import as half of skvae

    return unfrozen(model.estimator) if isinstance(model, FrozenEstimator) else model


def steps_and_model(model):
    """The steps of Pipelines before the model in them, and the model; of a search those of its best estimator.

    Parameters
    ----------
    model : fitted estimator

    Returns
    -------
    steps : Pipeline or None
        None where there are none.
    model : fitted estimator
    """
    from sklearn.frozen import FrozenEstimator
    from sklearn.pipeline import Pipeline, make_pipeline  # as slow to import as half of skvae

    steps: list = []
    while True:
        if isinstance(model, FrozenEstimator):
            model = model.estimator
        elif isinstance(model, Pipeline):
            steps += [model[:-1]] if len(model) > 1 else []
            model = model[-1]
        elif hasattr(model, "best_estimator_"):
            model = model.best_estimator_
        else:
            return make_pipeline(*steps) if steps else None, model
