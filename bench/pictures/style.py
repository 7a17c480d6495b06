"""Colours that stay apart for colour-blind readers (Okabe and Ito), one for each contender."""

from typing import Any

RC: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "legend.frameon": False,
    "savefig.dpi": 130,
    "savefig.facecolor": "white",  # readable on a dark page too
    "svg.fonttype": "none",  # text stays text; browsers without the font take a narrower one
    "svg.hashsalt": "cyconv",
}

VERMILION, BLUE, SKY, GREEN = "#D55E00", "#0072B2", "#56B4E9", "#009E73"
PURPLE, ORANGE, BLACK, GREY = "#CC79A7", "#E69F00", "#000000", "#8A8A8A"

STYLES: dict[str, tuple[str, str]] = {  # colour and marker
    "cyconv": (VERMILION, "o"),
    "cyconv-direct": (VERMILION, "d"),
    "cyconv-out": (VERMILION, "<"),
    "cyconv-notebook": (VERMILION, "o"),
    "torch-nhwc": (BLUE, "s"),
    "torch-nchw": (SKY, "D"),
    "onnxruntime": (GREEN, "^"),
    "jax": (PURPLE, "v"),
    "im2col": (ORANGE, "P"),
    "windows": (GREY, "X"),
    "loops": (BLACK, "*"),
}


def colour(key: str) -> str:
    return STYLES[key][0]


def marker(key: str) -> str:
    return STYLES[key][1]
