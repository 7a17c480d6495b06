"""The CPU quota of a container, as the kernel's files say it; a container is made of such files."""

from pathlib import Path

import pytest

from cyconv import threads

V2, V1_QUOTA, V1_PERIOD = "cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({V2: "max 100000\n"}, None),
        ({V2: "150000 100000\n"}, 1.5),
        ({V2: "nonsense"}, None),
        ({V1_QUOTA: "-1\n", V1_PERIOD: "100000\n"}, None),
        ({V1_QUOTA: "200000\n", V1_PERIOD: "100000\n"}, 2),
        ({V1_QUOTA: "200000\n", V1_PERIOD: "0\n"}, None),
        ({V2: "nonsense", V1_QUOTA: "50000\n", V1_PERIOD: "100000\n"}, 0.5),
        ({}, None),
    ],
)
def test_the_quota_is_read(files, cpus, tmp_path, monkeypatch):
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setattr(threads, "Path", lambda path: Path(tmp_path, *Path(path).parts[1:]))
    assert threads._cgroup_quota() == cpus


@pytest.mark.parametrize(("quota", "limit"), [(0.5, 1), (1.0, 1), (1.5, 2)])
def test_a_quota_limits_threads(quota, limit, monkeypatch):
    monkeypatch.setattr(threads, "_QUOTA", quota)
    assert threads.limits()["cgroup quota"] == limit
    assert threads.get_num_threads() <= limit
