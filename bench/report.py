"""Medians, ratios and the table; the section of a document between two markers."""
import os
import re
import statistics

BEGIN = "<!-- bench.py writes {} from here -->"
END = "<!-- to here -->"


class Row:
    """One figure of one case: what each pair gave, and the verdict. A pair is (etcd's value, Tenon's value)."""

    def __init__(self, case, figure, pairs):
        self.case, self.figure = case, figure
        self.etcd = [e for e, _ in pairs if e is not None]
        self.tenon = [t for _, t in pairs if t is not None]
        ratios = [t / e for e, t in pairs if e and t is not None]
        self.ratio = statistics.median(ratios) if ratios else None
        self.ratios = ratios
        tenon = statistics.median(self.tenon) if self.tenon else None
        self.met = figure.met(tenon, self.ratio)

    def as_dict(self):
        return {"case": self.case, "figure": self.figure.name, "unit": self.figure.unit, "etcd": self.etcd,
                "tenon": self.tenon, "ratios": self.ratios, "ratio": self.ratio, "goal": self.figure.goal,
                "goal_is_absolute": self.figure.absolute, "goal_is_at_most": self.figure.at_most, "met": self.met}

    def cells(self):
        f = self.figure
        goal = ""
        if f.goal is not None:
            goal = f"{'<=' if f.at_most else '>='} {f.goal:g}" + (f" {f.unit}" if f.absolute else "")
        return [self.case, f"{f.name} ({f.unit})", spread(self.etcd), spread(self.tenon),
                "" if self.ratio is None else f"{self.ratio:.2f}", goal, {True: "met", False: "NOT MET", None: ""}[self.met]]


def number(value):
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def spread(values):
    """Median (lowest-highest)."""
    if not values:
        return "-"
    median = number(statistics.median(values))
    return median if len(values) == 1 else f"{median} ({number(min(values))}-{number(max(values))})"


HEAD = ["case", "figure", "etcd", "Tenon", "ratio", "goal", ""]


def text_table(rows):
    lines = [HEAD] + [row.cells() for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def markdown_table(rows):
    lines = [HEAD, ["---"] * len(HEAD)] + [row.cells() for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*:\s*(.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(re.search(r"MemTotal:\s+(\d+)", f.read()).group(1)) // 1024 // 1024
    uname = os.uname()
    return (f"{model.group(1) if model else uname.machine}, {os.cpu_count()} cores, {memory} GiB, "
            f"{uname.sysname} {uname.release}")


def write_section(path, name, section):
    """Replaces what stands between the markers of `name` in `path`, or appends it with its markers."""
    begin = BEGIN.format(name)
    text = ""
    if os.path.exists(path):
        with open(path) as f:
            text = f.read()
    if begin in text and END in text:
        head, rest = text.split(begin, 1)
        text = head + begin + "\n" + section + END + rest.split(END, 1)[1]
    else:
        text += ("\n" if text else "# Performance\n\n") + begin + "\n" + section + END + "\n"
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)
