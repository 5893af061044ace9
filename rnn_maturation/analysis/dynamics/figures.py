"""Figures of the dynamics analyses: results in, matplotlib figures out."""

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rnn_maturation.analysis.dynamics.fixed_points import TOLERANCE
from rnn_maturation.analysis.dynamics.spectrum import frequency_hz, leading_pair, memory_time_s
from rnn_maturation.figures import STAGE_COLORS, STAGE_MARKERS, STYLE, _location_colors, _new_figure, _note
from rnn_maturation.network import CHANCE
from rnn_maturation.task import rule_name

LONGEST_SHOWN_S = 20  # longest memory time on the axis; longer and infinite ones are drawn above it
ROTATION_COLOR, RANDOM_COLOR, PRINCIPAL_COLOR, MODE_COLOR = "#c8191e", "0.6", "#1f5fd0", "#e69f00"


def _title(result, what):
    title = f"{rule_name.get(result.rule, result.rule)}, {result.epoch}" if result.rule else "Held input"
    trial_num = getattr(result, "trial_num", None)
    return f"{what}: {title}" + (f", trial {trial_num:,}" if trial_num is not None else "")


def _seconds(value):
    return "∞" if np.isinf(value) else f"{value:.2f} s"


def _spectrum(ax, eigenvalues, dt, color, title):
    """Draw eigenvalues and the unit circle in the complex plane, with the leading complex pair in color."""
    angle = np.linspace(0, 2 * np.pi, 200)
    ax.plot(np.cos(angle), np.sin(angle), color="0.75", linewidth=0.8, zorder=0)
    ax.plot(eigenvalues.real, eigenvalues.imag, ".", color="0.55", markersize=3, markeredgewidth=0)
    pair = leading_pair(eigenvalues)
    if not np.isnan(pair):
        ax.plot([pair.real] * 2, [pair.imag, -pair.imag], "o", color=color, markersize=5)
        title += f"\n{frequency_hz(pair, dt):.2f} Hz, τ = {_seconds(memory_time_s(pair, dt))}"
    ax.set_title(title, fontsize=8)
    ax.set(xlim=(0.35, 1.1), ylim=(-0.375, 0.375), aspect="equal")
    ax.set_xticks([0.5, 1.0])
    ax.set_yticks([-0.3, 0, 0.3])


def fixed_points(result):
    """Draw the eigenvalues at the fixed points, and the points among the starts (`fixed_point_analysis`)."""
    with _new_figure(1, 2, (8.4, 4.0)) as (figure, (left, right)):
        angle = np.linspace(0, 2 * np.pi, 200)
        left.plot(np.cos(angle), np.sin(angle), color="0.75", linewidth=0.8, zorder=0)
        for k, values in enumerate(result.eigenvalues):
            color = matplotlib.colormaps["viridis"](0.9 * k / max(1, len(result.states) - 1))
            left.plot(values.real, values.imag, ".", color=color, markersize=4, label=f"fixed point {k}")
        if not np.isnan(result.pair):
            pair = result.pair
            text = f"leading pair: |λ| = {abs(pair):.4f}\n{result.frequency_hz:.2f} Hz, τ = "
            text += _seconds(result.memory_time_s)
            left.plot([pair.real] * 2, [pair.imag, -pair.imag], "o", color=ROTATION_COLOR, label=text)
        left.axhline(0, color="0.9", linewidth=0.6, zorder=0)
        left.set(xlabel="Real part", ylabel="Imaginary part", aspect="equal", title="Eigenvalues of a time step")
        if len(result.states):
            left.legend(loc="upper left", fontsize=7)
        mean = result.starts.mean(axis=0)
        axes = np.linalg.svd(result.starts - mean, full_matrices=False)[2][:2].T
        starts, points, slow = ((states - mean) @ axes for states in (result.starts, result.states, result.slow_points))
        failed = ~(result.end_residuals <= TOLERANCE)
        right.plot(*starts[~failed].T, ".", color="0.7", label=f"{(~failed).sum()} starts that converged")
        if failed.any():
            right.plot(*starts[failed].T, "x", color="#d55e00", label=f"{failed.sum()} starts that did not converge")
        if len(slow):
            right.plot(*slow.T, "D", color="#e69f00", label=f"{len(slow)} slow points")
        for k, (point, values) in enumerate(zip(points, result.eigenvalues, strict=True)):
            stable = (abs(values) < 1).all()
            kind = "stable" if stable else f"{(abs(values) > 1).sum()} unstable directions"
            fill = "black" if stable else "white"
            right.plot(*point, "o", color="black", markerfacecolor=fill, markersize=8, label=f"fixed point {k}: {kind}")
        right.set(xlabel="First component of the starts", ylabel="Second component", title="Fixed points and starts")
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=7)
        figure.suptitle(_title(result, "Fixed points"), fontsize=10)
    return figure


