"""SOAP services of both versions, asked by a WSDL on disk: exact text, faults told apart, nothing fetched."""

import base64
import hashlib
import shutil
from pathlib import Path

import pytest
from loopback_service import SECRETS, Vault, serving
from lxml import etree

from connectors import SourceChanged, SourceError, SourceRefused, SourceUnavailable, open_source
from schemas.values import RAW_COLUMNS

WSDL = Path(__file__).parent / "wsdl" / "firms.wsdl"
T = "{http://tax.example/firms}"
SPACES = {"Soap11": "http://schemas.xmlsoap.org/soap/envelope/", "Soap12": "http://www.w3.org/2003/05/soap-envelope"}
WSSE = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd}"
WSU = "{http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd}"


@pytest.fixture(scope="module")
def server():
    with serving() as one:
        yield one


@pytest.fixture
def service(server):
    server.clear()
    return server


def source(service, auth=None, wsdl=WSDL, **options):
    wanted = {
        "wsdl": str(wsdl),
        "operation": "ListFirms",
        "records": "firms.firm",
        "retries": {"attempts": 2, "wait": 0.01, "max_wait": 1},
        **options,
    }
    return open_source("soap", wanted, {"url": f"{service.url}/firms", "auth": auth}, Vault())


def envelope(inside, port="Soap11", encoding="UTF-8", declared=None):
    text = (
        f'<?xml version="1.0" encoding="{declared or encoding}"?>\n<s:Envelope xmlns:s="{SPACES[port]}"'
        f' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><s:Header/><s:Body>{inside}</s:Body></s:Envelope>'
    )
    return text.encode(encoding)


def answer(firms, total="", **how):
    said = f"<total>{total}</total>" if total != "" else ""
    return envelope(
        f'<r:ListFirmsResponse xmlns:r="http://tax.example/firms">{said}<r:firms>{firms}</r:firms></r:ListFirmsResponse>',
        **how,
    )


def firm(code="91330100MA2A0001X", more=""):
    return f"<r:firm><r:code>{code}</r:code>{more}</r:firm>"


def sent(service, at=-1):
    return etree.fromstring(service.bodies[at])


def received(src):
    rows = [row for split in src.plan(None) for batch in src.read(split) for row in batch.rows.to_pylist()]
    return [{name: value for name, value in row.items() if name not in RAW_COLUMNS} for row in rows]


XML = {"Content-Type": "text/xml; charset=utf-8"}


@pytest.mark.parametrize("port", ["Soap11", "Soap12"])
def test_both_versions_are_asked_as_the_wsdl_says_and_values_are_exact_text(service, port):
    values = (
        "<r:number>0330127199001011234</r:number><r:capital>1.10</r:capital>"
        "<r:changed>2024-02-30T24:00:00+08:00</r:changed>"
    )
    service.answer = lambda *_: (
        200,
        XML,
        answer(firm("𠮷野家\u3000", values) + firm("2", '<r:capital xsi:nil="true"/><r:number/>'), port=port),
    )
    src = source(service, port=port, params={"query.district": "330106", "query.since": "2024-01-01", "pageSize": 2})
    assert received(src) == [
        {
            "code": "𠮷野家\u3000",
            "number": "0330127199001011234",
            "capital": "1.10",
            "changed": "2024-02-30T24:00:00+08:00",
        },
        {"code": "2", "number": "", "capital": None, "changed": None},
    ]
    assert sent(service).tag == f"{{{SPACES[port]}}}Envelope"
    assert sent(service).findtext(f".//{T}query/{T}district") == "330106"
    assert sent(service).findtext(f".//{T}pageSize") == "2"
    kind = service.headers[-1]["Content-Type"]
    assert kind.startswith({"Soap11": "text/xml", "Soap12": "application/soap+xml"}[port])
    assert "urn:ListFirms" in (service.headers[-1].get("SOAPAction", "") + kind)
    assert [line.ok for line in src.check()] == [True]
    assert src.discover()[0].name == "ListFirms"


def test_pages_are_asked_for_by_parameters_until_the_total_is_there(service):
    codes = [str(n) for n in range(5)]

    def paged(_path, _query, _headers, body):
        page = int(etree.fromstring(body).findtext(f".//{T}pageNo"))
        return 200, XML, answer("".join(firm(one) for one in codes[(page - 1) * 2 : page * 2]), total=5)

    service.answer = paged
    page = {"style": "page", "page_param": "pageNo", "size_param": "pageSize", "size": 2, "total": "total"}
    assert [row["code"] for row in received(source(service, page=page))] == codes
    assert len(service.asked) == 3


