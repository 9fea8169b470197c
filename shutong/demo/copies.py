"""What each department holds of the world before anything goes wrong: clean copies, row by row."""

from __future__ import annotations

from datetime import date
from random import Random

from shutong.demo.rows import INSTITUTION, POPULATION, REGISTRY, SOCIAL_ORG, TAXPAYER, Layout, Row, Value, canonical
from shutong.demo.truth import Firm, Person, World

TAXPAYERS = 0.4  # share of the firms that the tax bureau knows
CITIZEN_CARD = "111"  # GA/T 2000.156: 居民身份证


def clean_copies(world: World, seed: int) -> dict[str, list[Row]]:
    """Resource id → the clean rows of that resource, in the order of the truth; four firms in ten are taxpayers."""
    rng = Random(f"{seed}:taxpayers")  # noqa: S311 - a reproducible world, not a secret
    return {
        REGISTRY.resource: [registry_row(firm) for firm in world.firms],
        POPULATION.resource: [population_row(person) for person in world.persons],
        TAXPAYER.resource: [taxpayer_row(firm) for firm in world.firms if rng.random() < TAXPAYERS],
        INSTITUTION.resource: [body_row(firm, INSTITUTION) for firm in world.bodies if firm.kind == "institution"],
        SOCIAL_ORG.resource: [body_row(firm, SOCIAL_ORG) for firm in world.bodies if firm.kind == "social"],
    }


def registry_row(firm: Firm) -> Row:
    """A firm as market regulation 市场监管 keeps it."""
    return _row(
        REGISTRY,
        {
            "subject_id": firm.subject_id,
            "uscc": firm.uscc,
            "ent_name": firm.name,
            "reg_no": firm.reg_no,
            "org_code": firm.org_code,
            "reg_state": firm.state,
            "legal_rep_name": firm.rep.name,
            "legal_rep_id_type": CITIZEN_CARD,
            "legal_rep_id_no": firm.rep.id_no,
            "reg_capital": firm.capital,
            "reg_capital_ccy": firm.currency,
            "est_date": firm.est_date,
            "appr_date": firm.appr_date,
            "cancel_date": firm.cancel_date,
            "revoke_date": firm.revoke_date,
            "op_from": firm.op_from,
            "op_to": firm.op_to,
            "reg_org_name": firm.reg_org,
            "industry_section": firm.section,
            "industry_code": firm.industry,
            "domicile": firm.address,
            "domicile_division": firm.division,
            "op_scope": firm.scope,
            "phone": firm.phone,
        },
    )


def population_row(person: Person) -> Row:
    """A person as public security 公安 keeps them."""
    return _row(
        POPULATION,
        {
            "id_no": person.id_no,
            "id_type": CITIZEN_CARD,
            "name": person.name,
            "used_name": person.used_name,
            "sex": person.sex,
            "ethnic": person.ethnic,
            "birth_date": person.birth_date,
            "native_division": person.native_division,
            "education": person.education,
            "marital": person.marital,
            "phone": person.phone,
            "domicile_county_code": person.county,
            "domicile_addr": person.address,
            "death_flag": "0",
        },
    )


def taxpayer_row(firm: Firm) -> Row:
    """A firm as the tax bureau 税务 keeps it: its own number, at times another address or telephone."""
    return _row(
        TAXPAYER,
        {
            "uscc": firm.uscc,
            "tax_no": firm.division + firm.org_code,  # 税务登记号 before 2015: division and organisation code
            "ent_name": firm.name,
            "domicile": firm.tax_address or firm.address,
            "phone": firm.tax_phone or firm.phone,
        },
    )


def body_row(firm: Firm, layout: Layout) -> Row:
    """A public institution or social organisation as civil affairs 民政 keep it."""
    row = _row(
        layout,
        {
            "ent_name": firm.name,
            "uscc": firm.uscc,
            "legal_rep_name": firm.rep.name,
            "reg_state": firm.state,
            "est_date": firm.est_date,
            "reg_org_name": firm.reg_org,
            "domicile": firm.address,
            "op_scope": firm.scope,
            "phone": firm.phone,
        },
    )
    row.received[layout.fields["reg_state"]] = "正常"  # people fill these sheets in, with words
    row.rules.add("reg_state_repaired")
    return row


def _row(layout: Layout, values: dict[str, Value]) -> Row:
    missing = set(layout.fields) ^ set(values)
    if missing:
        raise KeyError(f"{layout.resource}: {sorted(missing)}")
    return Row({layout.fields[name]: _as_kept(value) for name, value in values.items()}, values)


def _as_kept(value: Value) -> str | None:
    return value.isoformat() if isinstance(value, date) else canonical([value])[0]
