"""Draw labelled results or arrays, and return matplotlib Figures. No result depends on what is computed here.

The figures are created without a window, so that none is left open and no screen is needed. Each stage of maturation
has a color and a marker, so that the stages can be told apart without color.
"""

from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from rnn_maturation.checks import quoted
from rnn_maturation.files import atomic_write
from rnn_maturation.stages import STAGES, smooth
from rnn_maturation.task import TRIALS_PER_LOCATION, generate_trials, get_rule_index, rule_name

STAGE_COLORS = {"early": "#2ca02c", "mid": "#1f5fd0", "mature": "#c8191e"}  # green, blue, red, as published
STAGE_MARKERS = {"early": "o", "mid": "^", "mature": "s"}
# colors of Okabe and Ito, which color-blind readers can tell apart; yellow is darkened, to be visible on white
LOCATION_COLORS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#b8a800", "#0072b2", "#d55e00", "#cc79a7")
LINE_STYLES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)))
SHOWN_FIXATION = 400  # ms of fixation before the first stimulus in the timing diagrams
ABOVE_EPOCH_NAMES = 28  # distance in points of a title from the axes, so that it is above the names of the epochs
KNOWN_FORMATS = ("png", "pdf", "svg")
FORMATS = ("png",)  # formats in which save_figure writes; scripts change them with use_formats
STYLE = {
    "font.size": 9,
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.grid": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "figure.constrained_layout.use": True,
    "savefig.dpi": 200,
    "svg.hashsalt": "rnn_maturation",  # so that the same figure always gives the same file
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def _new_figure(n_rows=1, n_columns=1, size=(6, 4), **subplot_settings):
    """Yield a figure and its axes; what is drawn inside the with block has the style of this module."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        yield figure, figure.subplots(n_rows, n_columns, **subplot_settings)


def use_formats(formats):
    """Choose the formats in which `save_figure` writes every figure from now on.

    Parameters
    ----------
    formats : str or sequence of str
        One or more of 'png', 'pdf' and 'svg'.

    Raises
    ------
    ValueError
        If a format is unknown, or if there is none.
    """
    global FORMATS
    FORMATS = _checked_formats(formats)


def _checked_formats(formats):
    formats = tuple(dict.fromkeys(np.ravel(formats).tolist()))
    unknown = [name for name in formats if name not in KNOWN_FORMATS]
    if unknown or not formats:
        raise ValueError(f"Unknown figure format {quoted(unknown or formats)}: choose from {', '.join(KNOWN_FORMATS)}.")
    return formats


def save_figure(figure, path, formats=None):
    """Write a figure to a file in each format; each file appears whole or not at all.

    Parameters
    ----------
    figure : Figure
    path : str or Path
        Path without the ending; the folder is created.
    formats : str or sequence of str, optional
        One or more of 'png', 'pdf' and 'svg'; default: `FORMATS`, see `use_formats`.

    Returns
    -------
    Path
        The file of the first format.

    Raises
    ------
    ValueError
        If a format is unknown.
    """
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    undated = {"png": None, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    files = [folder / f"{Path(path).name}.{ending}" for ending in _checked_formats(formats or FORMATS)]
    with matplotlib.rc_context(STYLE):
        for file in files:
            ending = file.suffix[1:]
            with atomic_write(file) as temporary:
                figure.savefig(temporary, format=ending, metadata=undated[ending])
            figure.set_layout_engine("none")  # the layout of the first file holds for all
    return files[0]


# ------------------------------------------------------------------------------------------------------- shared parts


def _mark_epochs(ax, epochs, dt, with_names=True):
    """Shade stimuli (gray), hatch distractors, mark the go signal, and write the names of the epochs on top."""
    ends = [end for _, end in epochs.values() if end is not None]
    for name, (start, end) in epochs.items():
        start_s, end_s = (start or 0) * dt / 1000, (end or max(ends)) * dt / 1000
        if name.startswith("stim"):
            ax.axvspan(start_s, end_s, color="0.88", zorder=0, linewidth=0)
        elif name.startswith("distract"):
            ax.axvspan(start_s, end_s, facecolor="none", edgecolor="0.8", hatch="///", zorder=0, linewidth=0)
        elif name == "go1":
            ax.axvline(start_s, color="0.4", linewidth=0.8, linestyle=":", zorder=0)
        if with_names:
            _name_epoch(ax, name, start_s, end_s)


def _name_epoch(ax, name, start_s, end_s):
    narrow = name == "go1" or end_s - start_s < 0.25
    where = start_s if name == "go1" else (start_s + end_s) / 2
    placement = {"rotation": 60, "ha": "left", "va": "bottom"} if narrow else {"ha": "center", "va": "bottom"}
    text = "go" if name == "go1" else name
    _note(ax, text, (where, 1), ("data", "axes fraction"), (0, 2), annotation_clip=False, **placement)


def _note(ax, text, at, coordinates, offset, color="0.35", **settings):
    """Write a small text beside the point `at`, given in `coordinates`: for each axis 'data' or 'axes fraction'."""
    place = {"xycoords": coordinates, "xytext": offset, "textcoords": "offset points"}
    ax.annotate(text, at, fontsize=7, color=color, **place, **settings)


def _stage_line(ax, x, y, stage, label, **settings):
    """Draw a line in a stage's color, with the stage's marker at some of the points."""
    shift = {"early": 0, "mid": len(x) // 36, "mature": len(x) // 18}[stage]
    ax.plot(
        x,
        y,
        color=STAGE_COLORS[stage],
        marker=STAGE_MARKERS[stage],
        markevery=(shift, max(1, len(x) // 12)),
        label=label,
        **settings,
    )


def _location_colors(n_locations):
    if n_locations <= len(LOCATION_COLORS):
        return LOCATION_COLORS[:n_locations]
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.9, n_locations))


def _activity_label(norm):
    return "Activity (rate / fixation rate − 1)" if norm else "Activity (rate, a.u.)"


def _counted(n_checkpoints):
    return f"{n_checkpoints} checkpoint{'' if n_checkpoints == 1 else 's'}"


def _note_gaps(ax, present):
    """List in the legend the stages that have nothing to show."""
    gaps = [stage for stage in STAGES if stage not in present]
    if gaps:
        ax.plot([], [], " ", label=f"no {', '.join(gaps)} stage")


# ------------------------------------------------------------------------------------------------------- maturation


def growth_of_performance(result):
    """Draw the performance of each rule against training trials, with the chosen checkpoints shaded (Fig. S7).

    Parameters
    ----------
    result : overview.GrowthOfPerformance

    Returns
    -------
    Figure
    """
    n_columns = 2 if len(result.curves) > 1 else 1
    n_rows = -(-len(result.curves) // n_columns)
    size = (4.6 * n_columns, max(2.2 * n_rows + 0.4, 3.2))  # room for the label of the axis
    with _new_figure(n_rows, n_columns, size, sharex=True, sharey=True, squeeze=False) as (figure, axes):
        for ax, (rule, curve) in zip(axes.flat, result.curves.items(), strict=False):
            for stage, chosen in result.data.get(rule, {}).items():
                if not len(chosen):
                    continue
                for start, end in _spans(chosen, result.trials):
                    ax.axvspan(start / 1000, end / 1000, color=STAGE_COLORS[stage], alpha=0.3, linewidth=1.2)
                label = f"{stage}, {_counted(len(chosen))}"
                color, at = STAGE_COLORS[stage], np.median(chosen) / 1000
                ax.plot([at], [1.06], STAGE_MARKERS[stage], color=color, label=label)
            ax.plot(np.asarray(result.trials) / 1000, curve, color="0.15", linewidth=1.2)
            ax.set_title(result.names.get(rule, rule))
            ax.set_ylim(0, 1.12)
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc="best", fontsize=7)
        for ax in list(axes.flat)[len(result.curves) :]:
            ax.set_visible(False)
        figure.supxlabel("Training trials (thousands)")
        figure.supylabel("Performance (share of correct trials)")
    return figure


def _spans(chosen, trials):
    """Return (start, end) of each group of neighboring checkpoints, half an interval wider on both sides."""
    trials = np.unique(np.concatenate([trials, chosen]))
    middle = (trials[1:] + trials[:-1]) / 2
    starts, ends = np.append(trials[:1], middle), np.append(middle, trials[-1:])
    taken = np.concatenate([[False], np.isin(trials, chosen), [False]])
    first, last = np.flatnonzero(taken[1:] & ~taken[:-1]), np.flatnonzero(taken[:-1] & ~taken[1:]) - 1
    return list(zip(starts[first].tolist(), ends[last].tolist(), strict=True))


def psth(result):
    """Draw the mean activity of each stage against time; activity at the opposite location is dashed (Fig. 4E-G).

    Parameters
    ----------
    result : psth.PSTHResult

    Returns
    -------
    Figure
    """
    with _new_figure(size=(7.4, 3.8)) as (figure, ax):
        _mark_epochs(ax, result.epochs, result.dt)
        for stage, of_stage in result.data.items():
            seconds = np.arange(len(of_stage["PSTH"])) * result.dt / 1000
            label = f"{stage}_{of_stage['growth']:.2f}_n{of_stage['n_num']:.0f}"
            _stage_line(ax, seconds, of_stage["PSTH"], stage, label)
            if "PSTH_oppo" in of_stage:
                dashed = {"linestyle": "--", "markerfacecolor": "none"}
                _stage_line(ax, seconds, of_stage["PSTH_oppo"], stage, f"{stage}, opposite", **dashed)
        _note_gaps(ax, result.data)
        ax.set(xlabel="Time in trial (s)", ylabel=_activity_label(result.norm), xlim=(0, seconds[-1]))
        ax.set_title(result.title, pad=ABOVE_EPOCH_NAMES)
        ax.legend(title="stage_performance_number of units", loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def psth_log(result):
    """Draw the mean activity over units against time, one line per checkpoint or recording.

    Parameters
    ----------
    result : psth.PSTHLog

    Returns
    -------
    Figure
    """
    with _new_figure(size=(7.4, 3.8)) as (figure, ax):
        _mark_epochs(ax, result.epochs, result.dt)
        few = len(result.data) <= 8
        for number, (name, psths) in enumerate(result.data.items()):
            kept = psths[~np.isnan(psths).any(axis=1)]
            if len(kept):
                color = matplotlib.colormaps["viridis"](0.9 * number / max(len(result.data) - 1, 1))
                label = f"{name}, n={len(kept)}" if few or number in (0, len(result.data) - 1) else None
                seconds = np.arange(psths.shape[1]) * result.dt / 1000
                ax.plot(seconds, kept.mean(axis=0), color=color, linewidth=1.6 if few else 0.8, label=label)
        ax.set(xlabel="Time in trial (s)", ylabel=_activity_label(result.norm), xlim=(0, None))
        ax.set_title(result.title, pad=ABOVE_EPOCH_NAMES)
        if ax.get_legend_handles_labels()[0]:
            title = "mean over units" if few else "first and last"
            ax.legend(title=title, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def epoch_mean_growth(result):
    """Draw the mean activity in an epoch against training trials, one point per checkpoint (Fig. S2B).

    Checkpoints of a stage have the color of the stage; other checkpoints are gray.

    Parameters
    ----------
    result : psth.EpochGrowth

    Returns
    -------
    Figure
    """
    table = result.data
    trials, means = table["trial"].to_numpy() / 1000, table["mean_activity"].to_numpy(float)
    known = ~np.isnan(means)
    with _new_figure(size=(6, 3.8)) as (figure, ax):
        ax.plot(trials[known], means[known], color="0.8", linewidth=0.8, zorder=0)
        others = table["stage"].isna().to_numpy() & known
        if others.any():
            ax.plot(trials[others], means[others], "o", color="0.6", markersize=3, zorder=1, label="other checkpoints")
        for stage in STAGES:
            mine = (table["stage"] == stage).to_numpy()
            if mine.any():
                label = f"{stage}, {_counted(mine.sum())}"
                ax.plot(trials[mine], means[mine], STAGE_MARKERS[stage], color=STAGE_COLORS[stage], label=label)
        if not known.all():
            gaps = trials[~known]
            label = f"no units: {_counted(len(gaps))}"
            ax.plot(gaps, 0 * gaps, "|", color="0.5", transform=ax.get_xaxis_transform(), label=label)
        ax.set(xlabel="Training trials (thousands)", ylabel="Mean " + _activity_label(result.norm).lower())
        ax.set_title(result.title)
        ax.legend(loc="best")
    return figure


def p_heatmap(result):
    """Draw the p-values of the t-tests between all pairs of checkpoints on a logarithmic color scale.

    Parameters
    ----------
    result : psth.EpochTTests

    Returns
    -------
    Figure
    """
    shown = np.log10(np.maximum(result.data.to_numpy(float), 1e-10))
    trials = list(result.data.index)
    with _new_figure(size=(6.2, 5.2)) as (figure, ax):
        image = ax.imshow(shown, cmap="viridis", vmin=-6, vmax=0, origin="lower", interpolation="nearest")
        ticks = np.unique(np.linspace(0, len(trials) - 1, min(len(trials), 8)).astype(int))
        names = [(f"{trials[i] / 1000:.0f}", f"({result.performance.get(trials[i], np.nan):.2f})") for i in ticks]
        ax.set_xticks(ticks, ["\n".join(name) for name in names])
        ax.set_yticks(ticks, [" ".join(name) for name in names])
        label = "Training trials (thousands) and performance"
        ax.set(xlabel=label, ylabel=label)
        ax.set_title(result.title)
        bar = figure.colorbar(image, label="p of the t-test (white: no units)", extend="min", shrink=0.85)
        bar.set_ticks([-6, -4, -2, np.log10(0.05), 0], labels=["1e-6", "1e-4", "0.01", "0.05", "1"])
    return figure


# -------------------------------------------------------------------------------------------------------- selectivity


def tuning(result):
    """Draw the tuning curve of each stage with its Gaussian fit (Fig. S3B).

    Parameters
    ----------
    result : tuning.TuningResult

    Returns
    -------
    Figure
    """
    with _new_figure(size=(7.4, 4)) as (figure, ax):
        for stage, of_stage in result["stages"].items():
            curve, fit = np.asarray(of_stage["curve"]), of_stage["fit"]
            at = np.arange(len(curve)) - result.n_locations // 2
            label = f"{stage}, performance {of_stage['growth']:.2f}, {of_stage['n_units']:.0f} units\n"
            label += "no fit" if fit is None else f"width {of_stage['width']:.2f} steps"
            style = {"color": STAGE_COLORS[stage], "linestyle": "-" if fit is None else "none"}
            ax.plot(at, curve, marker=STAGE_MARKERS[stage], label=label, **style)
            if fit is not None:
                fine = np.linspace(at[0], at[-1], 200)
                fitted = result.gaussian(fine + result.n_locations // 2, *fit) + curve.min()
                ax.plot(fine, fitted, color=STAGE_COLORS[stage])
        _note_gaps(ax, result["stages"])
        lines = [f"{a} – {b}: p = {p:.2g}" for (a, b), p in result["height_ttest"].items()]
        if lines:
            ax.plot([], [], " ", label="heights, t-test:\n" + "\n".join(lines))
        step = 360 / result.n_locations
        ax.set(xlabel=f"Location relative to the preferred one (steps of {step:g}°)")
        ax.set(ylabel="Mean activity at the location")
        ax.set_title(result.title)
        ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return figure


# grid cells of the locations, from 0 (up) clockwise; the polar plot is in the middle
RING_CELLS = (1, 2, 5, 8, 7, 6, 3, 0)


def sample_unit(result):
    """Draw the activity of a unit at each of 8 locations around its polar tuning (Fig. 3B).

    Parameters
    ----------
    result : sample_neuron.SampleUnit
        With 8 locations.

    Returns
    -------
    Figure
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 6.6))
        seconds = np.arange(result.means.shape[1]) * result.dt / 1000
        low, high = np.nanmin(result.means), np.nanmax(result.means)
        margin = 0.05 * (high - low) or 0.5
        for location, cell in enumerate(RING_CELLS):
            ax = figure.add_subplot(3, 3, cell + 1)
            _mark_epochs(ax, result.epochs, result.dt, with_names=cell < 3)
            ax.plot(seconds, result.means[location], color=STAGE_COLORS.get(result.stage, "0.15"))
            ax.set(xlim=(0, seconds[-1]), ylim=(low - margin, high + margin))
            ax.text(0.02, 0.9, f"{location * 360 / len(RING_CELLS):g}°", transform=ax.transAxes)
            ax.tick_params(labelbottom=cell >= 6, labelleft=cell % 3 == 0)
            if cell == 7:
                ax.set_xlabel("Time in trial (s)")
            if cell == 3:
                ax.set_ylabel("Mean rate (a.u.)")
        _draw_polar(figure.add_subplot(3, 3, 5, projection="polar"), result)
        figure.suptitle(result.title)
    return figure


