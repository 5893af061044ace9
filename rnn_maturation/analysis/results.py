"""What the results of the analyses have in common.

A public analysis returns one frozen dataclass. It can be used as the value that the original's function returned (a
mapping or a table), its fields name axes and units, `to_frame` gives a tidy table and `plot` draws it. A notebook cell
that ends with a result shows its figure.
"""

import io
from collections.abc import Mapping

import numpy as np
import pandas as pd


class Result:
    """Base of all results.

    A subclass is a frozen dataclass with a field or property `values`, the original's return value, and the two methods
    below.
    """

    def to_frame(self):
        """Return the result as a tidy table, one observation per row.

        Returns
        -------
        pandas.DataFrame
        """
        raise NotImplementedError

    def plot(self):
        """Draw the result.

        Returns
        -------
        matplotlib.figure.Figure
        """
        raise NotImplementedError

    def _repr_png_(self):
        """Show the figure where a notebook cell ends with the result."""
        image = io.BytesIO()
        self.plot().savefig(image, format="png", dpi=100, bbox_inches="tight")
        return image.getvalue()

    def __getitem__(self, key):
        return self.values[key]

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)


class MappingResult(Result, Mapping):
    """A result that can be used as a dict: `values` is a dict."""

    __hash__ = None


class TableResult(Result):
    """A result that can be used as a pandas.DataFrame: `values` is one, and its attributes are the result's."""

    __hash__ = None

    def __getattr__(self, name):
        if name.startswith("_") or name == "values":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.values, name)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype)

    def to_frame(self):
        """Return a copy of the table.

        Returns
        -------
        pandas.DataFrame
        """
        return pd.DataFrame(self.values).copy()
