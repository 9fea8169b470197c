"""The functions an analyst's SQL may call: what computes on values, and nothing that reads, waits or never ends."""

from __future__ import annotations

# No generators of text or lists (repeat, lpad, range of a list), nothing that reads files, settings, catalogs or the
# environment, nothing that sleeps, logs or runs other SQL.
_OPERATORS = """
    + - * / // % ^ ** || ~~ !~~ ~~* !~~* ~~~ @> <@ && & | ~ << >> ! @
    like_escape not_like_escape ilike_escape not_ilike_escape add subtract multiply divide
"""
_AGGREGATES = """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_min arg_min_null
    argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop
    covar_samp entropy favg first fsum geomean geometric_mean group_concat histogram kahan_sum kurtosis kurtosis_pop
    last list listagg mad max max_by mean median min min_by mode product quantile quantile_cont quantile_disc regr_avgx
    regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy reservoir_quantile sem skewness
    stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop var_samp variance wavg weighted_avg
    grouping grouping_id
"""
_WINDOWS = """
    row_number rank rank_dense dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value fill
"""
_NUMBERS = """
    abs acos asin atan atan2 cbrt ceil ceiling cos cot degrees even exp fdiv floor fmod gcd greatest isfinite isinf
    isnan lcm least ln log log10 log2 mod pi pow power radians round round_even sign signbit sin sqrt tan trunc xor
    nullif ifnull coalesce equi_width_bins
"""
_TEXTS = """
    array_to_string ascii bit_length char_length character_length chr concat concat_ws contains damerau_levenshtein
    ends_with format_bytes hamming hash instr jaccard jaro_similarity jaro_winkler_similarity lcase left len length
    length_grapheme levenshtein lower ltrim md5 nfc_normalize octet_length ord position prefix regexp_escape
    regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array replace
    reverse right rtrim sha1 sha256 split split_part starts_with str_split strip_accents strlen strpos string_split
    string_to_array substr substring suffix translate trim ucase unicode upper
"""
_DAYS = """
    age century current_date date_add date_diff date_part date_sub date_trunc datediff datepart datesub datetrunc day
    dayname dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_us era hour isodow isoyear
    julian last_day make_date make_time make_timestamp microsecond millisecond minute month monthname now quarter second
    strftime strptime time_bucket timezone to_centuries to_days to_decades to_hours to_milliseconds to_minutes to_months
    to_quarters to_seconds to_timestamp to_weeks to_years today try_strptime week weekday weekofyear year yearweek
"""
_LISTS = """
    array_length array_contains element_at flatten list_aggregate list_apply list_avg list_concat list_contains
    list_count list_distinct list_element list_extract list_filter list_first list_has list_has_all list_has_any
    list_last list_max list_median list_min list_mode list_pack list_position list_reverse list_slice list_sort
    list_sum list_transform list_unique list_value list_zip map map_entries map_extract map_keys map_values cardinality
    row struct_extract struct_extract_at struct_pack array_extract array_slice unnest typeof json_extract
    json_extract_string json_array_length json_keys json_type json_valid ->>
"""
FUNCTIONS = frozenset(f"{_OPERATORS} {_AGGREGATES} {_WINDOWS} {_NUMBERS} {_TEXTS} {_DAYS} {_LISTS}".split())
TABLE_FUNCTIONS = frozenset(("unnest", "range", "generate_series"))  # of rows, which can be stopped at any of them
# Texts may be put together, but not doubled thirty times over.
GROWING = frozenset(
    """
    || concat concat_ws replace regexp_replace translate string_agg group_concat listagg array_to_string
    list_concat list_value list_transform list_apply
    """.split()  # noqa: SIM905 - reads better than a list of quotes
)
MOST_GROWING = 24
