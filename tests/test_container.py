"""Which container a process runs in, from made-up /proc and /sys trees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fasttrace import container

ID = "0123456789abcdef" * 4
UUID = "34dc0b5e-626f-2c5c-4c51-70e34b10e765"
TASK = "432624d2150b349fe35ba397284dea78-2317303458"


def make_root(root: Path, cgroup: str, host_namespace: bool = False) -> str:
    """Make a file system with this /proc/self/cgroup."""
    (root / "proc/self/ns").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    (root / "proc/self/ns/cgroup").touch()
    if host_namespace:
        os.link(root / "proc/self/ns/cgroup", root / "host")
    return str(root)


@pytest.mark.parametrize(
    ("cgroup", "container_id"),
    [
        (f"0::/docker/{ID}", ID),
        (f"13:name=systemd:/docker/{ID}\n12:pids:/docker/{ID}\n", ID),
        (f"1:cpu:/\n0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-{ID}.scope\n", ID),
        (f"11:memory:/system.slice/garden.service/garden/{UUID}\n", UUID),
        (f"9:perf_event:/ecs/55091c13-b8cf-4801-b527-f4601742204d/{TASK}\n", TASK),
        (f"0::/a:b/{ID}\n", ID),
    ],
)
def test_container_id(cgroup: str, container_id: str, tmp_path: Path) -> None:
    """The last path segment of a cgroup holds the container id, in the forms platforms use."""
    headers = container.container_headers(make_root(tmp_path, cgroup))
    assert headers == [
        f"Datadog-Container-Id: {container_id}",
        f"Datadog-Entity-ID: ci-{container_id}",
    ]


@pytest.mark.parametrize(
    ("cgroup", "directory"),
    [
        ("0::/\n", "sys/fs/cgroup"),
        ("5:memory:/some/group\n0::/\n", "sys/fs/cgroup/memory/some/group"),
    ],
)
def test_inode_of_the_cgroup(cgroup: str, directory: str, tmp_path: Path) -> None:
    """Without an id, in a namespace of its own, the cgroup's inode identifies the container."""
    root = make_root(tmp_path, cgroup)
    (tmp_path / directory).mkdir(parents=True)
    inode = (tmp_path / directory).stat().st_ino
    assert container.container_headers(root) == [f"Datadog-Entity-ID: in-{inode}"]


def test_host_is_no_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the host's cgroup namespace an inode identifies nothing, so none is sent."""
    root = make_root(tmp_path, "0::/\n")
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    inode = (tmp_path / "proc/self/ns/cgroup").stat().st_ino
    monkeypatch.setattr(container, "_HOST_CGROUP_NAMESPACE", inode)
    assert container.container_headers(root) == []


@pytest.mark.parametrize("cgroup", ["", "nonsense\n", "0::/user.slice/session-1.scope\n", "\xff"])
def test_nothing_known(cgroup: str, tmp_path: Path) -> None:
    """Other contents give no headers, and no error."""
    assert container.container_headers(make_root(tmp_path, cgroup)) == []


def test_no_proc(tmp_path: Path) -> None:
    """A system without /proc gives no headers."""
    assert container.container_headers(str(tmp_path)) == []
