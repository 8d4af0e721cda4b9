#
# Copyright (c) 2026 The ovs-zoo authors.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at:
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""A plot of losses over time, for a terminal and as SVG.

A series is (name, values): per bin the share of packets lost, 0..1.  The time
of a failure lies at the left edge of bin 'mark'.
"""

from xml.sax.saxutils import escape

BLOCKS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
COLORS = ("#c0392b", "#1f77b4")


def _ceiling(series):
    """A round share that no value exceeds."""
    top = max((max(values) for _, values in series), default=0)
    return next(round_ for round_ in (0.1, 0.2, 0.4, 0.6, 0.8, 1)
                if top <= round_)


def _seconds(n_bins, mark, bin_ms, label_ms):
    """(bin, text) every 'label_ms'."""
    step = label_ms // bin_ms
    text = "%+.1f" if label_ms % 1000 else "%+.0f"
    return [(i, text % ((i - mark) * bin_ms / 1000) if i != mark else "0 s")
            for i in range(mark % step, n_bins + 1, step)]


def terminal(series, mark, bin_ms, rows=6, label_ms=500):
    """Returns the plot as text, one picture per series below each other."""
    top = _ceiling(series)
    lines = []
    for name, values in series:
        lines.append("  " + name)
        for row in range(rows, 0, -1):
            cells = []
            for value in values:
                eighths = value / top * rows * 8 - (row - 1) * 8
                cells.append(BLOCKS[max(0, min(8, round(eighths)))])
            label = {rows: "%3.0f%%" % (top * 100), 1: "  0%"}.get(row, "")
            lines.append("%4s |%s" % (label, "".join(cells).rstrip()))
        axis = ["-"] * len(values)
        axis[mark] = "^"
        lines.append("     +" + "".join(axis))
    text = [" "] * (len(values) + 6)
    for at, label in _seconds(len(values), mark, bin_ms, label_ms):
        start = max(0, at - len(label) // 2)
        if start + len(label) <= len(text):
            text[start:start + len(label)] = label
    lines.append("      " + "".join(text).rstrip())
    return "\n".join(lines)


def svg(series, mark, bin_ms, title, what="the spine went silent",
        label_ms=500):
    """Returns the plot as an SVG document, the series in one picture."""
    width, height, left, bottom, head = 760, 300, 60, 40, 50
    top = _ceiling(series)
    n_bins = len(series[0][1])

    def x(bin_):
        return left + bin_ * (width - left - 20) / n_bins

    def y(value):
        return height - bottom - value / top * (height - bottom - head)

    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
           'font-family="sans-serif" font-size="12">' % (width, height),
           '<rect width="%d" height="%d" fill="white"/>' % (width, height),
           '<text x="%d" y="20" font-size="14">%s</text>'
           % (left, escape(title))]
    for step in range(5):
        value = top * step / 4
        out.append('<path d="M%d %.1fH%d" stroke="#ddd"/>'
                   '<text x="%d" y="%.1f" text-anchor="end">%.3g%%</text>'
                   % (left, y(value), width - 20, left - 6, y(value) + 4,
                      value * 100))
    for at, label in _seconds(n_bins, mark, bin_ms, label_ms):
        out.append('<text x="%.1f" y="%d" text-anchor="middle">%s</text>'
                   % (x(at), height - bottom + 18, label))
    out.append('<path d="M%.1f %dV%d" stroke="#555" stroke-dasharray="4 3"/>'
               % (x(mark), head, height - bottom))
    for i, (name, values) in enumerate(series):
        steps = "".join("V%.1fH%.1f" % (y(value), x(bin_ + 1))
                        for bin_, value in enumerate(values))
        color = COLORS[i % len(COLORS)]
        out.append('<path d="M%.1f %.1f%s" fill="none" stroke="%s" '
                   'stroke-width="2"/>' % (x(0), y(0), steps, color))
        out.append('<text x="%d" y="%d" fill="%s">%s</text>'
                   % (left + 12 + 330 * i, head - 10, color, escape(name)))
    out.append('<text x="%d" y="%d" text-anchor="middle">seconds after %s'
               '</text></svg>'
               % ((left + width - 20) // 2, height - 6, escape(what)))
    return "\n".join(out) + "\n"
