"""Whether the values of a matrix are such that models learn from them."""

import numpy as np

from .core.user_warnings import warn_user
from .hiding import FEW_ITEMS
from .matrix import row_blocks

# Of the largest value. Below, autoencoders learn nothing beyond popularity: NDCG@20 .153 from 1e-4 on down, .35 from
# 1e-1 to 1e20, .21 at 1e30, on synthetic data of 1500 users. Above, squares leave the range of float32.
SMALL_VALUE, LARGE_VALUE = 1e-3, 1e18
SMALLEST_SCORE = 1e-34  # of what is far below, as weaker scores are, float32 has few digits or none
# Of a user's values, (sum v)^2 / sum v^2 is how many equal ones they are like. Where that is less than this share of
# the interactions, LinearRecommender lost a fifth to a third of its NDCG@100 to ones, and MultDAERecommender 6 to 12 %,
# with powers of lastfm-2k's counts of plays and with heavy tails drawn for MovieLens; of ratings it is .96, of tf-idf
# .93, of logarithms of counts .97. Of few interactions it says little, and values of which none is far above another
# are weights that somebody chose, as 1 for a view and 20 for a purchase.
SMALLEST_EVEN_SHARE, FEWEST_FOR_EVENNESS, LARGEST_CHOSEN_RATIO = 0.6, 1000, 30
# Users with two items or more, of whom a model learns what goes together: too few are fewer than so many, and than this
# share of the users, of whom there must be so many for a warning. Of 30 items that 2000 users drew by popularity alone,
# where nothing is better than that (NDCG@10 .47), a linear model had .36 with 20 such users and .46 with 200.
ENOUGH_WITH_TWO_ITEMS, LARGE_SHARE_WITH_TWO_ITEMS, FEWEST_USERS_TO_WARN_OF = 100, 0.1, 100
# From this share of the items on a fifth of them, which is hidden, is more than what is left beside it
ALMOST_ALL = 5 / 6


def warn_of_scale(matrix):
    """Warn where values are so small or large that an autoencoder learns almost nothing from them.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
        With interactions, to fit a likelihood of its values.
    """
    largest = matrix.data.max()
    if not SMALL_VALUE <= largest <= LARGE_VALUE:
        warn_user(
            f"The largest value of X is {largest:.3g}. A value counts as so many interactions, and autoencoders learn "
            "almost nothing from such values: scale X by a constant that brings values near 1."
        )


def warn_of_uneven_counts(matrix):
    """Warn of values of which a few outweigh all others of a user, as counts of plays or amounts of money.

    In whatever unit they are: X and c X are warned of alike.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
        With interactions, to fit.
    """
    if matrix.nnz < FEWEST_FOR_EVENNESS:
        return
    if float(matrix.data.max()) <= LARGEST_CHOSEN_RATIO * float(matrix.data.min()):
        return
    if _even_share(matrix) < SMALLEST_EVEN_SHARE:
        warn_user(
            "A few large values of each user outweigh all others, as counts of plays and amounts of money do; models "
            "rank better by ones. Pass ones, as of sklearn.preprocessing.Binarizer(), or, of values from 1 on, their "
            "logarithms, FunctionTransformer(np.log1p)."
        )


def _even_share(matrix):
    """How many equal values each user's are like, over all users, as a share of the interactions."""
    n_equal = 0.0
    for block in row_blocks(matrix):
        bounds = matrix.indptr[block.start : block.stop + 1].astype(np.int64)
        values = matrix.data[bounds[0] : bounds[-1]].astype(np.float64)
        firsts = (bounds[:-1] - bounds[0])[np.diff(bounds) > 0]
        if len(firsts):
            n_equal += (np.add.reduceat(values, firsts) ** 2 / np.add.reduceat(values**2, firsts)).sum()
    return n_equal / matrix.nnz


def warn_of_lone_items(matrix):
    """Warn where almost nobody has two items, of which a model could learn what goes together.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
        With interactions, to fit.
    """
    counts = np.diff(matrix.indptr)
    n_users, n_learned_from = np.count_nonzero(counts), np.count_nonzero(counts > 1)
    enough = min(ENOUGH_WITH_TWO_ITEMS, LARGE_SHARE_WITH_TWO_ITEMS * n_users)
    if n_users >= FEWEST_USERS_TO_WARN_OF and n_learned_from < enough:
        warn_user(
            f"Only {n_learned_from} of the {n_users} users with interactions have two items or more, and of the others "
            "nothing can be learned about what goes together: compare with PopularityRecommender."
        )


def warn_of_full_users(matrix, chosen="", otherwise=""):
    """Warn where most users have nearly all items, so that a ranking of what is left says little.

    Parameters
    ----------
    matrix : csr_array of shape (n_users, n_items)
        With interactions, to fit.
    chosen, otherwise : str, default=""
        What else scores of rankings choose in this fit, and what else can be done, each to end a sentence.
    """
    counts, n_items = np.diff(matrix.indptr), matrix.shape[1]
    n_users = np.count_nonzero(counts)
    is_large = n_users >= FEWEST_USERS_TO_WARN_OF and n_items >= FEW_ITEMS
    if is_large and np.median(counts[counts > 0]) > ALMOST_ALL * n_items:
        warn_user(
            f"Most users of X have a value for nearly each of the {n_items} items, as in a table of ratings or "
            f"answers: few are left to recommend, and scores of rankings{chosen} say little. Keep what users liked by "
            f"a threshold (sklearn.preprocessing.Binarizer, InteractionEncoder){otherwise}."
        )


def warn_of_tiny_scores(weights, X):
    """Warn where scores, values times weights, may be so small that float32 has nothing for them but 0.

    Parameters
    ----------
    weights : array of shape (n_items, n_items)
    X : csr_array of shape (n_users, n_items)
        That they were fitted on.
    """
    largest = float(X.data.max()) * float(weights.max())
    if largest < SMALLEST_SCORE and np.diff(X.indptr).max() > 1:
        warn_user(
            f"The largest value of X is {X.data.max():.3g}, and scores are below what float32 holds, so that items are "
            "ranked by their users: bring values near 1 by a constant, or lower l2_regularization."
        )
