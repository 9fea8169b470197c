"""The command line: one group, one file per kind of work, every command with --json."""

from __future__ import annotations

import click

from shutong.late import LateCommand

# What `--help` says, by the words one types. The file of a command is imported when it is invoked, and not before.
GROUPS = {
    "alarms": "告警 | alarms and their messages",
    "application": "共享申请 | applications for data",
    "backup": "备份与恢复 | backups, and going back to one",
    "bundle": "数据包：与不连网的合作方交换基础库 | libraries as files, for partners without a wire",
    "directory": "数据目录 | the directory of data",
    "client": "部门的应用 | applications of departments",
    "grant": "授权 | grants",
    "held": "待定批次：放行或拒收 | held batches: release or reject them",
    "key": "接口密钥 | API keys",
    "ledger": "调用记录与回执 | call records and receipts",
    "library": "基础库 | base libraries",
    "quality": "数据质量 | data quality",
    "quality orders": "质量工单 | work orders to source departments",
    "resource": "资源文件 | resource files",
    "secret": "密钥：口令与令牌，加密保存 | passwords and tokens, kept encrypted",
    "store": "数据仓库所在的目录或存储桶 | the folder or bucket of the warehouse",
    "warehouse": "数据仓库的日常维护 | care for the warehouse",
}
COMMANDS = {
    "alarms list": (
        "alarms:list_command",
        "当前告警、静默与未送达的消息 | alarms that last, silences, messages not delivered",
    ),
    "alarms run": (
        "alarms:run_command",
        "检查一次并发送消息；--every 为反复检查 | look once and send; --every goes on",
    ),
    "alarms silence": (
        "alarms:silence_command",
        "静默：按告警、资源、人员，至某时 | no messages of a kind, resource or person",
    ),
    "alarms test": ("alarms:test_command", "向人员发送测试消息 | send a test message"),
    "application decide": (
        "applications:decide_command",
        "决定：同意（可只同意一部分）或不予共享 | approve, wholly or in part, or refuse",
    ),
    "application deliver": (
        "applications:deliver_command",
        "已可使用 | say that what was approved can be asked for now",
    ),
    "application dispute": ("applications:dispute_command", "提出争议，先协商 | disagree: consultation begins"),
    "application extension": (
        "applications:extension_command",
        "延期：申请、同意、不同意 | more days: ask, grant, deny",
    ),
    "application file": ("applications:file_command", "提出共享申请 | apply for data"),
    "application list": (
        "applications:list_command",
        "列出申请，最早到期的在前 | applications, the earliest due first",
    ),
    "application refer": (
        "applications:refer_command",
        "争议进入调解、裁定 | take a dispute to mediation, then to a ruling",
    ),
    "application show": (
        "applications:show_command",
        "一件申请：内容与经过 | one application: what is asked, and its history",
    ),
    "application supplement": (
        "applications:supplement_command",
        "要求补正，时限暂停 | ask for more: the clock stops",
    ),
    "application supply": ("applications:supply_command", "补正 | answer what the provider asked for"),
    "application sweep": (
        "applications:sweep_command",
        "处理逾期与到期；有 people.yaml 时自动进行 | what the clock asks for; alarms do it too",
    ),
    "application withdraw": (
        "applications:withdraw_command",
        "撤回申请或争议 | take an application or a dispute back",
    ),
    "backup create": (
        "backup:create_command",
        "备份状态库与表目录 | back up the state database and the catalog",
    ),
    "backup list": ("backup:list_command", "列出备份，最新的在前 | list backups, the newest first"),
    "backup restore": (
        "backup:restore_command",
        "回到某一备份；其后的原始批次重新入库 | go back to a backup; later raw batches land again",
    ),
    "bundle keys": (
        "bundle:keys_command",
        "本部署的名片与指纹，首次执行时生成密钥 | this deployment's card; makes the keys the first time",
    ),
    "bundle list": ("bundle:list_command", "导出过的与导入的数据包 | bundles that were made, and those that came"),
    "bundle show": ("bundle:show_command", "核对一个数据包并显示其清单 | verify a bundle and show what it says"),
    "client add": ("clients:add_command", "登记部门的应用 | register an application of a department"),
    "client change": (
        "clients:change_command",
        "修改网段、证明方式、证书 | change networks, proofs, certificates",
    ),
    "client disable": (
        "clients:disable_command",
        "停用：其密钥、令牌、证书一秒内失效 | shut off, within a second",
    ),
    "client enable": ("clients:enable_command", "恢复停用的应用 | let it call again"),
    "client list": ("clients:list_command", "列出应用 | list applications"),
    "demo": ("deployment:demo_command", "演示：部门系统 → 检查 → 数仓 → 共享接口 | watch data travel the whole way"),
    "directory export": (
        "directory:export_command",
        "导出目录（按后缀：json、csv、xlsx、jsonld、ttl） | write the directory, in the format of the suffix",
    ),
    "directory history": (
        "directory:history_command",
        "目录的历次变更与差异 | what changed in the directory, and who changed it",
    ),
    "directory keep": (
        "directory:keep_command",
        "登记目录的变更：何人、何时、为何 | keep what changed: who, when and why",
    ),
    "directory list": ("directory:list_command", "列出全部条目 | every entry"),
    "directory sample": ("directory:sample_command", "样例：依标准虚构的几行 | a few rows made up from the standard"),
    "directory search": (
        "directory:search_command",
        "按词语、拼音、首字母、字段名或代码查找 | by words, pinyin, initials, fields or code",
    ),
    "directory show": (
        "directory:show_command",
        "一个条目：核心元数据、信息项与实测情况 | one entry: metadata, items, what is measured",
    ),
    "doctor": (
        "deployment:doctor_command",
        "检查本机与部署：版本、目录、配置、密钥、数据库 | examine this machine and the deployment",
    ),
    "explain": (
        "library_history:explain_command",
        "一个主体在各基础库中每个字段由谁、何时提供 | who said what about a key, in every library",
    ),
    "follow": (
        "follow:follow_command",
        "按来源日志持续跟踪一个资源（read: {mode: cdc}） | follow a resource, change by change",
    ),
    "grant extend": ("grants:extend_command", "由提供部门延长有效期 | let a grant last longer, as its provider"),
    "grant list": (
        "grants:list_command",
        "列出授权：数据库的与 grants.yaml 的 | grants, of the database and of grants.yaml",
    ),
    "grant renew": ("grants:renew_command", "到期前申请续期 | apply for a grant to go on"),
    "grant resume": ("grants:resume_command", "恢复 | let a suspended grant count again"),
    "grant revoke": (
        "grants:revoke_command",
        "撤销，下一次调用起生效 | end a grant for good, from the next call on",
    ),
    "grant show": (
        "grants:show_command",
        "一项授权的各版本：谁、何时、为何 | the versions of a grant: who, when, why",
    ),
    "grant suspend": (
        "grants:suspend_command",
        "暂停，下一次调用起生效 | let a grant rest, from the next call on",
    ),
    "held history": ("held:history_command", "决定的经过：谁、何时、为何 | who decided what, when and why"),
    "held list": ("held:list_command", "等待决定的批次，最早的在前 | what waits for a decision, the oldest first"),
    "held reject": ("held:reject_command", "拒收：批次不再入库 | refuse a held batch for good"),
    "held release": ("held:release_command", "放行：批次入库 | let a held batch land"),
    "ingest": (
        "ingest:ingest_command",
        "接入一个资源：拉取、检查、入库、合并、发布 | pull, check, land, merge, publish",
    ),
    "init": ("deployment:init_command", "按示例建立部署目录 | lay out a deployment from an example"),
    "key issue": ("records:issue_command", "签发密钥（只显示一次） | issue a key, shown once"),
    "key list": ("records:keys_command", "列出密钥（不含内容） | list keys, without their content"),
    "key revoke": ("records:revoke_command", "吊销密钥 | revoke a key"),
    "key rotate": (
        "clients:rotate_command",
        "换发密钥，旧密钥再用一段时间 | a new key; the old one works for a while",
    ),
    "ledger keys": (
        "ledger:keys_command",
        "回执的公钥；--new 增加一个，一天后启用 | keys of receipts; --new adds one, used a day later",
    ),
    "ledger seal": (
        "ledger:seal_command",
        "封存已结束的各日：签名的默克尔根 | seal the days that are over: a signed Merkle root each",
    ),
    "ledger verify": (
        "ledger:verify_command",
        "核对全部调用记录：改动、缺失、截断 | check every call record, and find what was changed",
    ),
    "ledger verify-receipt": (
        "ledger:verify_receipt_command",
        "核对一张回执：签名与调用记录 | check a receipt: its signature, and the records",
    ),
    "library became": ("library_held:became_command", "登记换码：旧主键变为新主键 | an old key became a new one"),
    "library changes": (
        "library_history:changes_command",
        "两个日期之间变了什么 | what changed between two dates",
    ),
    "library conflicts": (
        "library_history:conflicts_command",
        "一数一源：各字段部门间的一致与不一致 | per field, which departments disagree",
    ),
    "library decide": (
        "library_held:decide_command",
        "决定待定项属于哪个主键，或互不相干 | decide which key something held belongs to",
    ),
    "library explain": (
        "libraries:explain_command",
        "一条记录每个字段由哪个部门提供 | which department each field comes from",
    ),
    "library export": (
        "library_bundle:export_command",
        "导出为签名并加密的数据包 | a library, or what changed in it, as one signed file",
    ),
    "library follow": (
        "serving:follow_command",
        "资源一落库就合并并发布 | merge and publish whenever a resource has landed",
    ),
    "library held": (
        "library_held:held_command",
        "会把两个主体并成一个、等待人工决定的 | what would fuse two records and waits",
    ),
    "library import": (
        "library_bundle:import_command",
        "导入合作方的数据包 | take a library from a partner's file",
    ),
    "library merge": ("libraries:merge_command", "按最新发布的各资源重新合并 | merge the newest releases"),
    "library publish": ("libraries:publish_command", "发布到查询服务 | publish to the serving store"),
    "library show": (
        "library_history:show_command",
        "一条记录现在或当时的样子 | a record as it stands, or as it stood",
    ),
    "library sql": (
        "library_sql:sql_command",
        "以 SQL 写出最近一次合并，供 Spark 等引擎执行 | the newest merge as SQL, for Spark and others",
    ),
    "library verify": (
        "serving:verify_command",
        "逐字节核对发布文件 | compare the published files with their seals, byte by byte",
    ),
    "quality compare": (
        "quality_report_compare:compare_command",
        "对比两次运行：新增、持续、已解决 | two runs beside each other: new, still, fixed",
    ),
    "quality correct": ("returns:correct_command", "更正隔离的一行后入库 | land a quarantined row with other values"),
    "quality explain": (
        "quality_report_explain:explain_command",
        "解释一条规则：查什么、为什么、怎么办、历史、例子 | what a rule checks, why, what to do, history",
    ),
    "quality orders answer": ("orders:answer_command", "答复：部门做了什么 | say what the department did"),
    "quality orders assign": (
        "orders:assign_command",
        "指派给来源部门的人员 | give an order to a person of the department",
    ),
    "quality orders export": (
        "orders:export_command",
        "导出为 CSV 或 XLSX（按后缀） | write orders as CSV or XLSX, by the suffix",
    ),
    "quality orders list": (
        "orders:list_command",
        "列出未关闭的工单，最早到期的在前 | orders that are not closed, earliest due first",
    ),
    "quality orders show": (
        "orders:show_command",
        "一件工单：说明、办法、经过 | one order: what, what to do, its history",
    ),
    "quality orders waive": ("orders:waive_command", "豁免至某日 | let an order rest until a day"),
    "quality profile": (
        "quality_profile:profile_command",
        "字段剖析：空值、取值、字形、长度、分布 | fields: nulls, values, shapes, lengths, spread",
    ),
    "quality recheck": (
        "returns:recheck_command",
        "按现行规则重新检查隔离的行 | judge quarantined rows by the rules of today",
    ),
    "quality release": ("returns:release_command", "放行隔离的行，按原样入库 | land quarantined rows as they are"),
    "quality report": (
        "quality_report:report_command",
        "质量报告：一次运行，或一个部门的一段时间 | report on a run, or on a department's period",
    ),
    "quality returned": (
        "returns:returned_command",
        "从隔离区取回的行：谁、何时、为何 | rows that came back: who, when, why",
    ),
    "quality scores": (
        "scores:scores_command",
        "评价指标得分及分子、分母 | scores by indicator, numerators and denominators",
    ),
    "quality show": (
        "quality:show_command",
        "各资源最近一次检查：规则、行数、与上次相比 | the newest check of each resource",
    ),
    "query": (
        "records:query_command",
        "按键查询基础库，或对数仓写 SQL | look records up in a library, or ask the warehouse by SQL",
    ),
    "resource check": (
        "resource:check_command",
        "检查资源文件与来源连通性 | check resource files and reach their sources",
    ),
    "resource drift": (
        "resource:drift_command",
        "来源结构的变化；--accept 确认 | what changed at the source; --accept takes it",
    ),
    "resource list": ("resource:list_command", "列出全部资源 | list every resource"),
    "resource new": ("resource_new:new_command", "由来源自动拟出资源文件 | propose a resource file from the source"),
    "resource preview": (
        "resource:preview_command",
        "先看几行：来源原值与标准化后的值 | a few rows, as received and standardised",
    ),
    "runs": ("ingest:runs_command", "接入运行记录；--late 只看迟到的资源 | what ran; --late: what is late"),
    "secret list": ("secret:list_command", "列出密钥名（不显示值） | list names, never values"),
    "secret remove": ("secret:remove_command", "删除一个密钥 | forget a secret"),
    "secret rotate": ("secret:rotate_command", "更换加密密钥 | put every secret under a new key"),
    "secret set": (
        "secret:set_command",
        "保存一个密钥（不回显；可由标准输入给出） | keep a secret, asked without echo",
    ),
    "store check": ("store:check_command", "检查可达、时钟、密钥、存储桶与锁定 | is it reachable, permitted, fit"),
    "store prepare": ("store:prepare_command", "建立存储桶（按需启用对象锁定）并检查 | make the bucket, then check it"),
    "up": ("deployment:up_command", "启动调度器与共享接口，直到 Ctrl-C | run the scheduler and the sharing API"),
    "usage": ("records:usage_command", "本部门的调用与剩余配额 | a department's calls and quotas"),
    "warehouse compact": (
        "warehouse:compact_command",
        "按主键重排表文件，去掉已删除的行 | write tables anew in the order of their keys",
    ),
    "warehouse expire": ("warehouse:expire_command", "忘掉不再需要的快照 | forget the snapshots nobody needs"),
    "warehouse releases": (
        "warehouse_rollback:releases_command",
        "资源或基础库的历次发布 | the releases of a resource or a library",
    ),
    "warehouse rollback": (
        "warehouse_rollback:rollback_command",
        "回退到以前的一次发布；缺省只说明会变什么 | go back to a release; by default only say what changes",
    ),
    "warehouse sweep": ("warehouse:sweep_command", "删除无主的文件 | remove files that nothing names"),
    "warehouse verify": (
        "warehouse:verify_command",
        "核对原始批次、表、主键、发布 | look at raw batches, tables, keys and what is published",
    ),
}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="shutong")
def main() -> None:
    """数通：跨部门数据共享交换。语言由 SHUTONG_LANG 选择 (zh|en)；部署目录由 SHUTONG_HOME 指定。

    Shutong: cross-department data sharing. SHUTONG_LANG picks the language, SHUTONG_HOME the deployment's folder.
    """


_groups = {"": main}
for _words, _says in GROUPS.items():
    _before, _, _name = _words.rpartition(" ")
    _groups[_before].add_command(_groups.setdefault(_words, click.Group(_name, help=_says)))
for _words, (_at, _says) in COMMANDS.items():
    _before, _, _name = _words.rpartition(" ")
    _groups[_before].add_command(LateCommand(_name, _at, _says))
