"""Lists the compatibility suites, or runs them against a broker."""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from compat.report import as_json, table
from compat.running import Result, Runs, run_suite
from compat.suites import COMPAT_DIR, Suite, SuiteError, chosen, find_suites, listing
from compat.targets import TARGETS


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 if nothing failed, 1 if something did, 2 for wrong arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        suites = find_suites(options.directory)
    except SuiteError as error:
        parser.error(str(error))
    if options.command != "run":
        print(listing(suites))
        print("\nThe benchmark is a command of its own: python -m compat.bench")
        return 0
    names = options.names
    if not names and (options.all or options.ci):
        names = [suite.name for suite in suites if options.all or suite.ci]
    if not names:
        parser.error("which suites? Give names, --all or --ci")
    # As Ctrl-C: a suite that runs ends, and its brokers with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        wanted = chosen(suites, names)
    except SuiteError as error:
        parser.error(str(error))
    started = time.monotonic()
    results = _run(wanted * (2 if options.twice else 1), options)
    print()
    print(table(results))
    print(f"\n{time.monotonic() - started:.0f} s from the first start to the last end")
    if options.json is not None:
        options.json.write_text(json.dumps(as_json(results, options.target), indent=2) + "\n")
    return 1 if any(result.failures for result in results) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m compat", description=__doc__)
    parser.set_defaults(command="list")
    parser.add_argument("--directory", type=Path, default=COMPAT_DIR, help=argparse.SUPPRESS)
    commands = parser.add_subparsers()
    run = commands.add_parser("run", help="run suites, each with a fresh broker")
    run.set_defaults(command="run")
    run.add_argument("names", nargs="*", metavar="NAME", help="suites to run")
    which = run.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="all suites")
    which.add_argument("--ci", action="store_true", help="what .ci/run runs, of all or of NAMEs")
    run.add_argument("--target", choices=list(TARGETS), default="pykbroker")
    run.add_argument("--json", type=Path, metavar="FILE", help="write the outcome there, too")
    run.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="so many suites at a time (default 1)"
    )
    run.add_argument("--twice", action="store_true", help="all of them, and all of them again")
    return parser


def _run(suites: Sequence[Suite], options: argparse.Namespace) -> list[Result]:
    logs = Path(tempfile.mkdtemp(prefix="compat-logs-"))
    print(f"{len(suites)} suites against {options.target}", flush=True)
    runs = Runs()

    def run(number: int, suite: Suite) -> Result:
        own_logs = logs / str(number)
        own_logs.mkdir()
        head = f"[{number}/{len(suites)}] {suite.name}: "
        result = run_suite(
            suite,
            options.target,
            own_logs,
            runs,
            arguments=suite.ci_arguments if options.ci else (),
            show=_shower(head) if options.jobs == 1 else lambda _: None,
        )
        _overwrite(head + _outcome(result) + "\n")
        if not any(own_logs.iterdir()):
            own_logs.rmdir()
        return result

    numbered = list(enumerate(suites, 1))
    if options.jobs > 1:
        # The longest ones first, so that none of them is left alone at the end.
        numbered.sort(key=lambda each: -each[1].seconds)
    with ThreadPoolExecutor(options.jobs) as pool:
        results = {each[0]: pool.submit(run, *each) for each in numbered}
        try:
            wait(results.values())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            runs.end()
            raise
    if not any(logs.iterdir()):
        logs.rmdir()
    return [results[number].result() for number in sorted(results)]


def _outcome(result: Result) -> str:
    counts = f"{result.passed} passed, {len(result.failures)} failed, {len(result.skips)} skipped"
    return f"{counts}, {result.seconds:.0f} s"


def _shower(head: str) -> Callable[[str], object]:
    """Shows how far a suite is, on a terminal; a file gets its outcome only."""
    if not sys.stdout.isatty():
        return lambda _: None
    return lambda progress: _overwrite(head + progress)


def _overwrite(line: str) -> None:
    print(f"\r\x1b[K{line}" if sys.stdout.isatty() else line, end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
