"""Why the directory cannot be given in a format."""

from __future__ import annotations

from sharing.errors import SharingError


class RdfMissingError(SharingError):
    """Turtle is written by a library that is not installed."""

    status, title_zh, title_en = 406, "无法以此格式导出", "Not available in this format"

    @classmethod
    def of(cls) -> RdfMissingError:
        """Says what to install, and what does without."""
        return cls(
            "SHR-RDF",
            zh="未安装 rdflib，不能写 Turtle",
            en="Turtle needs rdflib, which is not installed",
            fix_zh="执行 pip install 'shutong[rdf]'，或改用 JSON-LD（format=jsonld），内容相同",
            fix_en="Run pip install 'shutong[rdf]', or take JSON-LD (format=jsonld), which says the same",
        )
