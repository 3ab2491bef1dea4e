"""Which container this process runs in, as far as Linux tells.

The agent uses it to add the container's tags. Rules of ddtrace 4.16: a line of /proc/self/cgroup
whose last path segment holds a container id gives the id; otherwise, in a cgroup namespace of the
container's own, the inode of the cgroup's directory identifies it.
"""

from __future__ import annotations

import os
import re

_HEX = "[0-9a-f]"
_CONTAINER_ID = re.compile(
    rf"({_HEX}{{8}}(?:[-_]{_HEX}{{4}}){{3}}[-_]{_HEX}{{12}}"  # Cloud Foundry
    rf"|{_HEX}{{8}}(?:-{_HEX}{{4}}){{4}}"  # PCF Garden
    rf"|{_HEX}{{64}}"  # Docker, Kubernetes
    rf"|{_HEX}{{32}}-[0-9]+)"  # ECS Fargate
    r"(?:\.scope)?$"
)
_HOST_CGROUP_NAMESPACE = 0xEFFFFFFB  # inode the kernel gives it
_CGROUP = "proc/self/cgroup"


def container_headers(root: str = "/") -> list[str]:
    """Return the header lines that identify the container; none if there is no knowing.

    `root` is where the file system begins, for tests. Never raises.
    """
    try:
        with open(os.path.join(root, _CGROUP), encoding="utf-8") as file:
            cgroups = [line.rstrip("\n").split(":", 2) for line in file]
    except (OSError, ValueError):
        return []
    cgroups = [cgroup for cgroup in cgroups if len(cgroup) == 3]
    for _, _, path in cgroups:
        match = _CONTAINER_ID.search(path.rpartition("/")[2])
        if match:
            container_id = match[1]
            return [
                f"Datadog-Container-Id: {container_id}",
                f"Datadog-Entity-ID: ci-{container_id}",
            ]
    inode = _cgroup_inode(root, cgroups)
    return [f"Datadog-Entity-ID: in-{inode}"] if inode else []


def _cgroup_inode(root: str, cgroups: list[list[str]]) -> int | None:
    try:
        if os.stat(os.path.join(root, "proc/self/ns/cgroup")).st_ino == _HOST_CGROUP_NAMESPACE:
            return None
        for _, controllers, path in cgroups:
            # version 2 has one hierarchy and names no controllers; of version 1 any would do,
            # and the agent looks at that of memory
            if controllers in ("", "memory"):
                directory = os.path.join(root, "sys/fs/cgroup", controllers, path.strip("/"))
                try:
                    inode = os.stat(directory).st_ino
                except OSError:
                    continue
                if inode > 2:  # 0 to 2 are not a cgroup but the root of some file system
                    return inode
    except OSError:
        pass
    return None
