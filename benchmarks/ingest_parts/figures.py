"""What was measured and what it should be: one RESULT line per figure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Figures:
    """Figures in order; `judged` is False where the size is too small for a target to mean anything."""

    judged: bool
    lines: list[tuple[str, str, str, str]] = field(default_factory=list)

    def add(
        self, name: str, value: float, *, least: float | None = None, most: float | None = None, digits: int = 0
    ) -> None:
        """Keep a figure, and its target as the least or the most it may be."""
        target = next((one for one in (least, most) if one is not None), None)
        good = (least is None or value >= least) and (most is None or value <= most)
        state = "n/a" if target is None or not self.judged else "ok" if good else "short"
        self.lines.append((name, f"{value:.{digits}f}", "none" if target is None else f"{target:g}", state))

    def absent(self, name: str, target: float) -> None:
        """Keep a place for a figure that cannot be measured yet."""
        self.lines.append((name, "absent", f"{target:g}", "n/a"))

    def tell(self) -> bool:
        """Print them; True when every target that was judged is met."""
        for name, value, target, state in self.lines:
            print(f"RESULT {name} {value} target {target} {state}")
        return all(state != "short" for *_, state in self.lines)
