"""The table all back ends read: alphabets, lengths, weights and check characters of each kind of identifier."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from itertools import product

DIGITS = "0123456789"
ALPHANUMERIC = DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # no I O Z S V
FIRST_YEAR = 1900  # nobody registered today was born earlier

USCC_AUTHORITIES = {  # registration authority → types of institution it registers
    "1": "1239",
    "2": "19",
    "3": "123459",
    "4": "19",
    "5": "1239",
    "6": "129",
    "7": "129",
    "8": "19",
    "9": "123",
    "A": "19",
    "N": "1239",
    "Y": "1",
}
USCC_PAIRS = tuple(authority + one for authority, types in USCC_AUTHORITIES.items() for one in types)

# Every date that exists from the year 0000 on, leap days included, as YYYYMMDD: the same text for Python and RE2.
CALENDAR_DATE = (
    "(?:[0-9]{4}(?:(?:0[13578]|1[02])(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)(?:0[1-9]|[12][0-9]|30)"
    "|02(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)0229)"
)


@dataclass(frozen=True, slots=True)
class Weighted:
    """A weighted sum: `table[Σ value · weight mod len(table)]` is the character after the weighted ones.

    The first weighted character stands at `start` (0-based); a character's value is its place in `alphabet`.
    """

    start: int
    weights: tuple[int, ...]
    alphabet: str
    table: str

    @property
    def at(self) -> int:
        """0-based place of the check character."""
        return self.start + len(self.weights)


@dataclass(frozen=True, slots=True)
class Birth:
    """A date of birth YYYYMMDD from `start` on, FIRST_YEAR to today; numbers beginning with `exempt` have none."""

    start: int
    exempt: str


@dataclass(frozen=True, slots=True)
class Fixed:
    """An identifier of one length: runs of (alphabet, count), the beginnings it may have, a check, a date of birth."""

    kind: str
    zh: str
    en: str
    source: str
    runs: tuple[tuple[str, int], ...]
    beginnings: tuple[str, ...] = ()
    check: Weighted | None = None
    birth: Birth | None = None

    @property
    def length(self) -> int:
        """Characters."""
        return sum(count for _, count in self.runs)

    @property
    def alphabets(self) -> tuple[str, ...]:
        """The characters allowed at each place."""
        return tuple(alphabet for alphabet, count in self.runs for _ in range(count))

    @property
    def pattern(self) -> str:
        """A regular expression for the whole text, without the check and the date."""
        return "".join(f"[{alphabet}]{{{count}}}" for alphabet, count in self.runs)


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts joined by dots after a fixed beginning; ISO 7064 hybrid check over the parts without the dots.

    `parts` are the lengths each part may have; the last part is the check character.
    """

    kind: str
    zh: str
    en: str
    source: str
    beginning: str
    parts: tuple[tuple[int, ...], ...]
    alphabet: str

    @property
    def lengths(self) -> tuple[int, int]:
        """The least and the greatest number of characters."""
        fixed = len(self.beginning) + len(self.parts) - 1
        return fixed + sum(map(min, self.parts)), fixed + sum(map(max, self.parts))

    @property
    def pattern(self) -> str:
        """A regular expression for the whole text, without the check."""
        one = f"[{self.alphabet}]"
        return re.escape(self.beginning) + r"\.".join(_counted(one, counts) for counts in self.parts)


def _counted(one: str, counts: tuple[int, ...]) -> str:
    if counts == tuple(range(counts[0], counts[-1] + 1)):
        return f"{one}{{{counts[0]},{counts[-1]}}}"
    return "(?:" + "|".join(f"{one}{{{count}}}" for count in counts) + ")"


def _complement(alphabet: str, modulus: int) -> str:
    """The check characters of (modulus − Σ mod modulus) mod modulus, in the order of Σ mod modulus."""
    return "".join(alphabet[-remainder % modulus] for remainder in range(modulus))


_ORG_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_ORG_TABLE = _complement(DIGITS + "X", 11)

USCC = Fixed(
    kind="uscc",
    zh="统一社会信用代码",
    en="unified social credit code",
    source="GB 32100-2015: 18 characters of 31, check modulo 31",
    runs=((USCC_ALPHABET, 18),),
    check=Weighted(0, tuple(3**i % 31 for i in range(17)), USCC_ALPHABET, _complement(USCC_ALPHABET, 31)),
)
USCC_PAIR = Fixed(
    kind="uscc_pair",
    zh="登记管理部门和机构类别代码",
    en="registration authority and type of institution (first two characters of a USCC)",
    source="GB 32100-2015 with its amendments of departments and types",
    runs=((ALPHANUMERIC, 18),),
    beginnings=USCC_PAIRS,
)
USCC_ORG_CODE = Fixed(
    kind="uscc_org_code",
    zh="统一社会信用代码中的组织机构代码",
    en="organisation code inside a USCC (characters 9 to 17)",
    source="GB 32100-2015 with GB 11714-1997: check modulo 11",
    runs=((ALPHANUMERIC, 16), (DIGITS + "X", 1), (ALPHANUMERIC, 1)),
    check=Weighted(8, _ORG_WEIGHTS, ALPHANUMERIC, _ORG_TABLE),
)
ORG_CODE = Fixed(
    kind="org_code",
    zh="组织机构代码",
    en="organisation code",
    source="GB 11714-1997: 8 characters and a check modulo 11",
    runs=((ALPHANUMERIC, 8), (DIGITS + "X", 1)),
    check=Weighted(0, _ORG_WEIGHTS, ALPHANUMERIC, _ORG_TABLE),
)
CITIZEN_ID = Fixed(
    kind="citizen_id",
    zh="公民身份号码",
    en="citizen identity number",
    source="GB 11643-1999: MOD 11-2 and a date of birth; a foreigner's residence card (first digit 9) has none",
    runs=((DIGITS, 17), (DIGITS + "X", 1)),
    check=Weighted(0, tuple(2 ** (17 - i) % 11 for i in range(17)), DIGITS, "10X98765432"),
    birth=Birth(6, "9"),
)
ELICENSE_ID = Joined(
    kind="elicense_id",
    zh="电子证照标识",
    en="electronic licence identifier",
    source="GB/T 36904: type, issuer (USCC or division), serial, version; check ISO 7064 MOD 37,36",
    beginning="1.2.156.3005.2.",
    parts=((21,), (6, 18), tuple(range(1, 65)), (3,), (1,)),
    alphabet=ALPHANUMERIC,
)

SPECS: dict[str, Fixed | Joined] = {
    one.kind: one for one in (USCC, USCC_PAIR, USCC_ORG_CODE, ORG_CODE, CITIZEN_ID, ELICENSE_ID)
}
KINDS = tuple(SPECS)


@cache
def hybrid_steps(modulus: int) -> tuple[tuple[int, ...], ...]:
    """ISO 7064 MOD modulus+1,modulus as state × value → state: starts at modulus // 2, right when it ends at 1."""
    steps = [[0] * modulus for _ in range(modulus)]
    for state, value in product(range(modulus), range(modulus)):
        steps[state][value] = ((state or modulus) * 2 % (modulus + 1) + value) % modulus
    return tuple(tuple(row) for row in steps)
