"""What stands for no value, in a table or a matrix of any library."""

import numpy as np


def is_missing(value):
    """Whether a value stands for none: None, NaN, NaT, NA or masked.

    Parameters
    ----------
    value : object

    Returns
    -------
    bool
    """
    if value is None or value is np.ma.masked or type(value).__name__ == "NAType":  # that of pandas
        return True
    try:
        return bool(value != value)  # NaN and NaT
    except ArithmeticError:  # a signalling NaN among decimals
        return True
    except Exception:  # an array, or whatever else is no id and no number: its reader says so
        return False
