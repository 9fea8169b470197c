"""Made-up firms of 25 columns, sorted by key as in a base library: names, identifiers, amounts, dates."""

from __future__ import annotations

from pathlib import Path

import duckdb

KEY, INDEXED, EMBEDDED = "uscc", ("ent_name", "reg_no", "legal_rep_id"), ("_sources",)
COLUMNS = {
    "uscc": "'91330300MA' || lpad(i::VARCHAR, 8, '0')",
    "ent_name": "town || pick(['鹿城', '龙湾', '瓯海', '洞头', '东方', '新华', '恒通', '永兴', '祥和', '金鼎'], h >> 3)"
    " || (h % 99991)::VARCHAR || pick(['贸易', '科技', '餐饮', '建筑', '服饰', '电器', '物流'], h >> 7) || '有限公司'",
    "reg_no": "'3303000' || lpad((i * 7919 % 100000000)::VARCHAR, 8, '0')",
    "ent_type": "pick(['有限责任公司', '股份有限公司', '个人独资企业', '合伙企业'], h)",
    "status": "pick(['存续', '注销', '吊销', '迁出'], h >> 5)",
    "legal_rep": "pick(['王', '李', '张', '刘', '陈', '杨', '黄', '赵'], h)"
    " || pick(['伟', '芳', '秀英', '敏', '军'], h >> 11)",
    "legal_rep_id": "'330302' || (1950 + h % 55)::VARCHAR || lpad((1 + h % 12)::VARCHAR, 2, '0')"
    " || lpad((1 + h % 28)::VARCHAR, 2, '0') || lpad((h % 9999)::VARCHAR, 4, '0')",
    "reg_capital": "((h % 1000000) / 100)::DECIMAL(24, 6)",
    "currency": "'156'",
    "est_date": "DATE '1985-01-01' + (h % 14000)::INTEGER",
    "approve_date": "DATE '1990-01-01' + (h % 12000)::INTEGER",
    "term_from": "DATE '1985-01-01' + (h % 14000)::INTEGER",
    "term_to": "CASE WHEN h % 3 = 0 THEN DATE '2030-01-01' + (h % 9000)::INTEGER END",
    "industry": "pick(['批发业', '零售业', '软件和信息技术服务业', '餐饮业', '房屋建筑业', '道路运输业'], h >> 9)",
    "industry_code": "chr(65 + (h % 20)::INTEGER) || lpad((h % 9000)::VARCHAR, 4, '0')",
    "area_code": "'3303' || lpad((h % 20)::VARCHAR, 2, '0')",
    "reg_org": "'温州市' || town || '区市场监督管理局'",
    "address": "'浙江省温州市' || town || '区' || pick(['人民', '解放', '车站', '学院', '江滨'], h >> 15) || '路'"
    " || (h % 999)::VARCHAR || '号' || (h % 30)::VARCHAR || '室'",
    "scope": "repeat(pick(['技术开发、技术服务、技术咨询；', '日用百货销售；', '建筑材料批发；',"
    " '餐饮服务；'], h >> 17), 1 + (h % 3)::INTEGER)",
    "phone": "'1' || lpad((h % 9999999999)::VARCHAR, 10, '3')",
    "employees": "(h % 500)::BIGINT",
    "tax_level": "pick(['A', 'B', 'M', 'C', 'D'], h)",
    "credit_score": "(h % 1000)::BIGINT",
    "_sources": """'{"ent_name":["market","market.base"],"status":["market","market.base"]}'""",
    "_departments": "['market', 'tax']",
}


def query(first: int, rows: int, salt: int = 0) -> str:
    """SQL of firms number `first` and following; another salt gives the same keys other contents."""
    listed = ", ".join(f"{expression} AS {name}" for name, expression in COLUMNS.items())
    return (
        f"SELECT {listed} FROM (SELECT *, pick(['鹿城', '龙湾', '瓯海', '洞头'], h >> 13) AS town FROM"
        f" (SELECT i, (hash(i + {salt}) >> 1)::BIGINT AS h FROM range({first}, {first + rows}) t(i)))"
    )


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """What the query needs."""
    connection.execute("CREATE TEMP MACRO pick(choices, number) AS choices[1 + (number % len(choices))::INTEGER]")


def write(file: Path, rows: int) -> None:
    """A Parquet file of that many firms."""
    with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(file.parent / "spill")}) as connection:
        prepare(connection)
        connection.execute(f"COPY ({query(0, rows)}) TO '{file}' (FORMAT parquet, COMPRESSION zstd)")


def key(number: int) -> str:
    """The key of a firm."""
    return f"91330300MA{number:08d}"
