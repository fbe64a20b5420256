"""The plot of a simulated night: what waits, over time, for each fleet."""

from __future__ import annotations

from bench.scaling_policy import Run

FIRST, LAST = 21 * 60, 27 * 60
LEFT, TOP, WIDTH, HEIGHT = 50, 40, 720, 260
COLOURS = ("#0d6efd", "#dc3545", "#6c757d", "#198754")


def draw(runs: dict[str, Run]) -> str:
    """Draw the backlog of some runs from the first minute shown to the last, as SVG."""
    most = max(max(run.backlog) for run in runs.values()) or 1.0
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + 100} {HEIGHT + 120}" font-family="sans-serif"'
        ' font-size="13">',
        f'<rect width="{WIDTH + 100}" height="{HEIGHT + 120}" fill="#fff"/>',
        f'<text x="{LEFT}" y="22">Originals that wait (up to {most:,.0f}), by the hour of the night</text>',
        f'<path d="M{LEFT} {TOP}V{TOP + HEIGHT}H{LEFT + WIDTH}" fill="none" stroke="#888"/>',
    ]
    lines += [
        f'<text x="{_x(60 * h):.0f}" y="{TOP + HEIGHT + 20}" text-anchor="middle">{h % 24}:00</text>' for h in HOURS
    ]
    for number, ((name, run), colour) in enumerate(zip(runs.items(), COLOURS, strict=True)):
        points = " ".join(f"{_x(m):.1f},{_y(run.backlog[m] / most):.1f}" for m in range(FIRST, LAST, 2))
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        label = f"{name}: {run.longest_wait} minutes, ${run.cost:.2f}"
        # Below the plot, where no line can cross them.
        x, y = LEFT + number % 2 * WIDTH // 2, TOP + HEIGHT + 46 + number // 2 * 20
        lines.append(f'<text x="{x}" y="{y}" fill="{colour}">{label}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


HOURS = range(FIRST // 60, LAST // 60 + 1)


def _x(minute: int) -> float:
    return LEFT + (minute - FIRST) / (LAST - FIRST) * WIDTH


def _y(share: float) -> float:
    return TOP + HEIGHT - share * (HEIGHT - 10)
