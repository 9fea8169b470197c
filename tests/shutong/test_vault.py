"""Secrets rest encrypted, are bound to their name, survive a rotation cut short, and never show in a listing."""

import json
import multiprocessing
import os

import pytest
from click.testing import CliRunner

from shutong.cli import main
from shutong.deployment import DeploymentSecrets
from shutong.deployment import vault as of
from shutong.layout import SetupError
from shutong.settings import read
from shutong.vault import Vault


@pytest.fixture
def vault(tmp_path):
    return Vault(tmp_path / "secrets.enc", tmp_path / "elsewhere" / "secrets.key")


def test_a_secret_comes_back_and_neither_file_holds_it_in_clear(vault, tmp_path):
    vault.put("gsj_password", "口令 𠮷 p@ss")
    vault.put("token", "t")
    assert (vault.find("gsj_password"), vault.find("none"), vault.names()) == (
        "口令 𠮷 p@ss",
        None,
        ["gsj_password", "token"],
    )
    for path in (tmp_path / "secrets.enc", tmp_path / "elsewhere" / "secrets.key"):
        assert "p@ss" not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_value_moved_under_another_name_does_not_open(vault, tmp_path):
    vault.put("weak", "1")
    vault.put("strong", "2")
    kept = json.loads((tmp_path / "secrets.enc").read_text())
    (tmp_path / "secrets.enc").write_text(json.dumps({**kept, "strong": kept["weak"]}))
    with pytest.raises(SetupError, match="SYS-VAULT-KEY"):
        vault.find("strong")


def test_without_its_key_the_file_says_what_to_restore(vault, tmp_path):
    vault.put("a", "1")
    (tmp_path / "elsewhere" / "secrets.key").unlink()
    with pytest.raises(SetupError, match=r"SYS-VAULT-KEY.*secrets\.key"):
        vault.find("a")
    with pytest.raises(SetupError, match="SYS-VAULT-KEY"):
        vault.put("b", "2")  # a new key would make the first one unreadable


def test_a_file_others_may_read_is_refused(vault, tmp_path):
    vault.put("a", "1")
    (tmp_path / "secrets.enc").chmod(0o644)
    with pytest.raises(SetupError, match="SYS-SECRETS-OPEN"):
        vault.find("a")


@pytest.mark.parametrize("write", [1, 2, 3])
def test_a_rotation_killed_at_any_write_loses_nothing(vault, monkeypatch, write):
    vault.put("a", "1")
    vault.put("b", "2")
    done = 0
    real = os.replace

    class Killed(Exception):
        pass

    def dies(self, target):
        nonlocal done
        done += 1
        if done == write:
            raise Killed
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.replace", dies)
        with pytest.raises(Killed):
            vault.rotate()
    assert (vault.find("a"), vault.find("b")) == ("1", "2")
    assert vault.rotate() == 2
    assert (vault.find("a"), vault.find("b")) == ("1", "2")


def test_what_is_kept_after_a_rotation_cut_short_survives_the_next_one_cut_short(vault, monkeypatch):
    def dies_at(write):
        done, real = [], os.replace

        def dies(self, target):
            done.append(target)
            if len(done) == write:
                raise KeyboardInterrupt
            return real(self, target)

        with monkeypatch.context() as patched:
            patched.setattr("pathlib.Path.replace", dies)
            with pytest.raises(KeyboardInterrupt):
                vault.rotate()

    vault.put("a", "1")
    dies_at(3)
    vault.put("b", "2")
    dies_at(2)
    assert (vault.find("a"), vault.find("b")) == ("1", "2")


def test_secrets_kept_at_the_same_moment_are_all_kept(tmp_path):
    fork = multiprocessing.get_context("fork")
    several = [fork.Process(target=Vault(tmp_path / "s", tmp_path / "k").put, args=(f"n{n}", "v")) for n in range(8)]
    for one in several:
        one.start()
    for one in several:
        one.join()
    vault = Vault(tmp_path / "s", tmp_path / "k")
    assert {name: vault.find(name) for name in vault.names()} == {f"n{n}": "v" for n in range(8)}


def test_a_reader_between_two_steps_of_a_rotation_looks_again(vault, monkeypatch):
    vault.put("a", "1")
    tokens, looked = vault._tokens, []

    def look():
        seen = tokens()
        if not looked:
            looked.append(1)
            vault.rotate()
        return seen

    monkeypatch.setattr(vault, "_tokens", look)
    assert vault.find("a") == "1"


def test_a_file_that_is_not_ours_is_told(vault, tmp_path):
    (tmp_path / "secrets.enc").write_text("[]")
    (tmp_path / "secrets.enc").chmod(0o600)
    with pytest.raises(SetupError, match="SYS-VAULT-DAMAGED"):
        vault.find("a")


def test_a_disk_that_refuses_is_told_with_where_to_look(tmp_path):
    (tmp_path / "file").write_text("")
    for vault in (Vault(tmp_path / "file" / "s", tmp_path / "k"), Vault(tmp_path / "s", tmp_path / "file" / "k")):
        with pytest.raises(SetupError, match=r"SYS-VAULT-WRITE.*file.*SHUTONG_HOME"):
            vault.put("a", "1")
    nowhere = Vault(tmp_path / "none" / "s", tmp_path / "none" / "k")
    assert (nowhere.rotate(), nowhere.remove("a"), (tmp_path / "none").exists()) == (0, False, False)


def test_a_secret_is_sought_in_the_environment_then_sealed_then_elsewhere_then_in_the_plain_file(tmp_path):
    (tmp_path / "secrets.yaml").write_text('x: "plain"\ny: "plain"\nz: "plain"\n')
    (tmp_path / "secrets.yaml").chmod(0o600)

    class Elsewhere:
        def get(self, name):
            return {"x": "elsewhere", "y": "elsewhere"}[name]

    settings = read({"SHUTONG_HOME": str(tmp_path), "SHUTONG_SECRET_W": "environment"})
    of(settings).put("x", "sealed")
    found = DeploymentSecrets(settings, Elsewhere())
    assert [found.get(name) for name in "wxyz"] == ["environment", "sealed", "elsewhere", "plain"]


def test_the_commands_take_a_secret_from_standard_input_and_never_show_it(tmp_path):
    run = CliRunner(env={"SHUTONG_HOME": str(tmp_path)}).invoke
    assert run(main, ["secret", "set", "gsj"], input="s3cret\n").exit_code == 0
    listed = run(main, ["secret", "list", "--json"])
    assert json.loads(listed.stdout) == {"secrets": ["gsj"]}
    assert "s3cret" not in listed.output
    assert json.loads(run(main, ["secret", "rotate", "--json"]).stdout) == {"secrets": 1}
    assert run(main, ["secret", "remove", "gsj"]).exit_code == 0
    assert run(main, ["secret", "remove", "gsj"]).exit_code == 1
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----"
    assert run(main, ["secret", "set", "key"], input=f"{key}\n").exit_code == 0
    assert of(read({"SHUTONG_HOME": str(tmp_path)})).find("key") == key
    empty = run(main, ["secret", "set", "gsj"], input="\n")
    assert empty.exit_code == 1
    assert "SYS-SECRET-EMPTY" in empty.output
