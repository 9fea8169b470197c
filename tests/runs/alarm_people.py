"""The people of two departments who hear of alarms in tests, as people.yaml says it."""

PEOPLE = """
people:
  - {id: chen, name: 陈静, roles: [data_manager], mail: chen@example.gov.cn}
  - {id: li, name: Li Na, department: scjg, roles: [lead], mail: li@example.gov.cn, lang: en, alarms: {kinds: []}}
  - {id: wang, name: 王伟, department: scjg, mail: wang@example.gov.cn, alarms: {kinds: [held, overdue]}}
  - {id: zhao, name: 赵强, department: swj, mail: zhao@example.gov.cn}
"""
