"""A password that Airflow keeps in a connection is a secret of ours by the connection's id."""

import pytest


@pytest.fixture
def connections(airflow):
    from dags.airflow_secrets import AirflowConnections

    return AirflowConnections()


def test_the_password_of_a_connection_is_found_by_its_id(connections, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_GSJ_ORACLE", "oracle://reader:p%40ss@127.0.0.1:1521/orcl")
    assert connections.get("gsj_oracle") == "p@ss"


@pytest.mark.parametrize("uri", [None, "oracle://reader@127.0.0.1:1521/orcl"])
def test_no_connection_or_one_without_a_password_is_left_to_the_next_place(connections, monkeypatch, uri):
    if uri:
        monkeypatch.setenv("AIRFLOW_CONN_EMPTY", uri)
    with pytest.raises(LookupError):
        connections.get("empty")
