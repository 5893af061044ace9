"""Base classes of the results that the analyses return.

A public analysis returns one frozen dataclass. It can be used like the value that the original function returned (a
mapping or a table). The documentation of its fields states axes and units, `to_frame` returns a tidy table, and `plot`
draws the figure. A notebook cell that ends with a result shows its figure.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.lib.mixins import NDArrayOperatorsMixin

labelled = dataclass(frozen=True, eq=False, repr=False)  # results compare like the data that they hold


class Result:
    """Base of all results.

    A subclass is a dataclass (decorated with `labelled`) with the methods `to_frame` and `plot`. Mappings and tables
    have an attribute `data`, the value that the original function returned. It is not called `values`, because dicts
    and tables have an attribute of that name.
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
        """Return the figure as a PNG image, which a notebook shows if a cell ends with the result."""
        image = io.BytesIO()
        self.plot().savefig(image, format="png", dpi=100, bbox_inches="tight")
        return image.getvalue()

    def __getitem__(self, key):
        """Return a value of the mapping, or a column of the table."""
        return self.data[key]

    def __iter__(self):
        """Iterate over the keys of the mapping, or the columns of the table."""
        return iter(self.data)

    def __len__(self):
        """Return the number of items of the mapping, or of rows of the table."""
        return len(self.data)


class MappingResult(Result, Mapping):
    """A result that can be read like a dict, which is its attribute `data`."""

    __hash__ = None

    def __repr__(self):
        """Return the name of the class and at most eight keys, without the arrays."""
        keys = [repr(key) for key in self.data]
        return f"{type(self).__name__} of {', '.join(keys[:8])}{', …' if len(keys) > 8 else ''}"


class TableResult(Result, NDArrayOperatorsMixin):
    """A result that can be used like a pandas.DataFrame, which is its attribute `data`.

    Attributes that the result does not have itself are those of the table. Operators and element-wise NumPy
    functions return a DataFrame and do not change the result. `to_frame` returns a table that you can change freely.
    """

    __hash__ = None

    def __repr__(self):
        """Return the table as pandas prints it."""
        return repr(self.data)

    def __getattr__(self, name):
        """Return an attribute of the table that the result itself does not have."""
        if name.startswith("_") or name == "data":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.data, name)

    def __array__(self, dtype=None, copy=None):
        """Return a copy of the table as a NumPy array."""
        return np.array(self.data, dtype=dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        """Apply an operator (such as ``<`` or ``+``) or a NumPy function to the table."""
        tables = [value.data if isinstance(value, TableResult) else value for value in inputs]
        return getattr(ufunc, method)(*tables, **kwargs)

    def to_frame(self):
        """Return a copy of the table.

        Returns
        -------
        pandas.DataFrame
        """
        return pd.DataFrame(self.data).copy()
