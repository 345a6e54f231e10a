"""Reads one terminal with pyzk, a client that nobody here wrote, and says what it saw as JSON.

Arguments: host, port, key, tcp or udp. Used by the promise that a simulated terminal is one that
other people's programs can read; it must never be more than a caller of that program.
"""

import json
import sys

from zk import ZK

host, port, key, transport = sys.argv[1:5]
terminal = ZK(
    host,
    port=int(port),
    timeout=10,
    password=int(key),
    force_udp=transport == "udp",
    ommit_ping=True,
)
connection = terminal.connect()
try:
    seen = {
        "serial": connection.get_serialnumber(),
        "users": len(connection.get_users()),
        "punches": [
            [record.user_id, record.timestamp.strftime("%Y-%m-%d %H:%M:%S")]
            for record in connection.get_attendance()
        ],
    }
finally:
    connection.disconnect()
json.dump(seen, sys.stdout)
