"""What a program does with Docker's own Python SDK, through the environment that `dockwarden client env` prints.

Usage: docker_sdk.py            (DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH are set)
Exit 0 when all of it worked; the first thing that did not is raised.
"""

import io
import os
import tarfile

import docker


def main():
    client = docker.from_env(timeout=30)
    assert client.ping() is True
    print("engine", client.version()["Version"])
    container = client.containers.run(
        "busybox:test",
        ["sh", "-c", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.1; done"],
        detach=True,
        network_mode="none",
    )
    try:
        follows_logs(container)
        executes(container)
        executes_with_a_socket(client, container)
        copies_files(container)
        reads_stats(container)
    finally:
        container.remove(force=True)
    saves_and_loads(client)


def follows_logs(container):
    stream = container.logs(stream=True, follow=True)
    lines = b""
    for chunk in stream:
        lines += chunk
        if lines.count(b"\n") >= 20:
            break
    stream.close()
    assert lines.startswith(b"line 0\nline 1\n"), lines[:40]


def executes(container):
    code, output = container.exec_run(["sh", "-c", "echo inside; exit 4"])
    assert (code, output) == (4, b"inside\n"), (code, output)


def executes_with_a_socket(client, container):
    """Writes to a command over the upgraded connection and reads back what it says."""
    execution = client.api.exec_create(container.id, ["cat"], stdin=True)
    stream = client.api.exec_start(execution["Id"], socket=True)
    stream = getattr(stream, "_sock", stream)
    stream.settimeout(10)
    stream.sendall(b"there and back")
    received = b""
    while b"there and back" not in received:
        received += stream.recv(4096)
    stream.close()


def copies_files(container):
    content = os.urandom(200_000)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    assert container.put_archive("/tmp", archive.getvalue())
    chunks, _ = container.get_archive("/tmp/file")
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        assert tar.extractfile("file").read() == content


def reads_stats(container):
    stats = container.stats(stream=True, decode=True)
    assert next(stats)["id"] == container.id
    stats.close()


def saves_and_loads(client):
    image = client.images.get("busybox:test")
    data = b"".join(image.save(named=True))
    loaded = client.images.load(data)
    assert [each.id for each in loaded] == [image.id]


main()
