"""Commands for a deployment's secrets: keep one encrypted, list their names, forget one, change the key."""

from __future__ import annotations

import sys

import click

from shutong.deployment import vault
from shutong.layout import SetupError
from shutong.session import FAILED, Session, command


@click.command("set", help="保存一个密钥（不回显；可由标准输入给出） | keep a secret, asked without echo")
@click.argument("name")
@command
def set_command(session: Session, name: str) -> None:
    """Ask for the value on a terminal, or take standard input whole: a private key has many lines."""
    if sys.stdin.isatty():
        value = click.prompt(session.voice.say("值", "Value"), hide_input=True, confirmation_prompt=True)
    else:
        value = sys.stdin.read().rstrip("\r\n")
    if not value.strip():
        raise SetupError(
            "SYS-SECRET-EMPTY",
            zh=f"密钥 {name} 的值为空，未保存",
            en=f"the value of {name} is empty; nothing was kept",
            fix_zh=f"例如 shutong secret set {name} < 文件",
            fix_en=f"For example shutong secret set {name} < file",
        )
    vault(session.settings).put(name, value)
    if session.voice.as_json:
        session.voice.answer({"name": name, "kept": True})
    session.voice.line(f"已加密保存 {name}", f"{name} is kept, encrypted")


@click.command("list", help="列出密钥名（不显示值） | list names, never values")
@command
def list_command(session: Session) -> None:
    """Print the names in the encrypted file."""
    names = vault(session.settings).names()
    if session.voice.as_json:
        session.voice.answer({"secrets": names})
        return
    session.voice.table(("密钥", "Secrets"), [("名称", "name")], [[name] for name in names])


@click.command("remove", help="删除一个密钥 | forget a secret")
@click.argument("name")
@command
def remove_command(session: Session, name: str) -> int:
    """Take a secret out of the encrypted file."""
    gone = vault(session.settings).remove(name)
    if session.voice.as_json:
        session.voice.answer({"name": name, "removed": gone})
    elif gone:
        session.voice.line(f"已删除 {name}", f"{name} is gone")
    else:
        session.voice.line(f"加密库中没有 {name}", f"there is no {name} among the encrypted secrets")
    return 0 if gone else FAILED


@click.command("rotate", help="更换加密密钥 | put every secret under a new key")
@command
def rotate_command(session: Session) -> None:
    """Make a new key and seal every secret with it."""
    count = vault(session.settings).rotate()
    if session.voice.as_json:
        session.voice.answer({"secrets": count})
    session.voice.line(f"{count} 个密钥已用新密钥重新加密", f"{count} secrets are sealed with a new key")
