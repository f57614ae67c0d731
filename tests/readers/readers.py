"""Reads what the service exports with the tools that analysts use: pyarrow, pandas and duckdb.

Starts `quotagraph demo`, takes usage and snapshots in all three formats, and asserts that every reader sees the types that they are meant
to have, that the formats say the same cell for cell, and that GraphQL says it too. The program is the first argument; by default it is
the debug build.
"""

import datetime as dt
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "target/debug/quotagraph")
PATIENCE_S = 60

INSTANT = pa.timestamp("ms", tz="UTC")
MEASURES = [f"{of}_{what}" for of in ("allocated_gb", "total_gb", "utilization") for what in ("average", "min", "max", "first", "last")]
SNAPSHOTS = pa.schema(
    [
        pa.field("tenant", pa.string(), nullable=False),
        pa.field("space_type", pa.int32(), nullable=False),
        pa.field("first_observed_at", INSTANT, nullable=False),
        pa.field("last_observed_at", INSTANT, nullable=False),
        pa.field("interval_s", pa.int32(), nullable=False),
        pa.field("observations", pa.int64(), nullable=False),
        pa.field("allocated_gb", pa.int64(), nullable=False),
        pa.field("total_gb", pa.int64(), nullable=False),
    ]
)
USAGE = pa.schema(
    [
        pa.field("tenant", pa.string(), nullable=False),
        pa.field("space_type", pa.int32()),
        pa.field("start", INSTANT, nullable=False),
        pa.field("end", INSTANT, nullable=False),
        pa.field("complete", pa.bool_(), nullable=False),
        pa.field("coverage", pa.float64(), nullable=False),
        *(pa.field(name, pa.float64()) for name in MEASURES),
    ]
)

# Yesterday's midnight: the demo goes on collecting, and what is over does not change.
TO = dt.datetime.now(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0) - dt.timedelta(days=1)
FROM = TO - dt.timedelta(days=45)
# The demo has 30 days of history, so the first buckets are empty.
DAYS_OF_HISTORY = "30"


def start_demo():
    """The process and its address."""
    command = [PROGRAM, "demo", "--tenants", "12", "--days", DAYS_OF_HISTORY, "--listen", "127.0.0.1:0"]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watchdog = threading.Timer(PATIENCE_S, demo.kill)
    watchdog.start()
    for line in demo.stdout:
        if found := re.search(r"http://127\.0\.0\.1:\d+(?=/graphql\b)", line):
            watchdog.cancel()
            threading.Thread(target=demo.stdout.read, daemon=True).start()
            return demo, found[0]
    raise SystemExit("the demo ended, or said no address in time")


def export(base, kind, **query):
    query = urllib.parse.urlencode({"from": FROM.isoformat(), "to": TO.isoformat(), **query})
    with urllib.request.urlopen(f"{base}/v1/export/{kind}?{query}", timeout=PATIENCE_S) as answer:
        return answer.read()


