"""Normalising changes what was meant to be the same, and nothing else."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import normalise

CHINA_TODAY = timezone(timedelta(hours=8))


@pytest.mark.parametrize(
    ("received", "kept"),
    [
        ("杭州某某科技有限公司", "杭州某某科技有限公司"),
        ("\u3000杭州某某（中国）有限公司  ", "杭州某某（中国）有限公司"),
        ("ＡＢＣ１２３公司", "ABC123公司"),
        ("宁波　保税区", "宁波 保税区"),
        ("\ufeff温州\t", "温州"),
        ("𠮷野家，分店；二", "𠮷野家，分店；二"),
        ("\uf900\ufa0e某", "\uf900\ufa0e某"),  # CJK compatibility ideographs: NFKC would change a name
        ("①号楼㎡", "①号楼㎡"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_a_name_keeps_its_characters_and_loses_its_padding(received, kept):
    assert normalise.text(pa.array([received, None])).to_pylist() == [kept, None]


@pytest.mark.parametrize(
    ("received", "kept"),
    [
        ("９１３３０１０６ｍａ２７", "91330106MA27"),
        ("74218321-3", "742183213"),
        ("74218321－3", "742183213"),
        ("74218321—3", "742183213"),
        (" 3301 0619\u3000900101 001x ", "33010619900101001X"),
        ("ıſß", "ıſß"),  # upper() would make an I, an S and two S of them
        ("𠮷１", "𠮷1"),
        ("330106199001010015", "330106199001010015"),
        ("（１）", "(1)"),
    ],
)
def test_an_identifier_is_folded_all_through(received, kept):
    assert normalise.identifier(pa.array([None, received])).to_pylist() == [None, kept]


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("09AZaz０９ＡＺａｚ（）() -－\u3000\u200b𠮷豈无\n\t/Ⅷ"), max_size=12)
        | st.none(),
        max_size=60,
    )
)
def test_normalising_twice_changes_no_more_than_normalising_once(received):
    array = pa.array(received, pa.string())
    for fold_, one in ((normalise.text, normalise.fold_text), (normalise.identifier, normalise.fold_identifier)):
        once = fold_(array)
        assert once.to_pylist() == [None if text is None else one(text) for text in received]
        assert fold_(once).to_pylist() == once.to_pylist()


@given(st.text(st.characters(exclude_categories=["Z", "Cc", "Cf", "Cs"]).filter(lambda one: not "０" <= one <= "ｚ")))
def test_a_name_without_blanks_and_wide_letters_is_kept_as_it_is(name):
    assert normalise.fold_text(name) == name


def test_normalising_reads_slices_and_long_columns_right():
    received = pa.array(["ａ", "b ", None, "好"] * 5_000)[3:19_998]
    expected = (["a", "b", None, "好"] * 5_000)[3:19_998]
    assert normalise.text(received).to_pylist() == expected


# --- words for nothing -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "word",
    ["", "N/A", "n/a", "Ｎ／Ａ", "-", "－", "--", "\\N", "NULL", "null", "None", "无", "暂无", "空", " 无\u3000", "[]"],
)
def test_a_word_for_nothing_is_nothing(word):
    array = pa.array([word, "有限公司", None])
    assert normalise.without(normalise.text(array)).to_pylist() == [None, "有限公司", None]


@pytest.mark.parametrize("word", ["无锡", "空军", "-1", "0", "Nullarbor", "N", "A", "𠮷"])
def test_a_word_that_only_begins_like_nothing_stays(word):
    assert normalise.without(normalise.text(pa.array([word]))).to_pylist() == [word]


def test_a_field_may_name_its_own_words_for_nothing():
    array = pa.array(["无", "无处罚期限", "11111111"])
    assert normalise.without(array, ("无处罚期限", "11111111")).to_pylist() == ["无", None, None]


# --- dates -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ("2019-04-04", date(2019, 4, 4)),
        ("20190404", date(2019, 4, 4)),
        ("2019/4/4", date(2019, 4, 4)),
        ("2019.4.4", date(2019, 4, 4)),
        ("2019年4月4日", date(2019, 4, 4)),
        ("2019年04月04日 14时21分", date(2019, 4, 4)),
        ("2019-04-04 14:21:54", date(2019, 4, 4)),
        ("2019-04-04T14:21:54.123", date(2019, 4, 4)),
        ("2019/04/04 0:00", date(2019, 4, 4)),
        ("2099-12-31 00:00;00", date(2099, 12, 31)),
        ("20211028154247", date(2021, 10, 28)),
        ("２０１９－０４－０４", date(2019, 4, 4)),
        (" 2019-04-04\u3000", date(2019, 4, 4)),
        ("2020-02-29", date(2020, 2, 29)),
        ("1900-01-01", date(1900, 1, 1)),
        ("9999-12-31", date(9999, 12, 31)),
        ("2019-04-04T16:00:00Z", date(2019, 4, 5)),  # midnight of the 5th in China, as Java writes it
        ("2019-04-04T23:59:59+08:00", date(2019, 4, 4)),
        ("2019-02-29", None),
        ("2019-13-01", None),
        ("202011", None),
        ("2020-11", None),
        ("43559", None),  # an Excel serial number
        ("43559.5", None),
        ("11111111", None),
        ("00000000", None),
        ("2019-4/4", None),
        ("04/04/2019", None),
        ("2019-04-04 25:00:00", None),
        ("2019-04-04 10:00:00+99:00", None),
        ("2019-04-0410:00", None),
        ("20190404 2019", None),
        ("201904041421", None),
        ("9999-12-31T23:00:00-08:00", None),
        ("无处罚期限", None),
        ("٢٠١٩-٠٤-٠٤", None),
        ("", None),
    ],
)
def test_the_days_departments_write(received, expected):
    days, understood = normalise.date(pa.array([received, None]))
    assert days.to_pylist() == [expected, None]
    assert days.type == pa.date32()
    assert understood.to_pylist() == [expected is not None, None]


@pytest.mark.parametrize(
    ("received", "expected"),
    [
        ("2019-04-04 14:21:54", datetime(2019, 4, 4, 6, 21, 54, tzinfo=UTC)),
        ("20211028154247", datetime(2021, 10, 28, 7, 42, 47, tzinfo=UTC)),
        ("2019-04-04", datetime(2019, 4, 4, tzinfo=CHINA_TODAY)),
        ("2019-04-04T06:21:54.123456Z", datetime(2019, 4, 4, 6, 21, 54, 123456, tzinfo=UTC)),
        ("2019-04-04 06:21:54.1230000", datetime(2019, 4, 4, 6, 21, 54, 123000, tzinfo=CHINA_TODAY)),
        ("1988-07-01 00:00:00", datetime(1988, 6, 30, 15, tzinfo=UTC)),  # China had summer time then
        ("2019-04-04 06:21:54.1234567", None),  # more digits than microseconds hold: never cut
    ],
)
def test_an_instant_without_zone_is_in_china(received, expected):
    instants, understood = normalise.datetime(pa.array([received, None]))
    assert instants.type == pa.timestamp("us", "Asia/Shanghai")
    assert instants.to_pylist() == [expected, None]
    assert understood.to_pylist() == [expected is not None, None]


@given(st.dates(date(1800, 1, 1), date(9999, 12, 30)))
def test_every_day_is_read_back_from_every_spelling(day):
    y, m, d = day.year, day.month, day.day
    spellings = [f"{y}-{m:02d}-{d:02d}", f"{y}{m:02d}{d:02d}", f"{y}/{m}/{d}", f"{y}.{m}.{d}", f"{y}年{m}月{d}日"]
    spellings += [f"{y}-{m:02d}-{d:02d} 23:59:59", f"{y}{m:02d}{d:02d}000000"]
    days, understood = normalise.date(pa.array(spellings))
    assert days.to_pylist() == [day] * len(spellings)
    assert understood.to_pylist() == [True] * len(spellings)


@given(st.text(max_size=24))
def test_no_text_at_all_makes_dates_or_names_fail(text):
    days, understood = normalise.date(pa.array([text]))
    assert understood.to_pylist() == [days.null_count == 0]


def test_naming_one_word_for_without_end_means_all_of_them():
    assert set(normalise.LONG_TERM) <= set(normalise.long_term(("9999-09-09",)))
    assert normalise.long_term(("1900-01-01",)) == ("1900-01-01",)