def polar_tuning(result):
    """Draw the polar tuning curve of a unit with the direction of its preferred location (Fig. 3B).

    Parameters
    ----------
    result : sample_neuron.SampleUnit

    Returns
    -------
    Figure
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4.4, 4.6))
        ax = figure.add_subplot(projection="polar")
        _draw_polar(ax, result)
        ax.set_title(result.title, fontsize=9)
    return figure


def _draw_polar(ax, result):
    """Draw the relative rates (0 to 1) around a circle; location 0 is at the top, and the others follow clockwise."""
    rates, color = result.relative_rates, STAGE_COLORS.get(result.stage, "0.15")
    angles = np.arange(len(rates) + 1) * 2 * np.pi / len(rates)
    ax.set_theta_zero_location("N")
    ax.set_theta_direction(-1)
    ax.plot(angles, np.append(rates, rates[0]), color=color, marker="o", markersize=3)
    ax.fill(angles, np.append(rates, rates[0]), color=color, alpha=0.15, linewidth=0)
    preferred = angles[result.preferred]
    ax.plot([preferred, preferred], [0, 1], color="0.15", linewidth=1.2, linestyle="--")
    ax.plot([preferred], [1], marker=(3, 0, -np.degrees(preferred)), color="0.15", markersize=6, clip_on=False)
    ax.set_ylim(0, 1)
    ax.set_yticks([0.5, 1], ["0.5", "1"])
    ax.set_xticks(angles[:-1])
    ax.tick_params(labelsize=6, pad=-1)


def period_activity(result):
    """Draw the density and the box plot of the units' mean activity in each stage (Fig. S1).

    Parameters
    ----------
    result : period.PeriodActivity

    Returns
    -------
    Figure
    """
    with _new_figure(1, 2, (8.4, 3.8), width_ratios=(3, 2)) as (figure, (left, right)):
        finite = {stage: values[np.isfinite(values)] for stage, values in result["activity"].items()}
        finite = {stage: values for stage, values in finite.items() if len(values)}
        edges = _bin_edges(np.concatenate([*finite.values(), [0.0]]), result.bin_width)
        styles = dict(zip(STAGES, (":", "--", "-"), strict=True))
        for stage, values in finite.items():
            label = f"{stage}: mean {values.mean():.2f}, {len(values)} units"
            density = np.histogram(values, edges, density=True)[0]
            left.stairs(density, edges, linewidth=1.6, color=STAGE_COLORS[stage], linestyle=styles[stage])
            marker = {"marker": STAGE_MARKERS[stage], "linestyle": styles[stage], "color": STAGE_COLORS[stage]}
            above = {"transform": left.get_xaxis_transform(), "clip_on": False}
            left.plot([values.mean()], [1.03], label=label, **marker, **above)
        if finite:
            medians, fliers = {"color": "black"}, {"markersize": 2}
            boxes = right.boxplot(
                list(finite.values()), widths=0.5, patch_artist=True, medianprops=medians, flierprops=fliers
            )
            right.set_xticks(range(1, len(finite) + 1), list(finite))
            for box, stage in zip(boxes["boxes"], finite, strict=True):
                box.set(facecolor=STAGE_COLORS[stage], alpha=0.6)
        _note_gaps(left, finite)
        left.set(xlabel=_activity_label(result.norm), ylabel="Density of units")
        left.set_ylim(bottom=0)
        right.set(ylabel=_activity_label(result.norm))
        left.legend(title="markers on top: means")
        (between, within), f, p = result["df"], result["F"], result["p"]
        anova = f"one-way ANOVA: F({between:.0f}, {within:.0f}) = {f:.2f}, p = {p:.2g}"
        figure.suptitle(f"{result.title}\n{anova}", fontsize=10)
    return figure


def _bin_edges(values, width, most=400):
    """Return the edges of bins of `width` that cover the values; bins are wider if more than `most` were needed."""
    low, high = np.floor(values.min() / width), np.floor(values.max() / width) + 1
    if high - low > most:
        return np.linspace(low * width, high * width, most + 1)
    return np.arange(low, high + 1) * width


def shared_units(result):
    """Draw the number of units selective in both tasks: all, with the same, and with a different preferred location.

    Parameters
    ----------
    result : seldir.SharedUnits

    Returns
    -------
    Figure
    """
    lines = (
        ("inter", "selective in both", "0.2", "o"),
        ("samedir", "same location", "#1f5fd0", "s"),
        ("diffdir", "different location", "#d95f02", "^"),
    )
    with _new_figure() as (figure, ax):
        trials = np.asarray(result.data.index) / 1000
        for (column, label, color, marker), style in zip(lines, LINE_STYLES, strict=False):
            ax.plot(trials, result.data[column], style, color=color, marker=marker, markersize=3.5, label=label)
        ax.set(xlabel="Training trials (thousands)", ylabel="Number of units")
        ax.set_title(result.title)
        ax.set_ylim(bottom=0)
        ax.legend()
    return figure


# --------------------------------------------------------------------------------------------------------- population


def neuron_info(result):
    """Draw the location means of the selective units as a heat map, sorted by type and preferred location.

    Parameters
    ----------
    result : selectivity.NeuronInfo

    Returns
    -------
    Figure
    """
    names = {"exh": "excited", "mix": "mixed", "inh": "inhibited"}
    units, ends = [], []
    for kind in names:
        units += [unit for unit, _, _ in sorted(result[f"{kind}_neurons"], key=lambda of_unit: of_unit[2])]
        ends.append(len(units))
    rates = result["firerate_loc_order"][units]
    with _new_figure(size=(5.4, 5)) as (figure, ax):
        if units:
            largest = np.nanmax(np.abs(rates), axis=1, keepdims=True)
            scaled = rates / np.where(largest > 0, largest, 1)
            image = ax.imshow(scaled, vmin=-1, vmax=1, cmap="RdBu_r", aspect="auto", interpolation="nearest")
            measure = "Rate / fixation rate − 1" if result.norm else "Rate"
            figure.colorbar(image, label=f"{measure}, relative to the unit's largest absolute value", pad=0.12)
        for name, start, end in zip(names.values(), [0, *ends], ends, strict=False):
            if end > start:
                ax.axhline(end - 0.5, color="0.3", linewidth=0.8)
                where, text = (1, (start + end - 1) / 2), f"{name}\n{end - start}"
                _note(ax, text, where, ("axes fraction", "data"), (4, 0), "black", va="center")
        n_locations = rates.shape[1]
        ax.set_xticks(range(n_locations), [f"{where * 360 / n_locations:g}" for where in range(n_locations)])
        ax.tick_params(axis="x", labelsize=7)
        ax.set(xlabel="Location (°)", ylabel="Selective units, by type and preferred location")
        n_active, n_units = len(result["active_neurons"]), len(result["firerate_loc_order"])
        counts = f"{len(units)} selective and {n_active} active of {n_units} units"
        figure.suptitle("\n".join(filter(None, [result.title, f"{result.epoch}: {counts}"])), fontsize=10)
    return figure


def decoder_scores(result):
    """Draw decoding scores as a heat map from 0 to 1, with chance marked on the color bar (Fig. S5E).

    Parameters
    ----------
    result : decoding.DecoderResult

    Returns
    -------
    Figure
    """
    dt, epochs, stride = result.dt, result.epochs, result.stride
    with _new_figure(size=(5.6, 4.6)) as (figure, ax):
        start, end = -stride / 2 * dt / 1000, (len(result) - 0.5) * stride * dt / 1000
        image = ax.imshow(
            result.data.to_numpy(),
            origin="lower",
            extent=(start, end, start, end),
            vmin=0,
            vmax=1,
            cmap="viridis",
            interpolation="nearest",
        )
        if epochs:
            for step in sorted({s for name, steps in epochs.items() for s in steps if s and name != "go1"}):
                ax.axvline(step * dt / 1000, color="white", linewidth=0.7, linestyle=":")
                ax.axhline(step * dt / 1000, color="white", linewidth=0.7, linestyle=":")
            for name, (first, last) in epochs.items():
                if last is not None:
                    _name_epoch(ax, name, (first or 0) * dt / 1000, min(last * dt / 1000, end))
        ax.set(xlabel="Tested window starts at (s in trial)", ylabel="Training window starts at (s in trial)")
        title = ", ".join(filter(None, [result.title, f"windows of {result.window_size * dt:g} ms"]))
        ax.set_title(title, pad=ABOVE_EPOCH_NAMES if epochs else 6)
        ax.set_xlim(start, end)
        ax.set_ylim(start, end)
        bar = figure.colorbar(image, label="Share of trials decoded correctly")
        bar.ax.axhline(result.chance, color="white", linewidth=2)
        beside = {"va": "center", "ha": "left"}
        _note(bar.ax, "chance", (1, result.chance), ("axes fraction", "data"), (3, 0), "black", **beside)
    return figure


def demixed_components(result):
    """Draw the first time, stimulus and interaction components, one line per location (Fig. 5E).

    Parameters
    ----------
    result : dpca.DemixedPCA

    Returns
    -------
    Figure
    """
    names = {"t": "time", "s": "stimulus", "st": "interaction"}
    scale = 1 if result.dt is None else result.dt / 1000
    with _new_figure(1, 3, (11, 3.4)) as (figure, axes):
        colors = _location_colors(len(result.names))
        for ax, (part, name) in zip(axes, names.items(), strict=True):
            if result.epochs:
                _mark_epochs(ax, result.epochs, result.dt or 1000)
            for where, curve in enumerate(result.components[part][0]):
                ax.plot(
                    np.arange(len(curve)) * scale,
                    smooth(curve, result.smoothing),
                    linestyle=LINE_STYLES[where % len(LINE_STYLES)],
                    color=colors[where],
                    label=result.names[where],
                )
            share = 100 * result.explained_variance_ratio[part][0]
            title = f"First {name} component\n{share:.1f} % of variance"
            ax.set_title(title, pad=ABOVE_EPOCH_NAMES if result.epochs else 6)
            ax.set_ylim(*(result.limits or {}).get(part, (None, None)))
            if part in result.inverted:
                ax.invert_yaxis()
            ax.set_xlabel("Time in trial (steps)" if result.dt is None else "Time in trial (s)")
        axes[0].set_ylabel("Component (activity, a.u.)")
        axes[-1].legend(title="location", loc="upper left", bbox_to_anchor=(1, 1))
        figure.suptitle(result.title)
    return figure


def principal_components(result):
    """Draw principal components against time, one line per location.

    Parameters
    ----------
    result : pca.PCAResult

    Returns
    -------
    Figure
    """
    components, explained = result["components"], result["explained_variance_ratio"]
    n_components, n_locations, n_time = components.shape
    with _new_figure(1, n_components, (4 * n_components + 1, 3.4), squeeze=False) as (figure, axes):
        colors = _location_colors(n_locations)
        for number, ax in enumerate(axes[0]):
            if result.epochs:
                _mark_epochs(ax, result.epochs, result.dt)
            for where in range(n_locations):
                ax.plot(
                    np.arange(n_time) * result.dt / 1000,
                    components[number, where],
                    color=colors[where],
                    linestyle=LINE_STYLES[where % len(LINE_STYLES)],
                    label=f"{where * 360 / n_locations:g}°",
                )
            title = f"Component {number + 1}, {100 * explained[number]:.1f} % of variance"
            ax.set_title(title, pad=ABOVE_EPOCH_NAMES if result.epochs else 6)
            ax.set_xlabel("Time in trial (s)")
        axes[0, 0].set_ylabel("Component (standard deviations)")
        axes[0, -1].legend(title="location", loc="upper left", bbox_to_anchor=(1, 1))
        figure.suptitle(result.title)
    return figure


# ------------------------------------------------------------------------------------------------------------ behavior


def distractor_performance(result):
    """Draw the performance of each stage against the distance between distractor and stimulus.

    Parameters
    ----------
    result : behavior.DistractorResult

    Returns
    -------
    Figure
    """
    performance = result["performance"]
    degrees = np.asarray(performance.columns) * 360 / result.n_ring
    with _new_figure(size=(5, 3.8)) as (figure, ax):
        for stage in performance.index:
            ax.plot(
                degrees,
                performance.loc[stage],
                color=STAGE_COLORS[stage],
                marker=STAGE_MARKERS[stage],
                label=f"{stage}, {_counted(result.n_checkpoints[stage])}",
            )
        _note_gaps(ax, performance.index)
        ax.set(
            xlabel="Distance between distractor and stimulus (°)",
            ylabel="Performance (share of correct trials)",
            title=f"{result.title}: distractors at all distances",
            ylim=(0, 1.05),
        )
        ax.set_xticks(degrees)
        ax.legend()
    return figure


def saccade_errors(result):
    """Draw a histogram of the saccade errors of each stage, with 30 bins from 0° to 180°.

    Parameters
    ----------
    result : behavior.SaccadeResult

    Returns
    -------
    Figure
    """
    with _new_figure(size=(5, 3.8)) as (figure, ax):
        styles = dict(zip(STAGES, (":", "--", "-"), strict=True))
        edges = np.linspace(0, 180, 31)
        for stage, values in result.items():
            share = np.histogram(values, edges)[0] / max(len(values), 1)
            ax.stairs(share, edges, color=STAGE_COLORS[stage], linestyle=styles[stage], linewidth=1.6)
            performance = f", performance {result.performance[stage]:.2f}" if stage in result.performance else ""
            ax.plot(
                (edges[:-1] + edges[1:])[::3] / 2,
                share[::3],
                STAGE_MARKERS[stage],
                color=STAGE_COLORS[stage],
                label=f"{stage}{performance}, {len(values)} trials",
            )
        _note_gaps(ax, result)
        ax.axvline(result.correct_below, color="0.4", linewidth=0.8, linestyle=":")
        text = f"below {result.correct_below:g}°\ncorrect"
        _note(ax, text, (result.correct_below, 0.93), ("data", "axes fraction"), (3, 0), va="top")
        ax.set(xlabel="Saccade error (°)", ylabel="Share of trials", title=result.title, xlim=(0, 180))
        ax.set_ylim(0, 1.35 * ax.get_ylim()[1])  # room for the legend
        ax.legend()
    return figure


# ------------------------------------------------------------------------------------------------------- many runs


def growth_over_seeds(curves, medians, names, title):
    """Draw the performance of each rule against training trials: a thin line per seed and a thick line for the median.

    Parameters
    ----------
    curves : {rule: [(trials, performance, ...) of each run]}
    medians : {rule: (trials, performance)}
    names : {rule: name to show}
    title : str

    Returns
    -------
    Figure
    """
    n_columns = min(3, len(curves))
    n_rows = -(-len(curves) // n_columns)
    size = (3.2 * n_columns + 0.6, 2.2 * n_rows + 0.7)
    with _new_figure(n_rows, n_columns, size, sharex=True, sharey=True, squeeze=False) as (figure, axes):
        for ax, (rule, of_runs) in zip(axes.flat, curves.items(), strict=False):
            for trials, performance, *_ in of_runs:
                ax.plot(trials / 1000, performance, color="0.6", linewidth=0.6, label="a seed")
            trials, performance = medians[rule]
            ax.plot(trials / 1000, performance, color="0.1", label="median")
            ax.set_title(names[rule])
            ax.set_ylim(0, 1.05)
        for ax in list(axes.flat)[len(curves) :]:
            ax.set_visible(False)
        figure.legend(handles=[axes[0, 0].lines[0], axes[0, 0].lines[-1]], loc="outside right upper")
        figure.suptitle(title)
        figure.supxlabel("Training trials (thousands)")
        figure.supylabel("Performance (share of correct trials)")
    return figure


def trials_to_criterion(table, criteria, names):
    """Draw the training trials until each rule reaches three levels of performance, one row per variant.

    Parameters
    ----------
    table : pandas.DataFrame
        Columns variant, trials, perf_<rule> and <rule>_to_<criterion>, one row per run. If a criterion was never
        reached, its value is missing and is drawn as an open triangle where the run ended.
    criteria : sequence of three floats
        Levels of performance.
    names : {rule: name to show}

    Returns
    -------
    Figure
    """
    rules = [rule for rule in names if f"{rule}_to_{criteria[0]}" in table]
    variants = list(dict.fromkeys(table["variant"]))
    marks, small = dict(zip(STAGES, criteria, strict=True)), {"markersize": 4, "alpha": 0.8, "linestyle": "none"}
    n_columns = min(3, len(rules))
    n_rows = -(-len(rules) // n_columns)
    size = (3.2 * n_columns + 1, n_rows * (0.9 + 0.22 * len(variants)) + 0.5)
    with _new_figure(n_rows, n_columns, size, sharex=True, sharey=True, squeeze=False) as (figure, axes):
        for ax, rule in zip(axes.flat, rules, strict=False):
            of_rule = table[table[f"perf_{rule}"].notna()]
            rows = of_rule["variant"].map(variants.index).to_numpy(float)
            ended = of_rule["trials"].to_numpy(float) / 1000
            for shift, (stage, criterion) in zip((-0.2, 0, 0.2), marks.items(), strict=True):
                reached = of_rule[f"{rule}_to_{criterion}"].to_numpy(float, na_value=np.nan) / 1000
                ax.plot(reached, rows + shift, STAGE_MARKERS[stage], color=STAGE_COLORS[stage], **small)
                never = np.isnan(reached)
                open_mark = {"color": STAGE_COLORS[stage], "markerfacecolor": "none", "markersize": 4}
                ax.plot(ended[never], rows[never] + shift, ">", **open_mark)
            ax.set_title(names[rule])
        for ax in list(axes.flat)[len(rules) :]:
            ax.set_visible(False)
        axes[0, 0].set_yticks(range(len(variants)), variants)
        axes[0, 0].set(ylim=(len(variants) - 0.5, -0.5), xlim=(0, None))
        handles = []
        for stage, criterion in marks.items():
            label = f"{criterion:g}"
            handles += ax.plot([], [], STAGE_MARKERS[stage], color=STAGE_COLORS[stage], label=label, **small)
        handles += ax.plot([], [], ">", color="0.4", markerfacecolor="none", label="not reached")
        figure.legend(handles=handles, loc="outside upper center", ncols=4, title="smoothed performance reaches")
        figure.supxlabel("Training trials (thousands)")
    return figure


# -------------------------------------------------------------------------------------------------------------- tasks


def task_timing(rules, hp):
    """Draw the timing of some rules: what a network is shown, and what it should answer, against time.

    Each panel shows one noise-free test trial with its first stimulus in the second ring direction. It begins with the
    last `SHOWN_FIXATION` ms of fixation. Its rows are the fixation input, the stimulus ring, the input of the rule, the
    fixation target and the response target. Stimuli are shaded, distractors are hatched, and the dotted line is the go
    signal.

    Parameters
    ----------
    rules : str or list of str
        Rules of the rule set hp['ruleset'].
    hp : dict

    Returns
    -------
    Figure
    """
    rules = [rules] if isinstance(rules, str) else list(rules)
    rows = ("Fixation\ninput", "Stimulus\nring (°)", "Rule\ninput", "Fixation\ntarget", "Response\ntarget (°)")
    n_columns = min(3, len(rules))
    n_blocks = -(-len(rules) // n_columns)
    settings = {"squeeze": False, "height_ratios": (1, 2, 1, 1, 2) * n_blocks}
    with _new_figure(5 * n_blocks, n_columns, (1 + 3.2 * n_columns, 4.4 * n_blocks), **settings) as (figure, axes):
        blocks = axes.reshape(n_blocks, 5, n_columns).transpose(0, 2, 1).reshape(-1, 5)
        for number, block in enumerate(blocks):
            for ax, row in zip(block, rows, strict=True):
                ax.set_visible(number < len(rules))
                if number % n_columns == 0:
                    ax.set_ylabel(row, rotation=0, ha="right", va="center")
            if number < len(rules):
                _draw_timing(block, rules[number], hp)
        figure.align_ylabels(axes[:, 0])
    return figure


def _draw_timing(axes, rule, hp):
    """Draw one trial of a rule into five axes."""
    trial = generate_trials(rule, {**hp, "rng": np.random.RandomState(0)}, "test", noise_on=False)
    shown, n_ring = TRIALS_PER_LOCATION, trial.n_eachring  # the first trial of the second direction
    edges = np.arange(trial.tdim + 1) * trial.dt / 1000
    lines = {0: trial.x[:, shown, 0], 2: trial.x[:, shown, get_rule_index(rule, hp)], 3: trial.y[:, shown, 0]}
    for row, line in lines.items():
        axes[row].stairs(line, edges, color="0.1", linewidth=1.4, baseline=None)
        axes[row].set(ylim=(-0.15, 1.15), yticks=[0, 1])
    for row, ring in {1: trial.x[:, shown, 1 : 1 + n_ring], 4: trial.y[:, shown, 1:]}.items():
        # values at rest are masked, so that the shading behind them shows
        cells = edges, np.arange(n_ring + 1), np.ma.masked_less(ring.T, 0.06)
        axes[row].pcolormesh(*cells, cmap="Blues", vmin=-0.3, vmax=0.9, rasterized=True)
        axes[row].set_yticks([0.5, n_ring / 2 + 0.5], [0, 180])
        axes[row].set_ylim(0, n_ring)
    for ax in axes:
        _mark_epochs(ax, trial.epochs, trial.dt, with_names=False)
        ax.set_xlim(max(0, trial.epochs["fix1"][1] * trial.dt - SHOWN_FIXATION) / 1000, edges[-1])
        ax.tick_params(labelbottom=ax is axes[-1])
    for name, (start, end) in trial.epochs.items():
        start_s, end_s = axes[0].get_xlim()[0] if start is None else edges[start], edges[end or -1]
        _name_epoch(axes[0], name, start_s, end_s)
    axes[0].set_title(rule_name[rule], pad=ABOVE_EPOCH_NAMES)
    axes[-1].set_xlabel("Time in trial (s)")
