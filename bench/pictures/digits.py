"""The network on digits: the loss of each batch, the loops' on top of it, and the test accuracy."""

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from bench import digits
from bench.pictures.style import BLACK, BLUE, GREY, VERMILION, colour
from bench.results import Row, Run
from bench.tables import significant, small

LOOKS = ((VERMILION, "-"), (BLUE, "--"), (BLACK, ":"))  # of each algorithm


def height(run: Run) -> float:
    return 4.0


def draw(run: Run, figure: SubFigure) -> None:
    rows = digits.learned(run)
    if not rows:
        return
    loss, accuracy = figure.subplots(2, 1, sharex=True)
    _losses(rows[0], loss)
    _accuracy(rows, accuracy)


def _losses(row: Row, axes: Axes) -> None:
    batches = range(1, len(row["losses"]) + 1)
    axes.plot(batches, row["losses"], color=VERMILION, linewidth=1, label="cyconv")
    if row["loop_losses"]:
        loops = row["loop_losses"]
        axes.plot(
            range(1, len(loops) + 1), loops, linestyle="", marker="*", markersize=8,
            color=colour("loops"), label=f"notebook loops, first {len(loops)} batches",
        )  # fmt: skip
        axes.text(
            0.98, 0.6,
            f"losses differ by {small(digits.agreement(row))}\n"
            f"a batch takes the loops {significant(digits.ratio(row))} times longer",
            transform=axes.transAxes, ha="right", va="top", color=BLACK, fontsize=8,
        )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set_ylabel("training loss")
    axes.set_title("Learning digits")
    axes.legend(loc="upper right", fontsize=8)


def _accuracy(rows: list[Row], axes: Axes) -> None:
    looks = dict(zip(dict.fromkeys(row.get("algorithm") for row in rows), LOOKS, strict=False))
    for row in rows:
        epochs = len(row["accuracy"])
        if not epochs:
            continue
        each = len(row["losses"]) // epochs
        at = range(each, each * epochs + 1, each)
        ink, line = looks[row.get("algorithm")]
        axes.plot(
            at, [100 * a for a in row["accuracy"]], color=ink, linestyle=line, linewidth=1, marker="o", markersize=3
        )
    if len(looks) > 1:
        for algorithm, (ink, line) in looks.items():
            axes.plot([], [], color=ink, linestyle=line, label=algorithm)
        axes.legend(loc="lower right", fontsize=8)
    elif rows[0]["accuracy"]:
        final = 100 * rows[0]["accuracy"][-1]
        axes.text(0.98, 0.6, f"{final:.1f} % after {sum(rows[0]['seconds']):.1f} s of training",
                  transform=axes.transAxes, ha="right", va="top", fontsize=8)  # fmt: skip
    axes.axhline(97, color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate("97 %", (0.98, 97), xycoords=("axes fraction", "data"), xytext=(0, -4),
                  textcoords="offset points", ha="right", va="top", fontsize=8, color=GREY)  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(0, 104)
    axes.set_ylabel("test accuracy, %")
    axes.set_xlabel(f"batches of {digits.BATCH}")
