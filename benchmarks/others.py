"""Table 1: what batchdrop costs beside what a user would pick, on the same file, against the same simulator.

The floor is a bare script on the SDK: it splits by hand, uploads, creates, polls, downloads, and checks nothing. Each
contestant is one process, whose CPU seconds (imports among them) and resident memory are reported.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from deployed import PROVIDERS, Deployed, alone, scratch, verdict
from forms import Form
from goals import Goals
from lines import write_chats

LINES = {Form.SMOKE: 10, Form.SHORT: 100_000, Form.FULL: 100_000}
ROUNDS = {Form.SMOKE: 1, Form.SHORT: 1, Form.FULL: 3}
BATCH_LINES = 50_000  # OpenAI's most
PEER = "batchwizard==0.5.0"
PEER_PYTHON = scratch() / "batchwizard" / "bin" / "python"
UV = Path(__file__).parent.parent / ".uv" / "bin" / "uv"
MOST_MB, MOST_FURTHER = 150, 1.0
OWN, FLOOR, WIZARD = "batchdrop", "bare script", "batchwizard"
RIVALS = {"openai": WIZARD, "anthropic": FLOOR}  # whose CPU seconds are the goal
NAMES = {"bare_script": FLOOR, "peer": WIZARD}


@dataclass(frozen=True, kw_only=True)
class Row:
    name: str
    wall: float
    cpu: float
    peak_mb: float
    calls: int


def install_peer() -> str:
    """Install it into an environment of its own; why it cannot be, or an empty string."""
    if PEER_PYTHON.exists():
        return ""
    environment = PEER_PYTHON.parent.parent
    try:
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, environment], check=True)
        subprocess.run([UV, "pip", "install", "--quiet", "--python", PEER_PYTHON, PEER], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(environment, ignore_errors=True)
        return f"{PEER} could not be installed ({type(error).__name__})"
    return ""


def run_script(name: str, python: str | Path, provider: str, files: list[Path], stand: Deployed) -> Row:
    """Run one of the scripts beside this one; it tells its figures in its last line."""
    home = scratch() / f"{name}-{provider}-{time.time_ns()}"
    home.mkdir()
    url = stand.cloud.simulator_url
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "OPENAI_API_KEY": stand.cloud.simulator_key,
        "OPENAI_BASE_URL": f"{url}/openai/v1",
        "ANTHROPIC_API_KEY": stand.cloud.simulator_key,
        "ANTHROPIC_BASE_URL": f"{url}/anthropic",
    }
    stand.provider_calls()
    began = time.perf_counter()
    command = [python, Path(__file__).with_name(f"{name}.py"), provider, home / "results", *files]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    wall = time.perf_counter() - began
    told = json.loads(done.stdout.splitlines()[-1])
    got = sum(path.read_bytes().count(b"\n") for path in (home / "results").glob("*.jsonl"))
    if got != told["lines"]:
        raise SystemExit(f"{name}: {got} results of {told['lines']} lines")
    calls = stand.provider_calls().total()
    return Row(name=NAMES[name], wall=wall, cpu=told["cpu_seconds"], peak_mb=told["peak_mb"], calls=calls)


def run_own(provider: str, path: Path, stand: Deployed) -> Row:
    stand.provider_calls()
    job = stand.run_job(f"others-{time.time_ns()}", path, provider)
    calls = stand.provider_calls().total()
    return Row(name=OWN, wall=job.wall_seconds, cpu=job.process_seconds, peak_mb=job.peak_mb, calls=calls)


def by_hand(path: Path, count: int) -> list[Path]:
    """The file in pieces of a batch each, as a user of the others must cut it."""
    pieces = []
    with path.open("rb") as lines:
        for number in range(-(-count // BATCH_LINES)):
            pieces.append(path.with_name(f"{path.stem}-piece-{number}.jsonl"))
            with pieces[-1].open("wb") as piece:
                piece.writelines(line for _, line in zip(range(BATCH_LINES), lines, strict=False))
    return pieces


def measure(stand: Deployed, goals: Goals, *, form: Form) -> None:
    missing = "the smoke form installs nothing" if form is Form.SMOKE else install_peer()
    lines = LINES[form]
    print(f"\n1. Against others: {lines:,} chat lines, {lines * 360 / 1e6:.0f} MB")
    first: dict[str, float] = {}
    for provider in PROVIDERS:
        path = write_chats(scratch() / f"chats-{provider}.jsonl", lines, provider)
        pieces = by_hand(path, lines)
        rows = []
        for _ in range(ROUNDS[form]):
            rows += [
                run_script("bare_script", sys.executable, provider, [path], stand),
                run_own(provider, path, stand),
            ]
            rows += [] if missing else [run_script("peer", PEER_PYTHON, provider, pieces, stand)]
        best = show(provider, rows)
        first[provider] = best[OWN].cpu
        compare(provider, best, missing, goals, lines)
    further(stand, first, goals, lines, times=3 if form is Form.FULL else 2)


def compare(provider: str, best: dict[str, Row], missing: str, goals: Goals, lines: int) -> None:
    rival, own = best.get(RIVALS[provider]), best[OWN]
    name = f"CPU for {lines:,} lines at {provider}, against {RIVALS[provider]}"
    if rival is None:
        goals.not_measured(name, 0, "CPU s", missing)
    else:
        goals.at_most(name, own.cpu, rival.cpu, "CPU s")
    goals.at_most(f"resident, {lines:,} lines at {provider}", own.peak_mb, MOST_MB, "MB")


def show(provider: str, rows: list[Row]) -> dict[str, Row]:
    """Print the least of each contestant's runs, since what else the machine does only adds; the rows by name."""
    print(f"   {provider:14}{'wall':>9}{'CPU':>9}{'x floor':>9}{'resident':>11}{'calls':>7}")
    best = [
        min((row for row in rows if row.name == name), key=lambda row: row.cpu)
        for name in dict.fromkeys(row.name for row in rows)
    ]
    for row in best:
        print(
            f"   {row.name:14}{row.wall:7.2f} s{row.cpu:7.2f} s{row.cpu / best[0].cpu:9.2f}{row.peak_mb:8.0f} MB"
            f"{row.calls:7}",
            flush=True,
        )
    return {row.name: row for row in best}


def further(stand: Deployed, first: dict[str, float], goals: Goals, lines: int, *, times: int) -> None:
    """Table 1b: what as many lines again take, of each provider."""
    print(f"\n1b. Each further {lines:,} lines; goal: at most {MOST_FURTHER} CPU seconds")
    for provider in PROVIDERS:
        path = write_chats(scratch() / "further.jsonl", times * lines, provider)
        each = (run_own(provider, path, stand).cpu - first[provider]) / (times - 1)
        print(f"   {provider:14}{each:7.2f} s   {verdict(met=each <= MOST_FURTHER)}", flush=True)
        goals.at_most(f"each further {lines:,} lines at {provider}", max(each, 0.0), MOST_FURTHER, "CPU s")


if __name__ == "__main__":
    alone(measure)
