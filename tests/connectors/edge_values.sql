create table ent (id int primary key, "名" text, cap numeric, est date, at timestamp, ok boolean, doc jsonb, raw bytea, ratio float8);
insert into ent values
  (1, '𠮷野家，０１', 123456789012345678901234567890.12345678901, 'infinity', '2026-01-02 03:04:05.678', true, '{"a": 1.10}', '\x00ff', 0.1),
  (2, 'x', 'NaN', '0044-03-15 BC', '2025-01-01', false, null, null, 3.30127199001011234e17),
  (3, null, null, null, null, null, null, null, null);
create schema aic;
create table aic.e_base (id int);
insert into aic.e_base values (1);
create role reader login password 'reader''s';
