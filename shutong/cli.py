"""The command line: one group, one file per kind of work, every command with --json."""

from __future__ import annotations

import click

from shutong.commands import (
    alarms,
    deployment,
    follow,
    held,
    ingest,
    libraries,
    orders,
    quality,
    quality_profile,
    quality_report,
    quality_report_compare,
    quality_report_explain,
    records,
    resource,
    resource_new,
    returns,
    scores,
    secret,
    serving,
    store,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="shutong")
def main() -> None:
    """数通：跨部门数据共享交换。语言由 SHUTONG_LANG 选择 (zh|en)；部署目录由 SHUTONG_HOME 指定。

    Shutong: cross-department data sharing. SHUTONG_LANG picks the language, SHUTONG_HOME the deployment's folder.
    """


for one in (serving.follow_command, serving.verify_command):
    libraries.library_group.add_command(one)
resource.resource_group.add_command(resource_new.new_command)
quality.quality_group.add_command(orders.orders_group)
for one in (
    scores.scores_command,
    returns.release_command,
    returns.correct_command,
    returns.recheck_command,
    returns.returned_command,
    quality_report.report_command,
    quality_report_compare.compare_command,
    quality_report_explain.explain_command,
    quality_profile.profile_command,
):
    quality.quality_group.add_command(one)
for one in (
    deployment.init_command,
    deployment.demo_command,
    deployment.up_command,
    deployment.doctor_command,
    resource.resource_group,
    ingest.ingest_command,
    ingest.runs_command,
    follow.follow_command,
    held.held_group,
    quality.quality_group,
    alarms.alarms_group,
    libraries.library_group,
    records.query_command,
    records.usage_command,
    records.key_group,
    secret.secret_group,
    store.store_group,
):
    main.add_command(one)
