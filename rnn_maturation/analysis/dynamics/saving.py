"""Write the figure and the table of a dynamics analysis."""

from rnn_maturation.figures import save_figure
from rnn_maturation.files import atomic_write
from rnn_maturation.model_directory import figure_dir


def save_table(result, model_dir, rule, epoch, name):
    """Write the figure and the table (csv) of a result into the figure folder of a rule and epoch.

    Parameters
    ----------
    result : Result
    model_dir : str
    rule, epoch : str or None
    name : str
        Name of the files, without the ending.
    """
    folder = figure_dir(model_dir, rule, epoch)
    save_figure(result.plot(), folder / name)
    with atomic_write(folder / f"{name}.csv") as temporary:
        result.to_frame().to_csv(temporary, index=False)