@pytest.mark.parametrize("firms", ["", None])
def test_an_answer_without_records_has_none(service, firms):
    empty = envelope('<r:ListFirmsResponse xmlns:r="http://tax.example/firms"><r:firms/></r:ListFirmsResponse>')
    service.answer = lambda *_: (200, XML, answer(firms) if firms is not None else empty)
    assert received(source(service)) == []


def test_an_answer_without_what_holds_the_records_is_a_change(service):
    service.answer = lambda *_: (200, XML, envelope("<x><companies/></x>"))
    with pytest.raises(SourceChanged, match=r"SRC-CHANGED.*firms.*companies"):
        received(source(service))


@pytest.mark.parametrize(
    ("encoding", "declared", "header"),
    [("gb18030", "GBK", "text/xml; charset=GBK"), ("gb18030", "GB2312", "text/xml"), ("utf-8-sig", "UTF-8", "text/xml"),
     ("utf-16", "UTF-16", "text/xml")],
)  # fmt: skip
def test_answers_in_every_encoding_keep_rare_characters(service, encoding, declared, header):
    service.answer = lambda *_: (
        200,
        {"Content-Type": header},
        answer(firm("王镕𠮷㐂"), encoding=encoding, declared=declared),
    )
    assert received(source(service)) == [{"code": "王镕𠮷㐂"}]


@pytest.mark.parametrize("kind", ["xml", "json"])
def test_an_answer_that_is_a_text_inside_an_element_is_opened(service, kind):
    inside = {"xml": '<?xml version="1.0" encoding="GBK"?><r><row><id>01</id></row><row><id>2</id></row></r>',
              "json": '{"row": [{"id": "01"}, {"id": 2}]}'}[kind]  # fmt: skip
    text = (
        f"<r:ListFirmsResponse xmlns:r='http://tax.example/firms'><out><![CDATA[{inside}]]></out></r:ListFirmsResponse>"
    )
    service.answer = lambda *_: (200, XML, envelope(text))
    assert [row["id"] for row in received(source(service, records="row", inner={"at": "out", "as": kind}))] == [
        "01",
        "2",
    ]
    with pytest.raises(SourceChanged, match="it has: out"):
        received(source(service, records="row", inner={"at": "result", "as": kind}))


FAULT_11 = "<s:Fault><faultcode>s:{code}</faultcode><faultstring>{reason}</faultstring></s:Fault>"
FAULT_12 = "<s:Fault><s:Code><s:Value>s:{code}</s:Value></s:Code><s:Reason><s:Text xml:lang='zh'>{reason}</s:Text></s:Reason></s:Fault>"


@pytest.mark.parametrize(
    ("fault", "code", "error", "calls"),
    [
        (FAULT_11, "Client", SourceError, 1),
        (FAULT_12, "Sender", SourceError, 1),
        (FAULT_11, "Server", SourceUnavailable, 2),
        (FAULT_12, "Receiver", SourceUnavailable, 2),
        (FAULT_11, "FailedAuthentication", SourceRefused, 1),
    ],
)
def test_a_fault_says_who_is_to_blame_and_only_the_services_own_is_tried_again(service, fault, code, error, calls):
    said = fault.format(code=code, reason=f"区划不存在 {SECRETS['token']}")
    port = "Soap11" if fault is FAULT_11 else "Soap12"
    for status in (200, 500):
        service.clear()
        service.answer = lambda *_, status=status: (status, XML, envelope(said, port=port))
        with pytest.raises(error, match="区划不存在") as caught:
            received(source(service, {"bearer": "token"}, port=port))
        assert type(caught.value) is error
        assert SECRETS["token"] not in str(caught.value)
        assert len(service.asked) == calls


