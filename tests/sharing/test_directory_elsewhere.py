"""The directory as other systems read it: DCAT-AP 3 and CKAN, the latter with CKAN's own client."""

from __future__ import annotations

import json

import pytest
from directory_town import made, served

from sharing.dcat import json_ld, turtle
from sharing.directory_refusals import RdfMissingError


@pytest.fixture
def town(tmp_path):
    with served(tmp_path) as opened:
        yield opened


def test_dcat_has_what_the_profile_demands_of_every_class(tmp_path):
    told = json.loads(json_ld(made(tmp_path), "https://data.example/"))
    by_id = {one["@id"]: one for one in told["@graph"]}
    assert len(by_id) == len(told["@graph"])
    (catalog,) = [one for one in by_id.values() if one["@type"] == "dcat:Catalog"]
    assert {"dct:title", "dct:description", "dct:publisher"} <= catalog.keys()
    assert by_id[catalog["dct:publisher"]["@id"]]["@type"] == "foaf:Agent"
    assert len(catalog["dcat:dataset"]) == 3
    for one in catalog["dcat:dataset"]:
        dataset = by_id[one["@id"]]
        assert {"dct:title", "dct:description"} <= dataset.keys()
        assert by_id[dataset["dct:publisher"]["@id"]]["foaf:name"]
        assert by_id[dataset["dcat:theme"]["@id"]]["@type"] == "skos:Concept"
        assert by_id[dataset["dcat:distribution"]["@id"]]["dcat:accessURL"]["@id"].startswith("https://data.example/")
        assert dataset["dct:accrualPeriodicity"]["@id"] in by_id


@pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")  # of rdflib's own reader of JSON-LD
def test_turtle_says_the_same_and_needs_no_network(tmp_path):
    rdflib = pytest.importorskip("rdflib", reason="rdflib is not installed", exc_type=ImportError)
    every = made(tmp_path)
    from_turtle = rdflib.Graph().parse(data=turtle(every), format="turtle")
    from_json = rdflib.Graph().parse(data=json_ld(every), format="json-ld")
    assert len(from_turtle) > 50
    assert set(from_turtle) == set(from_json)
    assert "𠮷林个体户" in {str(one) for one in from_turtle.objects()}


def test_without_its_library_turtle_is_refused_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rdflib", None)
    with pytest.raises(RdfMissingError, match="SHR-RDF") as caught:
        turtle(made(tmp_path))
    assert "shutong[rdf]" in caught.value.fix_en


def test_the_export_is_had_in_every_format(town):
    assert town.ask("/v1/directory:export?format=jsonld").json()["@graph"]
    assert town.ask("/v1/directory:export?format=xlsx").content[:2] == b"PK"
    assert town.ask("/v1/directory:export?format=pdf").status_code == 422


def action(town, name: str, said: dict | None = None, who: str | None = "tax"):
    return town.ask(f"/api/3/action/{name}", who, "POST", json=said or {})


def test_ckan_lists_shows_and_searches(town):
    names = action(town, "package_list").json()["result"]
    assert names == ["police-people", "market-firms", "market-shops"]
    assert action(town, "package_list", {"limit": 1, "offset": 1}).json()["result"] == ["market-firms"]
    shown = action(town, "package_show", {"id": "market-firms"}).json()["result"]
    assert shown["organization"]["title"] == "省市场监督管理局"
    assert {"key": "resource_code", "value": "102000/000001"} in shown["extras"]
    found = town.ask("/api/action/package_search?q=𠮷林&fq=organization:market&rows=5").json()["result"]
    assert (found["count"], found["results"][0]["name"]) == (1, "market-shops")
    assert action(town, "package_search", {"q": "*:*", "rows": 0}).json()["result"]["count"] == 3
    assert action(town, "organization_list").json()["result"] == ["market"]
    (organization,) = action(town, "organization_list", {"all_fields": True}).json()["result"]
    assert organization["package_count"] == 2
    assert action(town, "status_show").json()["result"]["ckan_version"]
    assert "ckan-package_list" in {call.operation for call in town.calls()}


@pytest.mark.parametrize(
    ("name", "said", "status", "kind"),
    [
        ("package_show", {"id": "nothing"}, 404, "Not Found Error"),
        ("package_show", {}, 409, "Validation Error"),
        ("package_show", {"id": 5}, 409, "Validation Error"),
        ("package_create", {"name": "x"}, 404, "Not Found Error"),
        ("package_search", {"rows": -1}, 409, "Validation Error"),
        ("package_search", {"fq": "owner:x"}, 409, "Validation Error"),
        ("package_list", {"limit": "²"}, 409, "Validation Error"),
    ],
)
def test_ckan_is_told_its_own_kinds_of_errors(town, name, said, status, kind):
    answer = action(town, name, said)
    assert answer.status_code == status
    assert answer.json()["success"] is False
    assert answer.json()["error"]["__type"] == kind


def test_ckan_needs_a_key_and_a_body_that_is_one(town):
    assert action(town, "package_list", who=None).status_code == 401
    assert town.ask("/api/3/action/package_list", "tax", "POST", content=b"[1]").status_code == 409
    assert town.ask("/api/3/action/package_list", "tax", "POST", content=b" " * 70_000).status_code == 413


def test_ckans_own_client_reads_it(town):
    client = pytest.importorskip("ckanapi", reason="ckanapi is not installed", exc_type=ImportError)

    class Session:
        """The client's session, whose calls reach the app without a port."""

        def post(self, url, data, headers, **_):
            class Got:
                answer = town.ask(url.removeprefix("http://town"), None, "POST", content=data, headers=headers)
                status_code, text = answer.status_code, answer.text

            return Got

        def close(self):
            """Nothing is open."""

    with client.RemoteCKAN("http://town", apikey=f"Bearer {town.keys['tax']}", session=Session()) as site:
        assert "market-firms" in site.action.package_list()
        assert site.action.package_show(id="market-shops")["title"] == "𠮷林个体户"
        assert site.action.package_search(q="户籍")["results"][0]["name"] == "police-people"
        with pytest.raises(client.NotFound):
            site.action.package_show(id="nothing")
        with pytest.raises(client.ValidationError):
            site.action.package_show()