def eigenvalue_growth(result):
    """Draw memory time and performance against training trials, and four spectra (`eigenvalue_growth_analysis`)."""
    table = result.data
    trials, memory = table.trial / 1000, table.memory_time_s.to_numpy(dtype=float)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(10.4, 4.6))
        axes = figure.subplot_mosaic(
            [["memory", "plateau", "early"], ["performance", "mid", "mature"]], width_ratios=[2.4, 1, 1]
        )
        ax, ax_perf = axes["memory"], axes["performance"]
        endless = memory > LONGEST_SHOWN_S
        finite, top = memory <= LONGEST_SHOWN_S, 1.8 * LONGEST_SHOWN_S
        ax.axhline(result.trained_delay_s, color="0.5", linestyle="--", linewidth=0.9)
        text = f"trained delay, {result.trained_delay_s:g} s"
        _note(ax, text, (0.01, result.trained_delay_s), ("axes fraction", "data"), (0, 3))
        ax.plot(trials, np.where(endless, top, memory), color="0.85", linewidth=0.8, zorder=0)
        for stage, color in STAGE_COLORS.items():
            mine = (table.stage == stage).to_numpy()
            ax.plot(trials[mine & finite], memory[mine & finite], STAGE_MARKERS[stage], color=color, markersize=3)
            ax.plot(trials[mine & endless], np.full((mine & endless).sum(), top), "^", color=color, markersize=4)
            ax_perf.plot(
                trials[mine], table.performance[mine], STAGE_MARKERS[stage], color=color, markersize=3, label=stage
            )
        ax.set(yscale="log", ylabel="Memory time of the leading\ncomplex pair (s)", ylim=(0.05, 1.5 * top))
        ticks = [0.1, 0.3, 1, 3, 10]
        ax.set_yticks([*ticks, top], [*(f"{tick:g}" for tick in ticks), f"{LONGEST_SHOWN_S:g}+"])
        ax.set_yticks([], minor=True)
        ax.tick_params(labelbottom=False)
        ax.set_title(_title(result, "Memory time"))
        ax_perf.plot(trials, table.performance, color="0.85", linewidth=0.8, zorder=0)
        ax_perf.axhline(CHANCE, color="0.6", linestyle=":", linewidth=0.9)
        ax_perf.set(xlabel="Training trials (thousands)", ylabel="Performance", ylim=(0, 1.05))
        ax_perf.legend(loc="upper left")
        ax_perf.sharex(ax)
        gaps = trials[table.n_fixed_points == 0]
        if len(gaps):
            ax.plot(gaps, np.full(len(gaps), 0.02), "|", color="0.5", transform=ax.get_xaxis_transform())
            ax.annotate(f"| no fixed point found ({len(gaps)})", (0.6, 0.03), xycoords="axes fraction", fontsize=7)
        shown = result.shown_trials
        for name in ("plateau", "early", "mid", "mature"):
            if name not in shown:
                axes[name].set_visible(False)
                continue
            row = table[table.trial == shown[name]].iloc[0]
            title = f"{name}: {shown[name] / 1000:,.0f}k, performance {row.performance:.2f}"
            _spectrum(axes[name], result.spectra[shown[name]], result.dt, STAGE_COLORS[row.stage], title)
        for name in ("mid", "mature"):
            axes[name].set_xlabel("Real part")
        for name in ("plateau", "mid"):
            axes[name].set_ylabel("Imaginary part")
    return figure