def test_a_username_token_is_made_anew_for_each_attempt(service):
    left = [(503, {}, b"")]
    service.answer = lambda *_: left.pop() if left else (200, XML, answer(firm()))
    security = {"username": "交换", "password_secret": "password", "digest": True}
    assert len(received(source(service, security=security))) == 1
    nonces = []
    for at in (-1, -2):
        token = sent(service, at).find(f".//{WSSE}UsernameToken")
        assert token.findtext(f"{WSSE}Username") == "交换"
        nonce, created = token.findtext(f"{WSSE}Nonce"), token.findtext(f"{WSU}Created")
        content = base64.b64decode(nonce) + created.encode() + SECRETS["password"].encode()
        assert token.findtext(f"{WSSE}Password") == base64.b64encode(hashlib.sha1(content).digest()).decode()
        nonces.append(nonce)
    assert len(set(nonces)) == 2


def test_a_password_as_text_and_basic_login_work_too(service):
    service.answer = lambda *_: (200, XML, answer(firm()))
    received(source(service, security={"username": "u", "password_secret": "password"}))
    assert sent(service).findtext(f".//{WSSE}Password") == SECRETS["password"]
    received(source(service, {"basic": {"username": "u", "password_secret": "password"}}))
    assert service.headers[-1]["Authorization"].startswith("Basic ")
    assert sent(service).find(f".//{WSSE}Security") is None


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"<html><body>maintenance</body></html>", SourceError, "SRC-SOAP-XML.*no SOAP body"),
        (b"not xml at all", SourceError, "SRC-SOAP-XML"),
        (answer(firm())[:-40], SourceUnavailable, "SRC-REST-UNAVAILABLE.*too early"),
        (b"", SourceUnavailable, "SRC-REST-UNAVAILABLE.*too early"),
        (b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', SourceError, "SRC-SOAP-XML.*DOCTYPE"),
    ],
)
def test_what_is_no_whole_soap_answer_is_not_taken(service, content, error, said):
    service.answer = lambda *_: (200, XML, content)
    with pytest.raises(error, match=said):
        received(source(service))


def test_a_missing_import_is_named_with_the_place_for_its_copy_and_nothing_is_fetched(service, tmp_path):
    wsdl = shutil.copy(WSDL, tmp_path)
    with pytest.raises(
        SourceError, match=r"SRC-SOAP-IMPORT.*http://tax\.example/services/firms\.asmx\?xsd=1"
    ) as caught:
        source(service, wsdl=wsdl)
    assert str(tmp_path / "firms.asmx_xsd_1") in str(caught.value)
    shutil.copy(WSDL.with_name("firms.asmx_xsd_1"), tmp_path / "xsd_1.xsd")
    service.answer = lambda *_: (200, XML, answer(firm()))
    assert len(received(source(service, wsdl=wsdl))) == 1


def test_an_import_outside_the_folder_of_the_wsdl_is_not_read(service, tmp_path):
    text = WSDL.read_text().replace("http://tax.example/services/firms.asmx?xsd=1", "../../../../etc/passwd")
    (tmp_path / "evil.wsdl").write_text(text)
    with pytest.raises(SourceError, match=r"SRC-SOAP-IMPORT.*etc/passwd"):
        source(service, wsdl=tmp_path / "evil.wsdl")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"wsdl": "/nowhere.wsdl"}, r"SRC-OPTION.*source\.wsdl.*/nowhere\.wsdl"),
        ({"operation": "ListFirm"}, r"SRC-CHANGED.*ListFirm; it has: ListFirms.*Nearest: ListFirms"),
        ({"port": "Soap13"}, r"SRC-CHANGED"),
        ({"parameters": {}}, r"SRC-OPTION.*parameters.*did you mean params"),
    ],
)
def test_a_wrong_option_is_named_with_what_there_is(service, options, said):
    with pytest.raises(SourceError, match=said):
        source(service, **options)


def test_a_parameter_the_operation_does_not_have_is_named(service):
    with pytest.raises(SourceError, match=r"SRC-OPTION.*source\.params.*page.*pageNo"):
        received(source(service, params={"page": 1}))


def test_a_file_that_is_no_wsdl_is_told(service, tmp_path):
    (tmp_path / "x.wsdl").write_text("<html>not found")
    with pytest.raises(SourceError, match="SRC-SOAP-WSDL"):
        source(service, wsdl=tmp_path / "x.wsdl")


def test_without_zeep_the_command_to_install_it_is_told(service, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "zeep", None)
    with pytest.raises(SourceError, match=r"SRC-DRIVER.*pip install 'shutong\[soap\]'"):
        source(service)
