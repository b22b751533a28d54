"""The profiles: what a sample is counted as, and what is made of the counts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.load.cores import NOT_PINNED
from bench.load.generator import LoadError
from bench.load.python_generator import PythonGenerator
from bench.load.servers import ROWS
from bench.profile import perf
from bench.profile.__main__ import main
from bench.profile.groups import group_of, name_of
from bench.profile.report import (
    WAITING,
    as_json,
    describe_served,
    groups_of,
    served_json,
    step_cells,
    steps_json,
    steps_of,
    summarise,
)
from bench.profile.samples import Frame, Stack, read_samples
from bench.profile.served import Plan, Round, attribute
from bench.profile.steps import BEGUN, REST, WHOLE, StepTime, measure, order

RECORDED = Path(__file__).with_name("perf_script.txt")


@pytest.fixture(scope="module")
def stacks() -> list[Stack]:
    """What a recording of a few samples holds."""
    return list(read_samples(RECORDED.read_text().splitlines(keepends=True)))


def test_each_sample_of_a_recording_is_read_with_its_stack(stacks: list[Stack]) -> None:
    """One without a stack, too, and symbols and files with blanks and brackets in them."""
    assert len(stacks) == 27
    python = "/usr/lib/libpython3.11.so.1.0"
    assert stacks[0] == (
        Frame("_PyEval_EvalFrameDefault", python),
        Frame("[unknown]", "[unknown]"),
    )
    rust = next(stack[0] for stack in stacks if stack[0].symbol.startswith("core::"))
    assert rust.symbol == "core::ptr::drop_in_place<(alloc::sync::Arc<tokio::Task>, ())>"
    assert rust.object.endswith("linux-gnu.so (deleted)")
    assert stacks[-1] == (Frame("[unknown]", "[unknown]"),)


def test_each_group_gets_its_samples(stacks: list[Stack]) -> None:
    """Linux's by the nearest caller that says what for, all others by what ran."""
    assert attribute(stacks) == {
        "Linux: context switches and wake-ups": {
            "_raw_spin_unlock_irqrestore": 1,
            "finish_task_switch": 1,
        },
        "memory allocation": {"_PyObject_Malloc": 1, "_int_malloc": 1},
        "libc": {"__memmove_avx512_unaligned_erms": 1, "__vdso_clock_gettime": 1},
        "Granian (Rust)": {
            "in _granian.cpython-311-x86_64-linux-gnu.so": 1,
            "core::ptr::drop_in_place<(alloc::sync::Arc<tokio::Task>, ())>": 1,
        },
        "event loop (uvloop, asyncio)": {"_run": 1, "_asyncio_Future_done": 1},
        "other": {"in no known file": 2},
        "CPython interpreter": {"_PyEval_EvalFrameDefault": 1},
        "garbage collection": {"gc_collect_main": 1},
        "Linux: network": {"_raw_spin_unlock_irqrestore": 1},
        "Linux: epoll": {"mutex_lock": 1},
        "Linux: memory": {"clear_page_erms": 1},
        "Linux: files": {"ext4_file_write_iter": 1},
        "Linux: system calls, in and out": {"do_syscall_64": 1},
        "Linux: other": {"chacha_permute": 1},
        "our kernels: fields": {"extract": 1},
        "our kernels: envelope": {"open_text": 1},
        "AES (pycryptodome)": {"AESNI_encrypt": 1},
        "digests (libcrypto, hashlib)": {"in libcrypto.so.3": 1},
        "msgspec": {"convert_dict_to_struct": 1},
        "Redis client (hiredis)": {"pack_command": 1},
        "SQLite": {"sqlite3VdbeExec": 1},
    }


def test_a_function_outside_linux_says_nothing_of_what_linux_does_for_it() -> None:
    """Else a page fault within malloc would be whatever malloc's callers are."""
    fault = Frame("chacha_permute", "[kernel.kallsyms]")
    called_by = Frame("tcp_like_name", "/usr/lib/libpython3.11.so.1.0")
    assert group_of((fault, called_by)) == "Linux: other"


@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        ("__pyx_f_7gateway_7kernels_9_fields_c_name_of", "name_of"),
        ("__pyx_pf_7gateway_7kernels_9_signed_c_2seal_signed.constprop.0", "seal_signed"),
        ("__pyx_tp_dealloc_6uvloop_4loop_Handle", "__pyx_tp_dealloc_6uvloop_4loop_Handle"),
        ("pthread_mutex_lock@@GLIBC_2.2.5", "pthread_mutex_lock"),
        ("_PyObject_GC_New@plt", "_PyObject_GC_New"),
        ("finish_task_switch.isra.0", "finish_task_switch"),
        ("[unknown]", "in a.so"),
    ],
)
def test_functions_are_shown_without_what_compilers_put_around_their_names(
    symbol: str, shown: str
) -> None:
    assert name_of(Frame(symbol, "/lib/a.so")) == shown


