from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from waybill.local.errors import PortInUse
from waybill.local.ports import LOOPBACK, PortBook, draw_free_port, is_free


@pytest.fixture
def taken_port() -> Iterator[int]:
    with contextlib.closing(socket.socket()) as listener:
        listener.bind((LOOPBACK, draw_free_port()))
        listener.listen()
        yield listener.getsockname()[1]


def test_listener_takes_a_port(taken_port: int) -> None:
    assert not is_free(taken_port)


def test_port_drawn_is_free_and_outside_the_ephemeral_ranges() -> None:
    for _ in range(20):
        port = draw_free_port()
        assert is_free(port)
        assert port < 32_768


def test_names_get_ports_of_their_own_and_keep_them(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json", {})
    ports = [book.port(name) for name in "abcdefgh"]
    assert len(set(ports)) == 8
    assert [book.port(name) for name in "abcdefgh"] == ports


def test_next_book_remembers(tmp_path: Path) -> None:
    first = PortBook(tmp_path / "ports.json", {}).port("a")
    assert PortBook(tmp_path / "ports.json", {}).port("a") == first


def test_remembered_port_that_is_taken_is_replaced(tmp_path: Path, taken_port: int) -> None:
    (tmp_path / "ports.json").write_text(f'{{"a": {taken_port}}}')
    assert PortBook(tmp_path / "ports.json", {}).port("a") != taken_port


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"a": "x"}', "null"])
def test_damaged_file_costs_nothing_but_the_numbers(tmp_path: Path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    assert is_free(PortBook(tmp_path / "ports.json", {}).port("a"))


def test_fixed_port_that_is_free_is_used(tmp_path: Path) -> None:
    port = draw_free_port()
    assert PortBook(tmp_path / "ports.json", {"a": port}).port("a") == port


def test_fixed_port_that_is_taken_is_refused(tmp_path: Path, taken_port: int) -> None:
    with pytest.raises(PortInUse, match="name none to get a free one") as caught:
        PortBook(tmp_path / "ports.json", {"a": taken_port}).port("a")
    assert caught.value.port == taken_port


def test_fixed_port_is_given_to_nobody_else(tmp_path: Path) -> None:
    port = draw_free_port()
    (tmp_path / "ports.json").write_text(f'{{"b": {port}}}')
    assert PortBook(tmp_path / "ports.json", {"a": port}).port("b") != port


def test_port_taken_after_it_was_chosen_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    book = PortBook(tmp_path / "ports.json", {})
    before = {name: book.port(name) for name in "ab"}
    assert not book.replace_taken(("a", "b"))
    with contextlib.closing(socket.socket()) as listener:
        listener.bind((LOOPBACK, before["a"]))
        listener.listen()
        assert book.replace_taken(("a", "b"))
        assert book.port("a") != before["a"]
    assert book.port("b") == before["b"]


def test_fixed_port_taken_after_it_was_chosen_is_refused(tmp_path: Path) -> None:
    port = draw_free_port()
    book = PortBook(tmp_path / "ports.json", {"a": port})
    book.port("a")
    with contextlib.closing(socket.socket()) as listener:
        listener.bind((LOOPBACK, port))
        listener.listen()
        with pytest.raises(PortInUse):
            book.replace_taken(("a",))
