"""An ordinary receiver of ZKTeco push terminals, of the kind people write with FastAPI and SQL.

It stands in for such programs in `benches side-by-side` and is none of them. It is written to do
well: one statement and one commit for an upload, a connection kept by each worker thread, a
unique key against repetition. It checks no identity, keeps nothing that it cannot read, and knows
neither enrolment nor time zones. Needs python3-fastapi, python3-uvicorn and python3-pymysql.

Usage: receiver.py PORT, with DB_HOST, DB_PORT, DB_USER and DB_NAME in the environment.
"""

import os
import sys
import threading

import pymysql
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.concurrency import run_in_threadpool

app = FastAPI()
local = threading.local()

INSERT = (
    "INSERT INTO attlog (serial, pin, punched_at, status, verify) VALUES (%s, %s, %s, %s, %s) "
    "ON DUPLICATE KEY UPDATE id = id"
)


def connect():
    """A connection to the database, its own commit for each upload."""
    return pymysql.connect(
        host=os.environ["DB_HOST"],
        port=int(os.environ["DB_PORT"]),
        user=os.environ["DB_USER"],
        database=os.environ["DB_NAME"],
    )


def create_table():
    """The table of the punches, once."""
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS attlog ("
            "id BIGINT AUTO_INCREMENT PRIMARY KEY, serial VARCHAR(32) NOT NULL, "
            "pin VARCHAR(24) NOT NULL, punched_at DATETIME NOT NULL, status INT, verify INT, "
            "UNIQUE KEY once (serial, pin, punched_at, status))"
        )
        connection.commit()


def store(rows):
    """Writes the rows of one upload and returns after the commit."""
    if not hasattr(local, "connection"):
        local.connection = connect()
    with local.connection.cursor() as cursor:
        cursor.executemany(INSERT, rows)
    local.connection.commit()


@app.get("/iclock/cdata")
async def handshake(SN: str):
    """The options of a terminal."""
    block = (
        f"GET OPTION FROM: {SN}\nATTLOGStamp=None\nErrorDelay=30\nDelay=10\n"
        "TransTimes=00:00;14:05\nTransInterval=1\nTransFlag=TransData AttLog\nRealtime=1\n"
    )
    return Response(block, media_type="text/plain")


@app.post("/iclock/cdata")
async def upload(request: Request, SN: str, table: str = ""):
    """An upload of punches; everything else is only acknowledged."""
    body = (await request.body()).decode("utf-8", "replace")
    lines = [line.split("\t") for line in body.splitlines() if line]
    if table == "ATTLOG":
        rows = [(SN, l[0], l[1], int(l[2]), int(l[3])) for l in lines if len(l) > 3]
        await run_in_threadpool(store, rows)
    return Response(f"OK: {len(lines)}", media_type="text/plain")


@app.get("/iclock/getrequest")
async def poll(SN: str):
    """There are no commands here."""
    return Response("OK", media_type="text/plain")


if __name__ == "__main__":
    create_table()
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