def delay_generalization(result):
    """Draw performance over delay and checkpoint, the trained delay marked (`delay_generalization_analysis`)."""
    grid = result.data.pivot(index="delay_ms", columns="trial", values="performance")
    trials, delays = list(grid.columns), list(grid.index)
    size = (min(10.0, 4.2 + 0.12 * len(trials)), 4.6)
    with _new_figure(2, 1, size, height_ratios=[1, 3.4], sharex=True) as (figure, (top, ax)):
        columns = np.arange(len(trials))
        top.plot(columns, [result.logged[trial] for trial in trials], ".-", color="0.3", linewidth=1, markersize=4)
        top.axhline(CHANCE, color="0.6", linestyle=":", linewidth=0.9)
        top.set(ylim=(0, 1.05), ylabel="Logged\nperformance", title=_title(result, "Performance after other delays"))
        top.tick_params(labelbottom=False)
        image = ax.imshow(
            grid.to_numpy(), aspect="auto", origin="lower", vmin=0, vmax=1, cmap="viridis", interpolation="nearest"
        )
        trained = delays.index(result.trained_delay_ms)
        ax.add_patch(
            Rectangle(
                (-0.5, trained - 0.5), len(trials), 1, fill=False, edgecolor="#c8191e", linewidth=1.8, clip_on=False
            )
        )
        ax.set_yticks(range(len(delays)), [f"{delay / 1000:g}" for delay in delays])
        ax.get_yticklabels()[trained].set_color("#c8191e")
        ticks = np.unique(np.linspace(0, len(trials) - 1, min(len(trials), 9)).astype(int))
        ax.set_xticks(ticks, [f"{trials[i] / 1000:.0f}" for i in ticks])
        ax.set(
            xlabel="Training trials (thousands); one column per checkpoint, not to scale",
            ylabel="Delay (s); red: trained",
        )
        for spine in ("top", "right", "left", "bottom"):
            ax.spines[spine].set_visible(False)
        bar = figure.colorbar(
            image, ax=ax, label=f"Share of {result.n_directions} directions correct", fraction=0.05, pad=0.02
        )
        bar.ax.axhline(CHANCE, color="white", linewidth=1)
    return figure


