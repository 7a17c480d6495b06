"""A run as JSON: what was asked, on which machine, against whom, and the rows that came out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import machine
from bench.peers import OURS, Contender


class UsageError(Exception):
    """A mistake of the user's: one line on standard error and exit status 2."""


Row = dict[str, Any]


@dataclass
class Run:
    command: str
    arguments: dict[str, Any]
    date: str
    machine: dict[str, Any]
    contenders: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    limits: dict[str, dict[str, float]] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    interrupted: bool = False

    @classmethod
    def start(cls, command: str, arguments: dict[str, Any]) -> Run:
        date = datetime.now(UTC).isoformat(timespec="seconds")
        return cls(command, arguments, date, machine.describe() | {"ticks": machine.ticks()})

    def meet(self, contenders: Iterable[Contender], missing: dict[str, str]) -> None:
        """Remember who took part and who was not here."""
        for contender in contenders:
            self.contenders[contender.key] = {
                "name": contender.name,
                "version": contender.version,
                "layout": contender.layout,
            }
        self.missing |= missing

    def name(self, key: str) -> str:
        return self.contenders[key]["name"]

    def measure_limits(self, dtype: str, threads: int) -> None:
        """The machine's limits for this dtype and thread count; of two measurements, before and after, the higher."""
        key = f"{dtype} {threads}"
        now = machine.limits(dtype, threads)
        before = self.limits.get(key, now)
        self.limits[key] = {name: max(before[name], now[name]) for name in now}

    def title(self) -> str:
        """What was measured, in a few words."""
        subject = self.arguments.get("suite") or self.arguments.get("network")
        return " ".join(str(word) for word in (self.command, subject, self.arguments.get("dtype")) if word)

    def where(self) -> str:
        """The machine in one line."""
        facts = self.machine
        caches = f" ({facts['caches']})" if "caches" in facts else ""
        governor = f", governor {facts['governor']}" if "governor" in facts else ""
        cores = f"{facts['cores']} cores" if facts["cores"] > 1 else "1 core"
        return (
            f"{facts['cpu']}, {cores}{caches}{governor}; cyconv {facts['cyconv']} "
            f"({facts['isa']}), NumPy {facts['numpy']}, Python {facts['python']}; {self.date[:10]}"
        )

    def who(self) -> list[str]:
        """Who took part, in which layout; who was not installed; how much time others took."""
        lines = [f"{facts['name']} {facts['version']}: {facts['layout']}" for facts in self.contenders.values()]
        if lines:
            lines.append("each is given its own layout; conversions are not timed")
        if self.missing:
            lines.append("not here: " + ", ".join(f"{key} ({why})" for key, why in self.missing.items()))
        if self.machine.get("load", 0) > 0.25 * self.machine["cores"]:
            lines.append(f"this machine was busy: load average {self.machine['load']:.1f} before the start")
        if self.machine.get("stolen", 0) > 0.01:
            lines.append(f"other virtual machines took {self.machine['stolen']:.0%} of the time")
        return lines

    def wrong(self) -> bool:
        """Whether cyconv gave a wrong result anywhere."""
        notes = [row.get("notes", {}) for row in self.rows]
        return any(key.startswith(OURS) and note.startswith("wrong") for row in notes for key, note in row.items())

    def finish(self) -> None:
        """Note how much of the time the hypervisor gave to others, where it says so."""
        self.machine["stolen"] = machine.stolen_share(self.machine.pop("ticks"))

    def save(self, path: str | Path) -> None:
        """A line for each field, and for each row."""
        fields = asdict(self)
        rows = ",\n".join(json.dumps(row) for row in fields.pop("rows"))
        head = "".join(f"{json.dumps(name)}: {json.dumps(value)},\n" for name, value in fields.items())
        Path(path).write_text(f'{{\n{head}"rows": [\n{rows}\n]\n}}\n', encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> Run:
        try:
            return cls(**json.loads(Path(path).read_text(encoding="utf-8")))
        except OSError as failure:
            raise UsageError(f"{path}: {failure.strerror}") from None
        except (ValueError, TypeError):
            raise UsageError(f"{path}: not a result of this benchmark") from None