def ask(base, document):
    request = urllib.request.Request(
        f"{base}/graphql", json.dumps({"query": document}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        answer = json.load(answer)
    assert "errors" not in answer, answer
    return answer["data"]


def check_pyarrow(parquet, schema):
    """The types and the nullability of the columns, to the letter."""
    table = pq.read_table(io.BytesIO(parquet))
    assert table.schema.remove_metadata() == schema, f"pyarrow sees\n{table.schema}\ninstead of\n{schema}"
    table.validate(full=True)
    return table


def check_pandas(table, parquet, csv, ndjson, schema):
    """Parquet, CSV and NDJSON give the same frame; instants have a zone, and it is UTC."""
    instants = [field.name for field in schema if field.type == INSTANT]
    from_parquet = pd.read_parquet(io.BytesIO(parquet))
    for name in instants:
        assert str(from_parquet[name].dtype.tz) == "UTC", from_parquet.dtypes
    from_csv = pd.read_csv(io.BytesIO(csv), parse_dates=instants)
    for name in instants:
        assert str(from_csv[name].dtype.tz) == "UTC", from_csv.dtypes
    from_ndjson = pd.DataFrame([json.loads(line) for line in ndjson.splitlines()])
    for name in instants:
        from_ndjson[name] = pd.to_datetime(from_ndjson[name], format="ISO8601")
    assert len(from_parquet) == table.num_rows > 0
    for frame in (from_csv, from_ndjson):
        pd.testing.assert_frame_equal(from_parquet, frame, check_dtype=False, check_exact=True)


def check_duckdb(folder, kind, schema):
    """The types that duckdb finds, in Parquet and by its own sniffing in CSV, and no row that only one of them has."""
    names = {
        pa.string(): "VARCHAR",
        pa.int32(): "INTEGER",
        pa.int64(): "BIGINT",
        pa.float64(): "DOUBLE",
        pa.bool_(): "BOOLEAN",
        INSTANT: "TIMESTAMP WITH TIME ZONE",
    }
    parquet, csv = (str(folder / f"{kind}.{ending}") for ending in ("parquet", "csv"))
    found = duckdb.sql(f"describe select * from read_parquet('{parquet}')").fetchall()
    assert [(row[0], row[1]) for row in found] == [(field.name, names[field.type]) for field in schema], found
    types = {row[0]: row[1] for row in duckdb.sql(f"describe select * from read_csv('{csv}')").fetchall()}
    for field in schema:
        # An empty column shows no type, and whole numbers are wide until told otherwise.
        if field.name != "space_type" and field.type != pa.int32():
            assert types[field.name] == names[field.type], types
    columns = ", ".join(f'"{field.name}"::{names[field.type]}' for field in schema)
    for one, other in ((f"read_parquet('{parquet}')", f"read_csv('{csv}')"), (f"read_csv('{csv}')", f"read_parquet('{parquet}')")):
        left = duckdb.sql(f"select {columns} from {one} except all select {columns} from {other}").fetchall()
        assert left == [], f"only in {one}: {left[:3]}"


def rfc3339(at):
    text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return text.replace(".000Z", "Z")


def check_usage(base, table):
    """What GraphQL says of each tenant's days."""
    measures = "{ average min max first last }"
    points = f"points {{ start end complete coverage allocated {measures} total {measures} utilization {measures} }}"
    arguments = f'from: "{FROM.isoformat()}", to: "{TO.isoformat()}", interval: "P1D", timeZone: "Europe/Berlin"'
    nodes = ask(base, f"{{ tenants(first: 100) {{ nodes {{ id usageOverTime({arguments}) {{ {points} }} }} }} }}")["tenants"]["nodes"]
    expected = []
    for node in sorted(nodes, key=lambda node: node["id"]):
        for point in node["usageOverTime"]["points"]:
            row = [node["id"], None, point["start"], point["end"], point["complete"], point["coverage"]]
            for measure in ("allocated", "total", "utilization"):
                row += [(point[measure] or {}).get(what) for what in ("average", "min", "max", "first", "last")]
            expected.append(row)
    rows = [list(row.values()) for row in table.to_pylist()]
    for row in rows:
        row[2:4] = map(rfc3339, row[2:4])
    assert rows == expected, next(pair for pair in zip(rows, expected) if pair[0] != pair[1])
    empty = sum(row[6] is None for row in rows)
    assert 0 < empty < len(rows), "some days have values and some have none"


def check_snapshots(base, table):
    """What GraphQL says of each tenant's runs."""
    fields = "spaceType firstObservedAt lastObservedAt observations allocated total"
    arguments = f'from: "{FROM.isoformat()}", to: "{TO.isoformat()}", first: 1000'
    expected = []
    for tenant in sorted(set(table.column("tenant").to_pylist())):
        data = ask(base, f'{{ tenant(id: "{tenant}") {{ snapshots({arguments}) {{ nodes {{ {fields} }} }} }} }}')
        nodes = sorted(data["tenant"]["snapshots"]["nodes"], key=lambda node: node["spaceType"])
        expected += [[tenant, *node.values()] for node in nodes]
    rows = [list(row.values()) for row in table.to_pylist()]
    for row in rows:
        row[2:4] = map(rfc3339, row[2:4])
        del row[4]
    assert rows == expected, next(pair for pair in zip(rows, expected) if pair[0] != pair[1])


def main():
    demo, base = start_demo()
    try:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            for kind, schema, query, check in (
                ("usage", USAGE, {"interval": "P1D", "timeZone": "Europe/Berlin"}, check_usage),
                ("snapshots", SNAPSHOTS, {}, check_snapshots),
            ):
                files = {format: export(base, kind, format=format, **query) for format in ("parquet", "csv", "ndjson")}
                for ending, content in files.items():
                    (folder / f"{kind}.{ending}").write_bytes(content)
                table = check_pyarrow(files["parquet"], schema)
                check_pandas(table, files["parquet"], files["csv"], files["ndjson"], schema)
                check_duckdb(folder, kind, schema)
                check(base, table)
                print(f"{kind}: {table.num_rows} rows are the same in Parquet, CSV, NDJSON and GraphQL")
    finally:
        demo.terminate()
        demo.wait(PATIENCE_S)


main()