def end_state(result):
    """Draw a held delay in the plane of its first principal components and against time (`end_state_analysis`)."""
    n_time, n_locations, _ = result.trajectories.shape
    seconds = (np.arange(n_time) + 1) * result.dt / 1000
    colors = _location_colors(n_locations)
    n_shown = int(np.searchsorted(seconds, max(6.0, 2 * result.trained_delay_s)))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(9.6, 4.4))
        axes = figure.subplot_mosaic([["plane", "time"], ["plane", "spread"]], width_ratios=[1.1, 1])
        ax = axes["plane"]
        for k, color in enumerate(colors):
            ax.plot(*result.trajectories[:n_shown, k].T, color=color, linewidth=0.8, alpha=0.8)
            ax.plot(*result.trajectories[0, k], "o", color=color, markersize=5)
            axes["time"].plot(seconds[:n_shown], result.trajectories[:n_shown, k, 0], color=color, linewidth=1)
        if len(result.orbit):
            closed = np.concatenate([result.orbit, result.orbit[:1]])
            ax.plot(*closed.T, color="black", linewidth=2.2, label=f"cycle, {result.period_ms:,.0f} ms")
        for point, stable in zip(result.fixed_points, result.fixed_points_stable, strict=True):
            label = "stable fixed point" if stable else "unstable fixed point"
            ax.plot(
                *point, "o", color="black", markerfacecolor="black" if stable else "white", markersize=8, label=label
            )
        ax.plot([], [], "o", color="0.5", markersize=5, label=f"start of the delay, {n_locations} locations")
        share = result.explained * 100
        ax.set(xlabel=f"First component ({share[0]:.0f} %)", ylabel=f"Second component ({share[1]:.0f} %)")
        ax.set_title(f"Ends in: {result.kind}")
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, fontsize=7)
        ax.set_aspect("equal", adjustable="datalim")
        axes["time"].axvline(result.trained_delay_s, color="0.5", linestyle="--", linewidth=0.9)
        axes["time"].set_title("Dashed: end of the trained delay", fontsize=8)
        axes["time"].set(xlabel="Time of the held delay (s)", ylabel="First component", xlim=(0, seconds[n_shown - 1]))
        axes["spread"].plot(seconds, np.maximum(result.spread, 1e-12), color="0.2", linewidth=1.2)
        axes["spread"].axvline(result.trained_delay_s, color="0.5", linestyle="--", linewidth=0.9)
        low = max(1e-6, result.spread.min() / 2)
        axes["spread"].set(
            yscale="log",
            ylim=(min(low, result.spread.max() / 20), 2 * result.spread.max()),
            xlim=(0, seconds[-1]),
            xlabel="Time of the held delay (s)",
            ylabel="Distance of locations\nfrom their mean (r.m.s.)",
        )
        figure.suptitle(_title(result, "Held delay"), fontsize=10)
    return figure


def lesions(result):
    """Draw performance after silencing groups of units: one matrix per stage, groups by rules (`lesion_analysis`)."""
    table = result.data
    stages = [stage for stage in STAGE_COLORS if stage in set(table.stage)]
    groups, rules = list(dict.fromkeys(table.group)), list(dict.fromkeys(table.rule))
    means = table.groupby(["stage", "group", "rule"])[
        ["performance", "random_mean", "random_min", "random_max", "intact", "n_units"]
    ].mean()
    size = (2.0 + 0.85 * len(rules) * len(stages) + 0.6 * len(stages), 1.6 + 0.5 * (len(groups) + 1))
    with _new_figure(1, len(stages), size, squeeze=False) as (figure, grid):
        axes = grid[0]
        for ax, stage in zip(axes, stages, strict=True):
            matrix = np.array([[means.performance.get((stage, g, r), np.nan) for r in rules] for g in groups])
            intact = [[means.intact[stage, groups[0], r] for r in rules]]
            matrix = np.concatenate([intact, matrix])
            image = ax.imshow(matrix, vmin=0, vmax=1, cmap="viridis", aspect="auto")
            for i, j in np.ndindex(matrix.shape):
                if np.isnan(matrix[i, j]):
                    ax.text(j, i, "–", ha="center", va="center", color="0.3")
                    continue
                ink = "white" if matrix[i, j] < 0.6 else "black"
                text = f"{matrix[i, j]:.2f}"
                ax.text(j, i - (0.16 if i else 0), text, ha="center", va="center", color=ink, fontsize=8)
                if i:
                    row = means.loc[(stage, groups[i - 1], rules[j])]
                    text = f"{row.random_mean:.2f} ({row.random_min:.2f}–{row.random_max:.2f})"
                    ax.text(j, i + 0.24, text, ha="center", va="center", color=ink, fontsize=5.5)
            counts = [means.n_units[stage, g, rules[0]] for g in groups]
            names = ["no lesion", *(f"{g}\n({n:.0f} units)" for g, n in zip(groups, counts, strict=True))]
            if ax is not axes[0]:
                names = ["", *(f"({n:.0f})" for n in counts)]
            ax.set_yticks(range(len(names)), names, fontsize=7)
            ax.set_xticks(range(len(rules)), [rule_name.get(rule, rule) for rule in rules], fontsize=7)
            ax.axhline(0.5, color="white", linewidth=3)
            n_checkpoints = table[table.stage == stage].trial.nunique()
            checkpoints = f"{n_checkpoints} checkpoint{'s' if n_checkpoints > 1 else ''}"
            ax.set_title(f"{stage} ({checkpoints})", color=STAGE_COLORS[stage])
            ax.tick_params(length=0)
            for spine in ax.spines.values():
                spine.set_visible(False)
        figure.colorbar(image, ax=list(axes), label="Performance; small: random units, mean (range)", fraction=0.03)
    return figure


