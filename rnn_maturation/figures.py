"""Drawing: arrays in, Figure out. Nothing is computed here that a result would depend on.

Figures are matplotlib Figure objects of their own, so none is left open and no screen is needed. Stages of maturation
have a colour each and, for those who do not see it, a marker.
"""

from contextlib import contextmanager
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from rnn_maturation.files import atomic_write
from rnn_maturation.stages import STAGES

STAGE_COLOURS = {"early": "#2ca02c", "mid": "#1f5fd0", "mature": "#c8191e"}  # green, blue, red, as published
STAGE_MARKERS = {"early": "o", "mid": "^", "mature": "s"}
# Okabe and Ito's colours, which the colour-blind tell apart; their yellow darkened to be seen on white
LOCATION_COLOURS = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#b8a800", "#0072b2", "#d55e00", "#cc79a7")
LINE_STYLES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)), (0, (8, 3)))
ABOVE_EPOCH_NAMES = 28  # points from the axes to a title that is above the names of epochs
FORMATS = ("png", "pdf", "svg")
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
    "svg.hashsalt": "rnn_maturation",  # the same figure gives the same file
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def _new_figure(n_rows=1, n_columns=1, size=(6, 4), **subplot_settings):
    """Figure and its axes, in the house's style."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size)
        yield figure, figure.subplots(n_rows, n_columns, **subplot_settings)


def save_figure(figure, path):
    """Write a figure as png, pdf and svg; each appears whole or not at all.

    Parameters
    ----------
    figure : Figure
    path : str or Path
        Without ending; its folder is made.

    Returns
    -------
    Path
        The png file.
    """
    folder = Path(path).parent
    folder.mkdir(parents=True, exist_ok=True)
    undated = {"png": None, "pdf": {"CreationDate": None}, "svg": {"Date": None}}
    with matplotlib.rc_context(STYLE):
        for ending in FORMATS:
            with atomic_write(folder / f"{Path(path).name}.{ending}") as temporary:
                figure.savefig(temporary, format=ending, metadata=undated[ending])
            figure.set_layout_engine("none")  # laid out by the first one
    return folder / f"{Path(path).name}.png"


# ------------------------------------------------------------------------------------------------------- shared parts


def _mark_epochs(ax, epochs, dt, with_names=True):
    """Shade stimuli (grey) and distractors (hatched), mark the go signal, name the epochs on top."""
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
    turn = {"rotation": 60, "ha": "left", "va": "bottom"} if narrow else {"ha": "center", "va": "bottom"}
    text = "go" if name == "go1" else name
    ax.annotate(
        text,
        (where, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        fontsize=7,
        color="0.35",
        annotation_clip=False,
        **turn,
    )


def _stage_line(ax, x, y, stage, label, **settings):
    """A line in a stage's colour with its marker now and then."""
    shift = {"early": 0, "mid": len(x) // 36, "mature": len(x) // 18}[stage]
    ax.plot(
        x,
        y,
        color=STAGE_COLOURS[stage],
        marker=STAGE_MARKERS[stage],
        markevery=(shift, max(1, len(x) // 12)),
        label=label,
        **settings,
    )


def _location_colours(n_locations):
    if n_locations <= len(LOCATION_COLOURS):
        return LOCATION_COLOURS[:n_locations]
    return matplotlib.colormaps["viridis"](np.linspace(0, 0.9, n_locations))


def _activity_label(norm):
    return "Activity (rate / fixation level − 1)" if norm else "Activity (rate, a.u.)"


def _note_gaps(ax, present):
    """Name the stages that have nothing to show."""
    gaps = [stage for stage in STAGES if stage not in present]
    if gaps:
        ax.plot([], [], " ", label=f"no {', '.join(gaps)} stage")


# ------------------------------------------------------------------------------------------------------- maturation


def growth_of_performance(trials, curves, names, stage_ranges=None):
    """Performance of each rule against training trials, chosen stage ranges shaded (Fig. S7).

    Parameters
    ----------
    trials : (n,) array
    curves : {rule: (n,) performance}
    names : {rule: name to show}
    stage_ranges : {rule: {stage: trial numbers}}, optional
    """
    n_columns = 2 if len(curves) > 1 else 1
    n_rows = -(-len(curves) // n_columns)
    size = (4.6 * n_columns, max(2.2 * n_rows + 0.4, 3.2))  # room for the label of the axis
    with _new_figure(n_rows, n_columns, size, sharex=True, sharey=True, squeeze=False) as (figure, axes):
        for ax, (rule, curve) in zip(axes.flat, curves.items(), strict=False):
            for stage, chosen in (stage_ranges or {}).get(rule, {}).items():
                if len(chosen):
                    ax.axvspan(
                        min(chosen) / 1000, max(chosen) / 1000, color=STAGE_COLOURS[stage], alpha=0.2, linewidth=0
                    )
                    at = (min(chosen) + max(chosen)) / 2000
                    ax.plot(
                        [at],
                        [1.06],
                        STAGE_MARKERS[stage],
                        color=STAGE_COLOURS[stage],
                        label=f"{stage}, n={len(chosen)}",
                    )
            ax.plot(np.asarray(trials) / 1000, curve, color="0.15", linewidth=1.2)
            ax.set_title(names[rule])
            ax.set_ylim(0, 1.1)
            if ax.get_legend_handles_labels()[0]:
                ax.legend(loc="best")
        for ax in list(axes.flat)[len(curves) :]:
            ax.set_visible(False)
        figure.supxlabel("Training trials (thousands)")
        figure.supylabel("Performance (share of correct trials)")
    return figure


def psth(stages, epochs, dt, norm, title):
    """Mean activity against time for each stage; the opposite direction dashed (Fig. 4E-G).

    Parameters
    ----------
    stages : {stage: {'PSTH': (n_time,), optionally 'PSTH_oppo': (n_time,), 'growth', 'n_num'}}
    epochs : {epoch: (start, end)} in steps
    dt : float
        Step, ms.
    norm : bool
    title : str
    """
    with _new_figure() as (figure, ax):
        _mark_epochs(ax, epochs, dt)
        for stage, result in stages.items():
            seconds = np.arange(len(result["PSTH"])) * dt / 1000
            label = f"{stage}_{result['growth']:.2f}_n{result['n_num']:.0f}"
            _stage_line(ax, seconds, result["PSTH"], stage, label)
            if "PSTH_oppo" in result:
                _stage_line(
                    ax,
                    seconds,
                    result["PSTH_oppo"],
                    stage,
                    f"{stage}, opposite",
                    linestyle="--",
                    markerfacecolor="none",
                )
        _note_gaps(ax, stages)
        ax.set(xlabel="Time in trial (s)", ylabel=_activity_label(norm), xlim=(0, seconds[-1]))
        ax.set_title(title, pad=ABOVE_EPOCH_NAMES)
        ax.legend(title="stage_performance_n units", loc="upper left", bbox_to_anchor=(1, 1))
        figure.set_size_inches(7.4, 3.8)
    return figure


def epoch_mean_growth(trials, means, stages, norm, title):
    """Mean activity in an epoch against training trials, a point a checkpoint (Fig. S2B)."""
    trials, means = np.asarray(trials) / 1000, np.asarray(means, dtype=float)
    with _new_figure() as (figure, ax):
        ax.plot(trials, means, color="0.8", linewidth=0.8, zorder=0)
        for stage in STAGES:
            mine = np.array([s == stage for s in stages], dtype=bool)
            if mine.any():
                ax.plot(
                    trials[mine],
                    means[mine],
                    STAGE_MARKERS[stage],
                    color=STAGE_COLOURS[stage],
                    label=f"{stage}, {mine.sum()} checkpoints",
                )
        gaps = trials[np.isnan(means)]
        ax.plot(
            gaps,
            np.zeros(len(gaps)),
            "|",
            color="0.5",
            transform=ax.get_xaxis_transform(),
            label=f"no units: {len(gaps)} checkpoints" if len(gaps) else None,
        )
        ax.set(xlabel="Training trials (thousands)", ylabel="Mean " + _activity_label(norm).lower(), title=title)
        ax.legend()
    return figure


def p_heatmap(p, trials, title):
    """p-values of the tests between every two checkpoints, on a logarithmic scale."""
    shown = np.log10(np.maximum(np.asarray(p, dtype=float), 1e-10))
    with _new_figure(size=(5.4, 4.6)) as (figure, ax):
        image = ax.imshow(shown, cmap="viridis", vmin=-6, vmax=0, origin="lower", interpolation="nearest")
        ticks = np.unique(np.linspace(0, len(trials) - 1, min(len(trials), 8)).astype(int))
        names = [f"{trials[i] / 1000:.0f}" for i in ticks]
        ax.set_xticks(ticks, names)
        ax.set_yticks(ticks, names)
        ax.set(xlabel="Training trials (thousands)", ylabel="Training trials (thousands)", title=title)
        bar = figure.colorbar(image, label="p of the t-test (nan: white)", extend="min")
        bar.set_ticks([-6, -4, -2, np.log10(0.05), 0], labels=["1e-6", "1e-4", "0.01", "0.05", "1"])
    return figure


# -------------------------------------------------------------------------------------------------------- selectivity


def tuning(stages, height_ttest, n_locations, title, gaussian):
    """Tuning curves of each stage with their Gaussian fits (Fig. S3B).

    Parameters
    ----------
    stages : {stage: {'curve', 'fit', 'width', 'n_units', 'growth'}}
    height_ttest : {(stage, stage): p}
    n_locations : int
    title : str
    gaussian : callable
        gaussian(x, a, u, s).
    """
    with _new_figure(size=(5.6, 4.2)) as (figure, ax):
        for stage, result in stages.items():
            curve = np.asarray(result["curve"])
            at = np.arange(len(curve)) - n_locations // 2
            fitted = result["fit"] is not None
            label = f"{stage}, performance {result['growth']:.2f}, n={result['n_units']:.0f}"
            label += f", width {result['width']:.2f}" if fitted else ", no fit"
            ax.plot(
                at,
                curve,
                STAGE_MARKERS[stage],
                linestyle="none" if fitted else "-",
                color=STAGE_COLOURS[stage],
                label=label,
            )
            if fitted:
                fine = np.linspace(at[0], at[-1], 200)
                ax.plot(
                    fine, gaussian(fine + n_locations // 2, *result["fit"]) + curve.min(), color=STAGE_COLOURS[stage]
                )
        _note_gaps(ax, stages)
        lines = [f"{a} – {b}: p = {p:.2g}" for (a, b), p in height_ttest.items()]
        if lines:
            ax.plot([], [], " ", label="heights, t-test:\n" + "\n".join(lines))
        ax.set(
            xlabel=f"Location relative to the preferred one (steps of {360 / n_locations:g}°)",
            ylabel="Mean location activity",
            title=title,
        )
        ax.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=1)
    return figure


RING_CELLS = (1, 2, 5, 8, 7, 6, 3, 0)  # grid cell of locations 0 (up), 1, ... clockwise, the polar plot in the middle


def sample_unit(means, rates, epochs, dt, title):
    """Activity of a unit at each of 8 locations around its polar tuning (Fig. 3B).

    Parameters
    ----------
    means : (8, n_time) array
        Trial-mean activity at each location.
    rates : (8,) array
        Mean rate in the epoch, for the polar plot.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8, 6.4))
        seconds = np.arange(means.shape[1]) * dt / 1000
        low, high = np.nanmin(means), np.nanmax(means)
        margin = 0.05 * (high - low) or 0.5
        for location, cell in enumerate(RING_CELLS):
            ax = figure.add_subplot(3, 3, cell + 1)
            _mark_epochs(ax, epochs, dt, with_names=cell == 0)
            ax.plot(seconds, means[location], color="0.15")
            ax.set_ylim(low - margin, high + margin)
            ax.text(0.02, 0.9, f"{location * 360 / len(RING_CELLS):g}°", transform=ax.transAxes)
            if cell == 7:
                ax.set_xlabel("Time in trial (s)")
            if cell == 3:
                ax.set_ylabel("Mean rate (a.u.)")
        _draw_polar(figure.add_subplot(3, 3, 5, projection="polar"), rates)
        figure.suptitle(title)
    return figure


def polar_tuning(rates, title):
    """Polar tuning curve of a unit with its preferred direction."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(4, 4))
        ax = figure.add_subplot(projection="polar")
        _draw_polar(ax, rates)
        ax.set_title(title)
    return figure


def _draw_polar(ax, rates):
    n_locations = len(rates)
    angles = np.arange(n_locations + 1) * 2 * np.pi / n_locations
    ax.set_theta_zero_location("N")
    ax.set_theta_direction(-1)
    ax.plot(angles, np.append(rates, rates[0]), color="0.15", marker="o", markersize=3)
    if np.isfinite(rates).any():
        preferred = angles[int(np.nanargmax(rates))]
        ax.plot([preferred, preferred], [min(0, np.nanmin(rates)), np.nanmax(rates)], color=STAGE_COLOURS["mature"])
    ax.set_xticks(angles[:-1])
    ax.tick_params(labelsize=6, pad=-2)


def period_activity(activity, bin_width, result_text, norm, title):
    """Histogram and box plot of unit means in each stage (Fig. S1)."""
    with _new_figure(1, 2, (8.4, 3.8), width_ratios=(3, 2)) as (figure, (left, right)):
        finite = {stage: values[np.isfinite(values)] for stage, values in activity.items()}
        finite = {stage: values for stage, values in finite.items() if len(values)}
        pooled = np.concatenate([*finite.values(), [0.0]])
        edges = _bin_edges(pooled, bin_width)
        for stage, values in finite.items():
            left.hist(
                values,
                edges,
                histtype="step",
                linewidth=1.6,
                color=STAGE_COLOURS[stage],
                linestyle=dict(zip(STAGES, (":", "--", "-"), strict=True))[stage],
                label=f"{stage}, n={len(values)}",
            )
            left.plot(
                values.mean(),
                1.03,
                STAGE_MARKERS[stage],
                color=STAGE_COLOURS[stage],
                transform=left.get_xaxis_transform(),
                clip_on=False,
            )
        if finite:
            boxes = right.boxplot(
                list(finite.values()),
                widths=0.5,
                patch_artist=True,
                medianprops={"color": "black"},
                flierprops={"markersize": 2},
            )
            right.set_xticks(range(1, len(finite) + 1), list(finite))
            for box, stage in zip(boxes["boxes"], finite, strict=True):
                box.set(facecolor=STAGE_COLOURS[stage], alpha=0.6)
        _note_gaps(left, finite)
        left.set(xlabel=_activity_label(norm), ylabel="Number of units")
        right.set(ylabel=_activity_label(norm))
        left.legend(title="marker: mean")
        figure.suptitle(f"{title}\n{result_text}", fontsize=10)
    return figure


def _bin_edges(values, width, most=400):
    """Edges of bins of `width` over the values, wider when they would be too many to draw."""
    low, high = np.floor(values.min() / width), np.floor(values.max() / width) + 1
    if high - low > most:
        return np.linspace(low * width, high * width, most + 1)
    return np.arange(low, high + 1) * width


def shared_units(table, title):
    """Number of units selective in both tasks, with the same and with different preferred location."""
    names = {"inter": "selective in both", "samedir": "same location", "diffdir": "different location"}
    with _new_figure() as (figure, ax):
        for column, colour, marker, style in zip(
            names, ("0.2", "#1f5fd0", "#d95f02"), "os^", LINE_STYLES, strict=False
        ):
            ax.plot(
                np.asarray(table.index) / 1000, table[column], style, color=colour, marker=marker, label=names[column]
            )
        ax.set(xlabel="Training trials (thousands)", ylabel="Number of units", title=title)
        ax.set_ylim(bottom=0)
        ax.legend()
    return figure


# --------------------------------------------------------------------------------------------------------- population


def decoder_scores(scores, dt, window_size, stride, epochs, chance, title):
    """Heat map of decoding scores, 0 to 1, chance marked on the colour bar (Fig. S5E).

    Parameters
    ----------
    scores : (n_windows, n_windows) array
        Row = training window, column = tested window.
    epochs : {epoch: (start, end)} in steps, or None
    """
    with _new_figure(size=(5.6, 4.6)) as (figure, ax):
        half = stride / 2
        start, end = -half * dt / 1000, ((len(scores) - 1) * stride + half) * dt / 1000
        image = ax.imshow(
            scores,
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
        ax.set_title(f"{title}, windows of {window_size * dt:g} ms", pad=ABOVE_EPOCH_NAMES if epochs else 6)
        ax.set_xlim(start, end)
        ax.set_ylim(start, end)
        bar = figure.colorbar(image, label="Share of trials decoded right")
        bar.ax.axhline(chance, color="white", linewidth=2)
        bar.ax.annotate(
            "chance",
            (1, chance),
            xycoords=("axes fraction", "data"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=7,
            va="center",
            ha="left",
            color="black",
        )
    return figure


def demixed_components(result, dt, epochs, location_names, ylims, inverted, title, smoothing=None):
    """First time, stimulus and mixing component, a line a location (Fig. 5E).

    Parameters
    ----------
    result : dpca.DemixedPCA
    ylims : {'t', 's', 'st': (low, high)}
    inverted : {'t', 's', 'st': bool}
        Turn the sign, which is arbitrary, round.
    smoothing : callable, optional
        Applied to each curve.
    """
    names = {"t": "time", "s": "stimulus", "st": "mixing"}
    with _new_figure(1, 3, (11, 3.4)) as (figure, axes):
        colours = _location_colours(len(location_names))
        for ax, (part, name) in zip(axes, names.items(), strict=True):
            if epochs:
                _mark_epochs(ax, epochs, dt)
            for where, curve in enumerate(result.components[part][0]):
                curve = (-1 if inverted[part] else 1) * (curve if smoothing is None else smoothing(curve))
                ax.plot(
                    np.arange(len(curve)) * dt / 1000,
                    curve,
                    linestyle=LINE_STYLES[where % len(LINE_STYLES)],
                    color=colours[where],
                    label=location_names[where],
                )
            share = 100 * result.explained_variance_ratio[part][0]
            ax.set_title(f"First {name} component, {share:.1f} % of variance", pad=ABOVE_EPOCH_NAMES if epochs else 6)
            ax.set_ylim(*ylims[part])
            ax.set_xlabel("Time in trial (s)")
        axes[0].set_ylabel("Component (activity, a.u.)")
        axes[-1].legend(title="location", loc="upper left", bbox_to_anchor=(1, 1))
        figure.suptitle(title)
    return figure


def principal_components(components, explained, dt, epochs, title):
    """Principal components against time, a line a location."""
    n_components, n_locations, n_time = components.shape
    with _new_figure(1, n_components, (4 * n_components + 1, 3.4), squeeze=False) as (figure, axes):
        colours = _location_colours(n_locations)
        for number, ax in enumerate(axes[0]):
            if epochs:
                _mark_epochs(ax, epochs, dt)
            for where in range(n_locations):
                ax.plot(
                    np.arange(n_time) * dt / 1000,
                    components[number, where],
                    color=colours[where],
                    linestyle=LINE_STYLES[where % len(LINE_STYLES)],
                    label=f"{where * 360 / n_locations:g}°",
                )
            ax.set_title(
                f"Component {number + 1}, {100 * explained[number]:.1f} % of variance",
                pad=ABOVE_EPOCH_NAMES if epochs else 6,
            )
            ax.set_xlabel("Time in trial (s)")
        axes[0, 0].set_ylabel("Component (standard deviations)")
        axes[0, -1].legend(title="location", loc="upper left", bbox_to_anchor=(1, 1))
        figure.suptitle(title)
    return figure


# ----------------------------------------------------------------------------------------------------------- behaviour


def distractor_performance(performance, n_ring, title):
    """Performance of each stage against the distance of the distractor; `performance` is stage x distance."""
    with _new_figure(size=(5, 3.8)) as (figure, ax):
        for stage in performance.index:
            ax.plot(
                performance.columns * 360 / n_ring,
                performance.loc[stage],
                color=STAGE_COLOURS[stage],
                marker=STAGE_MARKERS[stage],
                label=stage,
            )
        _note_gaps(ax, performance.index)
        ax.set(
            xlabel="Distance of distractor and stimulus (°)",
            ylabel="Performance (share of correct trials)",
            title=title,
            ylim=(0, 1.05),
        )
        ax.set_xticks(np.asarray(performance.columns) * 360 / n_ring)
        ax.legend()
    return figure


def saccade_errors(errors, labels, title):
    """Histograms of the saccade error in degrees, a stage a line; 30 bins in 0-180."""
    with _new_figure(size=(5, 3.8)) as (figure, ax):
        styles = dict(zip(STAGES, (":", "--", "-"), strict=True))
        edges = np.linspace(0, 180, 31)
        for stage, values in errors.items():
            share = np.histogram(values, edges)[0] / max(len(values), 1)
            ax.stairs(share, edges, color=STAGE_COLOURS[stage], linestyle=styles[stage], linewidth=1.6)
            ax.plot(
                (edges[:-1] + edges[1:])[::3] / 2,
                share[::3],
                STAGE_MARKERS[stage],
                color=STAGE_COLOURS[stage],
                label=labels[stage],
            )
        _note_gaps(ax, errors)
        ax.axvline(36, color="0.4", linewidth=0.8, linestyle=":")
        ax.annotate(
            "36° counts\nas correct",
            (36, 0.93),
            xycoords=("data", "axes fraction"),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=7,
            color="0.35",
        )
        ax.set(xlabel="Saccade error (°)", ylabel="Share of trials", title=title, xlim=(0, 180))
        ax.set_ylim(0, 1.35 * ax.get_ylim()[1])  # room for the legend
        ax.legend()
    return figure


# ------------------------------------------------------------------------------------------------------- many runs


def growth_over_seeds(curves, medians, names, title):
    """Performance of each rule against training trials: a thin line a seed, a thick one the median.

    Parameters
    ----------
    curves : {rule: [(trials, performance, ...) of each run]}
    medians : {rule: (trials, performance)}
    names : {rule: name to show}
    title : str
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
    """Training trials until each rule reaches three criteria of performance, a row a variant, a point a run.

    Parameters
    ----------
    table : pandas.DataFrame
        variant, trials and <rule>_to_<criterion> of each run; a missing value: never reached, drawn as an open
        triangle where the run ended.
    criteria : sequence of three performances
    names : {rule: name to show}
    """
    rules = [rule for rule in names if f"{rule}_to_{criteria[0]}" in table]
    variants = list(dict.fromkeys(table["variant"]))
    n_columns = min(3, len(rules))
    n_rows = -(-len(rules) // n_columns)
    size = (3.2 * n_columns + 1, n_rows * (0.9 + 0.22 * len(variants)) + 0.5)
    with _new_figure(n_rows, n_columns, size, sharex=True, sharey=True, squeeze=False) as (figure, axes):
        for ax, rule in zip(axes.flat, rules, strict=False):
            _criterion_points(ax, table, rule, variants, criteria)
            ax.set_title(names[rule])
        for ax in list(axes.flat)[len(rules) :]:
            ax.set_visible(False)
        axes[0, 0].set_yticks(range(len(variants)), variants)
        axes[0, 0].set(ylim=(len(variants) - 0.5, -0.5), xlim=(0, None))
        handles = [_criterion_mark(ax, [], [], stage, f"{c:g}") for stage, c in zip(STAGES, criteria, strict=True)]
        handles += ax.plot([], [], ">", color="0.4", markerfacecolor="none", label="not reached")
        figure.legend(handles=handles, loc="outside upper center", ncols=4, title="smoothed performance reaches")
        figure.supxlabel("Training trials (thousands)")
    return figure


def _criterion_points(ax, table, rule, variants, criteria):
    of_rule = table[table[f"perf_{rule}"].notna()]
    rows = of_rule["variant"].map(variants.index).to_numpy(float)
    for shift, (stage, criterion) in enumerate(zip(STAGES, criteria, strict=True)):
        reached = of_rule[f"{rule}_to_{criterion}"].to_numpy(float, na_value=np.nan) / 1000
        ended = of_rule["trials"].to_numpy(float) / 1000
        height = rows + 0.2 * (shift - 1)
        _criterion_mark(ax, reached, height, stage)
        never = np.isnan(reached)
        ax.plot(ended[never], height[never], ">", color=STAGE_COLOURS[stage], markerfacecolor="none", markersize=4)


def _criterion_mark(ax, x, y, stage, label=None):
    return ax.plot(
        x, y, STAGE_MARKERS[stage], color=STAGE_COLOURS[stage], markersize=4, alpha=0.8, linestyle="none", label=label
    )[0]
