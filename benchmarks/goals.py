"""Goals beside what was measured: one line for each, last, so that a script can read them.

A line has six fields with tabs between them: `goal`, name, figure, goal, ratio of the two, and `yes`, `no` or
`not measured: …`. A ratio of 1 or less is met, whichever way the goal looks.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Goal:
    """`ratio` is the figure by the goal, or the goal by the figure where more is better; None: not measured."""

    name: str
    unit: str
    figure: float | None
    goal: float
    ratio: float | None
    reason: str = ""

    def line(self) -> str:
        if self.figure is None or self.ratio is None:
            return "\t".join(
                ("goal", self.name, "-", f"{self.goal:.2f} {self.unit}", "-", f"not measured: {self.reason}")
            )
        told = (f"{self.figure:.2f} {self.unit}", f"{self.goal:.2f} {self.unit}", f"{self.ratio:.2f}")
        return "\t".join(("goal", self.name, *told, "yes" if self.ratio <= 1 else "no"))


@dataclass
class Goals:
    """What was measured so far."""

    found: list[Goal] = field(default_factory=list)

    def at_most(self, name: str, figure: float, goal: float, unit: str) -> None:
        self.found.append(Goal(name=name, unit=unit, figure=figure, goal=goal, ratio=figure / goal))

    def at_least(self, name: str, figure: float, goal: float, unit: str) -> None:
        ratio = goal / max(figure, 1e-9)
        self.found.append(Goal(name=name, unit=unit, figure=figure, goal=goal, ratio=ratio))

    def not_measured(self, name: str, goal: float, unit: str, reason: str) -> None:
        self.found.append(Goal(name=name, unit=unit, figure=None, goal=goal, ratio=None, reason=reason))

    @property
    def are_measured(self) -> bool:
        return all(each.figure is not None for each in self.found)

    def show(self) -> None:
        print("\nGoals: name, figure, goal, ratio (1 or less is met)", flush=True)
        for each in self.found:
            print(each.line(), flush=True)
