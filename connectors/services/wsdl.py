"""Know from a WSDL on our disk how an operation is asked; what it imports is looked for beside it, never fetched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from connectors.errors import SourceError, changed
from connectors.options import wrong

if TYPE_CHECKING:
    from zeep.wsse.username import UsernameToken


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of one port."""

    name: str
    address: str | None
    _client: Any  # zeep's client
    _binding: Any  # zeep's binding
    _options: Any  # zeep's options of the port

    def envelope(self, params: Mapping[str, str], token: UsernameToken | None) -> tuple[bytes, dict[str, str]]:
        """The request and its headers; `a.b` sets element b inside a. SRC-OPTION names a parameter it does not have."""
        from lxml import etree  # type: ignore[import-untyped]
        from zeep.exceptions import Error

        try:
            create = self._binding._create  # noqa: SLF001
            made, headers = create(self.name, (), _nested(params), client=self._client, options=self._options)
        except (TypeError, ValueError, Error) as error:
            signature = str(self._binding.get(self.name).input.body.signature())
            raise wrong(
                "source.params",
                f"不合 WSDL：{error}；应为 {signature}",
                f"do not fit the WSDL: {error}; it has {signature}",
            ) from None
        if token is not None:
            made, headers = token.apply(made, headers)  # type: ignore[no-untyped-call]
        text = etree.tostring(made, xml_declaration=True, encoding="utf-8")
        return text, {str(name): str(value) for name, value in headers.items()}


def load_operation(path: str, name: str, service: str | None, port: str | None) -> Operation:
    """The operation `name` of a WSDL file; the first service and port that have it unless they are named."""
    file = Path(path)
    if not file.is_file():
        raise wrong("source.wsdl", f"文件 {path} 不存在", f"the file {path} does not exist")
    try:
        from zeep import Client, Settings
        from zeep.exceptions import Error
        from zeep.transports import Transport
    except ImportError:
        raise _no_driver() from None

    class _Local(Transport):
        def load(self, url: str) -> bytes:
            return _beside(file, url)

    try:
        lenient = Settings(strict=False, forbid_dtd=True)
        client = Client(str(file), transport=_Local(), settings=lenient)  # type: ignore[no-untyped-call]
    except (Error, SyntaxError, ValueError, KeyError, AttributeError, OSError) as error:
        raise _bad_wsdl(path, str(error)) from None
    seen: list[str] = []
    for one in client.wsdl.services.values():
        for each in one.ports.values():
            known = list(each.binding._operations)  # noqa: SLF001
            seen += [each_name for each_name in known if each_name not in seen]
            if name in known and service in (None, one.name) and port in (None, each.name):
                options = each.binding_options
                return Operation(name, options.get("address"), client, each.binding, options)
    if not seen:
        raise _bad_wsdl(path, "没有任何操作 | it has no operations")
    raise changed(("操作", "operation"), f"WSDL {path}", [name], seen)


def _beside(wsdl: Path, url: str) -> bytes:
    """A file the WSDL needs: a local path as it is, an address of the network as a copy beside the WSDL."""
    parts = urlsplit(url)
    if parts.scheme in ("", "file"):
        file = Path(unquote(parts.path) if parts.scheme else url)
        folder = wsdl.parent.resolve()
        if file.resolve().is_relative_to(folder) and file.is_file():
            return file.read_bytes()
        raise _missing(url, folder / file.name)
    name = Path(unquote(parts.path)).name or parts.netloc
    query = re.sub(r"[^A-Za-z0-9._-]", "_", parts.query)
    for copy in (*([f"{name}_{query}", f"{query}.xsd"] if query else []), name):
        if (wsdl.parent / copy).is_file():
            return (wsdl.parent / copy).read_bytes()
    raise _missing(url, wsdl.parent / (f"{name}_{query}" if query else name))


def _nested(params: Mapping[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for path, value in params.items():
        *above, name = path.split(".")
        inside = made
        for step in above:
            inside = inside.setdefault(step, {})
        inside[name] = value
    return made


def _missing(url: str, place: Path) -> SourceError:
    return SourceError(
        "SRC-SOAP-IMPORT",
        zh=f"WSDL 引用了 {url}，本地没有副本，系统不会联网获取",
        en=f"the WSDL imports {url}, of which there is no copy here; it is not fetched from the network",
        fix_zh=f"请取得该文件并存为 {place}",
        fix_en=f"Obtain the file and save it as {place}.",
    )


def _bad_wsdl(path: str, error: str) -> SourceError:
    return SourceError(
        "SRC-SOAP-WSDL",
        zh=f"{path} 不是可用的 WSDL：{error}",
        en=f"{path} is no usable WSDL: {error}",
        fix_zh="请向来源部门索取完整的 WSDL 及其引用的 XSD",
        fix_en="Ask the department for the complete WSDL and the schemas it imports.",
    )


def _no_driver() -> SourceError:
    return SourceError(
        "SRC-DRIVER",
        zh="读取 SOAP 需要 zeep",
        en="SOAP needs zeep",
        fix_zh="执行 pip install 'shutong[soap]'",
        fix_en="Run pip install 'shutong[soap]'.",
    )
