"""CloudFormation with one stack, "batchdrop". moto's own needs a package that this project does not."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs

from batchdrop import __version__

_NO_STACK = """<ErrorResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><Error><Type>Sender</Type>
<Code>ValidationError</Code><Message>Stack with id other does not exist</Message></Error></ErrorResponse>"""


Resources = Mapping[str, tuple[str, str]]
"""The type and the physical id of each part of a stack, by its logical id."""


@contextmanager
def a_stack(
    *,
    bucket: str,
    table: str,
    resources: Resources | None = None,
    status: str = "CREATE_COMPLETE",
    version: str = __version__,
) -> Iterator[str]:
    """The address of a server that describes it with these outputs, and lists its resources."""
    outputs = {"Bucket": bucket, "Table": table, "Deployment": "test", "Version": version}
    answers = {"DescribeStacks": _described(outputs, status), "ListStackResources": _listed(resources or {})}

    class Stacks(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            found = asked["StackName"] == ["batchdrop"]
            body = (answers[asked["Action"][0]] if found else _NO_STACK).encode()
            self.send_response(200 if found else 400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing: tests are quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stacks)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def _described(outputs: dict[str, str], status: str) -> str:
    members = "".join(
        f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        for key, value in outputs.items()
    )
    return f"""<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/"><DescribeStacksResult>
<Stacks><member><StackName>batchdrop</StackName><StackStatus>{status}</StackStatus>
<CreationTime>2026-11-01T00:00:00Z</CreationTime><Outputs>{members}</Outputs></member></Stacks>
</DescribeStacksResult></DescribeStacksResponse>"""


def _listed(resources: Resources) -> str:
    members = "".join(
        f"<member><LogicalResourceId>{logical}</LogicalResourceId><PhysicalResourceId>{physical}</PhysicalResourceId>"
        f"<ResourceType>{kind}</ResourceType><ResourceStatus>CREATE_COMPLETE</ResourceStatus>"
        "<LastUpdatedTimestamp>2026-11-01T00:00:00Z</LastUpdatedTimestamp></member>"
        for logical, (kind, physical) in resources.items()
    )
    return f"""<ListStackResourcesResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
<ListStackResourcesResult><StackResourceSummaries>{members}</StackResourceSummaries></ListStackResourcesResult>
</ListStackResourcesResponse>"""
