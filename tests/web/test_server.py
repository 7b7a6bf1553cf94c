"""The server in process: what it does to connections."""

import http.client

from tests.conftest import Served


def test_a_connection_is_kept_behind_an_answer_without_a_body(served: Served) -> None:
    """A calendar app that synchronises asks hundreds of times: a 304 must not cost it its connection."""
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"))
    connection.request("GET", "/static/clinicdav.css")
    first = connection.getresponse()
    first.read()
    for _ in range(2):
        connection.request("GET", "/static/clinicdav.css", headers={"If-None-Match": first.headers["ETag"]})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 304
        assert answer.headers.get("Connection") is None
    connection.request("GET", "/healthz", headers={"Connection": "close"})
    assert connection.getresponse().headers["Connection"] == "close"
    connection.close()