def perturbation(result):
    """Draw how far kicks move the saccade, and the performance with planes removed (`perturbation_analysis`)."""
    table = result.data
    kicks, removed = table[table.manipulation == "kick"], table[table.manipulation == "removed"]
    with _new_figure(1, 2, (10.4, 4.0), width_ratios=[1, 1.5]) as (figure, (left, right)):
        own = kicks[kicks.plane == "rotation"]
        random = kicks[kicks.plane == "random"].groupby("time_ms").shift_deg.agg(["mean", "min", "max"])
        sign = np.sign(own.shift_deg.mean()) or 1
        left.axhline(sign * result.kick_deg, color="0.6", linestyle="--", linewidth=0.9)
        at = (0.99, sign * result.kick_deg)
        _note(left, "angle of the kick", at, ("axes fraction", "data"), (0, 3), ha="right")
        left.axhline(0, color="0.85", linewidth=0.8, zorder=0)
        left.plot(own.time_ms / 1000, own.shift_deg, "o-", color=ROTATION_COLOR, label="plane of the rotation")
        left.fill_between(random.index / 1000, random["min"], random["max"], color=RANDOM_COLOR, alpha=0.4, linewidth=0)
        left.plot(random.index / 1000, random["mean"], color=RANDOM_COLOR, label="random planes, mean and range")
        left.set(xlabel="Time of the kick in the delay (s)", ylabel="Shift of the saccade (°)")
        left.set_ylim(*sorted((-0.35 * sign * result.kick_deg, 1.45 * sign * result.kick_deg)))
        left.legend(loc="upper left", fontsize=7)
        left.set_title("Kick")
        rules = list(dict.fromkeys(removed.rule))
        kinds = {
            "none": ("nothing removed", "0.2"),
            "principal": ("first two principal components of the delay", PRINCIPAL_COLOR),
            "rotation": ("plane of the rotation", ROTATION_COLOR),
            "random": ("random planes, mean and range", RANDOM_COLOR),
            "mode": ("rotation, oblique projection", MODE_COLOR),
            "random mode": ("random oblique projections, mean and range", "0.8"),
        }
        for k, (kind, (label, color)) in enumerate(kinds.items()):
            of_kind = removed[removed.plane == kind].groupby("rule").performance.agg(["mean", "min", "max"]).loc[rules]
            at = np.arange(len(rules)) + 0.14 * (k - 2.5)
            right.bar(at, of_kind["mean"], 0.13, color=color, label=label)
            if kind.startswith("random"):
                errors = [of_kind["mean"] - of_kind["min"], of_kind["max"] - of_kind["mean"]]
                right.errorbar(at, of_kind["mean"], errors, fmt="none", ecolor="black", elinewidth=0.8)
        right.axhline(CHANCE, color="0.5", linestyle=":", linewidth=0.9)
        right.set_xticks(range(len(rules)), [rule_name.get(rule, rule) for rule in rules])
        right.set(ylabel="Performance", ylim=(0, 1.05), title="Plane removed at every step")
        right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=2, fontsize=7)
        figure.suptitle(_title(result, f"Rotation of {result.frequency_hz:.2f} Hz"), fontsize=10)
    return figure
