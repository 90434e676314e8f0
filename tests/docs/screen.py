#!/usr/bin/env python3
"""A captured terminal screen as a picture: tmux capture-pane -pe | screen.py > screen.svg"""

import re
import sys
from html import escape

WIDTH, HEIGHT, MARGIN = 8.4, 18, 14
COLOURS = {30: "#6e7681", 31: "#ff7b72", 32: "#7ee787", 33: "#e3b341", 34: "#79c0ff", 35: "#d2a8ff", 36: "#56d4dd", 37: "#e6edf3"}
INK, BACK = "#e6edf3", "#161b22"


def style(codes, old):
    """What a list of SGR codes makes of (colour, bold, dim)."""
    colour, bold, dim = old
    codes = [int(code or 0) for code in codes.split(";")]
    while codes:
        code = codes.pop(0)
        if code == 0:
            colour, bold, dim = None, False, False
        elif code in (1, 2):
            bold, dim = bold or code == 1, dim or code == 2
        elif code == 22:
            bold = dim = False
        elif code == 39:
            colour = None
        elif code == 38 and codes[:1] == [5]:
            index, codes = codes[1], codes[2:]
            colour = 30 + index % 8 if index < 16 else 37
        elif 30 <= code <= 37 or 90 <= code <= 97:
            colour = code if code < 90 else code - 60
    return colour, bold, dim


def span(text, column, row, look):
    colour, bold, dim = look
    x, y = MARGIN + column * WIDTH, MARGIN + (row + 0.75) * HEIGHT
    extra = (' font-weight="bold"' if bold else "") + (' opacity="0.6"' if dim else "")
    length = f' textLength="{len(text) * WIDTH:.1f}"' if text else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{COLOURS.get(colour, INK)}"{extra}{length} xml:space="preserve">{escape(text)}</text>'


lines = sys.stdin.read().rstrip().split("\n")
look, spans, columns = (None, False, False), [], 80
for row, line in enumerate(lines):
    column = 0
    for text, codes in re.findall(r"([^\x1b]*)(?:\x1b\[([0-9;]*)m)?", line):
        if text.strip():
            spans.append(span(text, column, row, look))
        column += len(text)
        if codes is not None and "\x1b" in line:
            look = style(codes, look) if codes else look
    columns = max(columns, column)
width, height = columns * WIDTH + 2 * MARGIN, len(lines) * HEIGHT + 2 * MARGIN
print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" font-family="monospace" font-size="14">')
print(f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>', *spans, "</svg>", sep="\n")