PLAN = Plan(row=ROWS["gateway"], generator=PythonGenerator(), rounds=2)
ROUNDS = [
    Round(
        round=number,
        requests_per_second=20_000,
        server_cpu=90.0,
        server_core_others=1.0,
        sampled_requests_per_second=18_000,
        samples={"libc": {"memmove": 30, "strlen": 10}, "msgspec": {"convert": msgspec}},
        checked=100,
        errors={},
        examples=[],
    )
    for number, msgspec in ((1, 60), (2, 160))
]


def test_microseconds_are_shares_of_the_time_between_two_requests_that_was_not_waited() -> None:
    """50 us of which 5 are waited: 45 for all samples."""
    first, second = ROUNDS
    assert first.us == 50
    assert first.waiting_us == pytest.approx(5)
    assert first.us_of("libc") == pytest.approx(18)
    assert second.us_of("libc") == pytest.approx(9)
    assert first.us_of("SQLite") == 0
    unknown = replace(first, server_cpu=None)
    assert unknown.waiting_us == 0
    assert unknown.us_of("libc") == pytest.approx(20)


def test_groups_are_summed_up_over_the_rounds_and_waiting_is_the_last() -> None:
    msgspec, libc, waiting = summarise(ROUNDS)
    assert [msgspec.group, libc.group, waiting.group] == ["msgspec", "libc", WAITING]
    assert libc.us == pytest.approx((13.5, 9, 18))
    assert libc.cells()[:3] == ("libc", "13.50 (9.00-18.00)", "27.0 %")
    assert list(libc.functions) == ["memmove", "strlen"]
    assert libc.functions == pytest.approx({"memmove": 13.5 * 0.75, "strlen": 13.5 * 0.25})
    assert waiting.us.median == pytest.approx(5)


def test_a_server_that_was_not_busy_or_not_alone_is_said_not_to_have_been() -> None:
    waited = "The server was not busy all the time: see what it waited."
    lines = describe_served(PLAN, NOT_PINNED, ROUNDS)
    assert lines[-1] == waited
    busy = [replace(one, server_cpu=85.0, server_core_others=14.0) for one in ROUNDS[:1]]
    assert describe_served(PLAN, NOT_PINNED, busy)[-1] == (
        "Rounds in which something else took 10 % of its core: 1. Measure again on a quiet machine."
    )
    alone = [replace(one, server_cpu=99.0) for one in ROUNDS]
    assert waited not in describe_served(PLAN, NOT_PINNED, alone)


def timed() -> list[StepTime]:
    """Return made-up steps."""
    return order({"receive": 3.0, "seal": 4.0, WHOLE: 10.0, BEGUN: 10.5})


def test_what_the_parts_leave_of_the_whole_is_the_rest() -> None:
    assert timed() == [
        StepTime("receive", 3.0),
        StepTime("seal", 4.0),
        StepTime(REST, 3.0),
        StepTime(WHOLE, 10.0),
        StepTime(BEGUN, 0.5),
    ]
    assert step_cells(timed())[1] == ("seal", "4.00", "40 %")


def test_groups_and_steps_come_back_from_the_json() -> None:
    parts = {"served": served_json(PLAN, NOT_PINNED, ROUNDS), "steps": steps_json(timed(), 10, 2)}
    document = json.loads(json.dumps(as_json(parts)))
    assert groups_of(document) == summarise(ROUNDS)
    assert steps_of(document) == timed()
    assert document["served"]["rounds"][1]["samples"]["msgspec"] == {"convert": 160}


def test_steps_are_those_of_real_callbacks_whose_replies_are_right() -> None:
    """An endpoint that answered anything but the echo would end it."""
    steps = measure(messages=20, repeats=2)
    assert [one.step for one in steps][-3:] == [REST, WHOLE, BEGUN]
    assert all(one.us > 0 for one in steps if one.step not in {REST, BEGUN})
    assert len({one.step for one in steps}) == len(steps) == 11


def test_the_command_times_the_steps_without_perf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    file = tmp_path / "results" / "profile.json"
    few = ["--only", "steps", "--messages", "10", "--repeats", "1"]
    assert main([*few, "--json", str(file), "--markdown"]) == 0
    document = json.loads(file.read_text())
    assert "served" not in document
    assert document["steps"]["options"] == {"messages": 10, "repeats": 1}
    assert f"| {WHOLE} | " in capsys.readouterr().out


@pytest.mark.compiled
def test_without_perf_a_line_names_the_package_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--json", str(tmp_path / "profile.json")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "perf is not installed: apt install linux-perf" in said
    assert not (tmp_path / "profile.json").exists()


REFUSING = """#!/bin/sh
echo 'Error: No permission to enable cpu-clock event.' >&2
exit 255
"""


def test_a_perf_that_may_not_sample_is_shown_with_what_it_said_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script in its place: this machine may let it."""
    script = tmp_path / "perf"
    script.write_text(REFUSING)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with (
        pytest.raises(LoadError, match=r"No permission to enable .*perf_event_paranoid"),
        perf.sampling([1], tmp_path / "perf.data"),
    ):
        pass
