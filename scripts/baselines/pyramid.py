"""The spatial pyramid (Lazebnik et al. 2006): a picture is cut into cells, and what is pooled is pooled in each."""

import numpy as np


def cells(places, levels):
    """Which descriptors lie in which cell: a list of index arrays, a cell each, level by level, row by row.

    `places` (P, 2) holds (y, x) from 0 to 1; a level is (rows, columns): (3, 1) is three stripes one above the
    other. A cell without a descriptor is an error of the grid: its pooled vector would say nothing.
    """
    found = []
    for rows, columns in levels:
        row = np.minimum((places[:, 0] * rows).astype(int), rows - 1)
        column = np.minimum((places[:, 1] * columns).astype(int), columns - 1)
        for cell in range(rows * columns):
            inside = np.flatnonzero(row * columns + column == cell)
            if not len(inside):
                raise ValueError(f"no descriptor in cell {cell} of {rows} x {columns}: the grid is too coarse")
            found.append(inside)
    return found
