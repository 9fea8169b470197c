"""A module that is put off is loaded by whoever asks for something of it, and by nobody else."""

from __future__ import annotations

import sys

import pytest

from quality.put_off import put_off

UNUSED = "wsgiref.validate"


@pytest.fixture(autouse=True)
def _not_yet_loaded(monkeypatch):
    import wsgiref

    monkeypatch.delitem(sys.modules, UNUSED, raising=False)
    monkeypatch.delattr(wsgiref, "validate", raising=False)


def test_what_only_names_it_does_not_load_it_and_gets_what_it_asks_for_later():
    with put_off(UNUSED):
        from wsgiref import validate as named
    assert UNUSED not in sys.modules
    assert named.validator.__module__ == UNUSED
    assert sys.modules[UNUSED].validator is named.validator


def test_a_module_in_no_package_is_put_off_too(monkeypatch):
    monkeypatch.delitem(sys.modules, "nturl2path", raising=False)
    with put_off("nturl2path"):
        import nturl2path
    assert "nturl2path" not in sys.modules
    assert nturl2path.url2pathname is sys.modules["nturl2path"].url2pathname


def test_what_uses_it_at_once_has_it():
    with put_off(UNUSED):
        from wsgiref.validate import validator
    assert sys.modules[UNUSED].validator is validator


def test_who_imports_it_afterwards_and_who_has_it_already_has_the_module_itself():
    with put_off(UNUSED):
        pass
    from wsgiref import validate

    assert validate is sys.modules[UNUSED]
    with put_off(UNUSED):
        from wsgiref import validate as again
    assert again is validate
