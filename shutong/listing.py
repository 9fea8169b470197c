"""The directory of a deployment: its resources and libraries, their departments, and what is measured of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sharing.clocks import read_policy
from sharing.directory import Directory, directory_of
from sharing.directory_history import DirectoryHistory
from sharing.directory_measured import Measures
from sharing.directory_values import Listed, Provider, Usage, Words
from shutong.applying import subjects
from shutong.deployment import Deployment

if TYPE_CHECKING:
    import sqlalchemy as sa

    from sharing.catalog import Library

FOLDER = "directory"  # of the deployment: <department>/<resource>.yaml, <library>.yaml, classes.csv


def listing(deployment: Deployment, engine: sa.Engine, stores: Mapping[str, Library], usage: Usage) -> Directory:
    """The directory as the files say it now. Raises StandardError with file and line for what cannot be used."""
    providers = {one.id: Provider(one.id, Words(one.zh, one.en), one.uscc) for one in deployment.departments}
    decides = subjects(deployment, read_policy(deployment.home / "sharing.yaml"))
    resources = [
        Listed(one.id, "resource", Words(one.zh, one.en), one.department, one.standard, tuple(one.columns))
        for one in deployment.resources
    ]
    libraries = [
        Listed(name, "library", _title(standard.zh, standard.en), decides[name].provider, standard)
        for name, standard in deployment.libraries.items()
    ]
    formerly = {old: one.id for one in deployment.resources for old in one.formerly}
    measures = Measures(engine, stores, usage, formerly)
    kept = DirectoryHistory(engine).codes()
    return directory_of([*resources, *libraries], providers, deployment.home / FOLDER, measures, kept)


def _title(zh: str, en: str) -> Words:
    """A library is called after its standard: 法人库数据标准 is the standard of 法人库."""
    return Words(zh.removesuffix("数据标准") or zh, en.removesuffix(" data standard") or en)
