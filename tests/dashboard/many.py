"""Many clients with a certificate each, in the database of a server that does not run.

    many.py DATABASE TEMPLATE COUNT EXPIRING

They are copies of the certificate of TEMPLATE, a client, with names and serials of their own, good for 30 to 90 days more.
That of EXPIRING ends in two days, and should have been renewed.
"""

import os
import sqlite3
import sys
import time

DAY = 86_400_000


def copies(connection, table, where, number):
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}", (number,))
    columns = [column[0] for column in cursor.description]
    return dict(zip(columns, cursor.fetchone()))


def insert(connection, table, rows):
    columns = list(rows[0])
    marks = ", ".join("?" * len(columns))
    text = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"
    connection.executemany(text, ([row[column] for column in columns] for row in rows))


def main():
    database, template, count, expiring = sys.argv[1:]
    now = int(time.time() * 1000)
    connection = sqlite3.connect(database)
    number = connection.execute("SELECT number FROM identity WHERE name = ?", (template,)).fetchone()[0]
    identity = copies(connection, "identity", "number = ?", number)
    certificate = copies(connection, "certificate", "holder = ?", number)
    first_identity = connection.execute("SELECT max(number) FROM identity").fetchone()[0] + 1
    first_certificate = connection.execute("SELECT max(id) FROM certificate").fetchone()[0] + 1
    identities, certificates, names = [], [], []
    for at in range(int(count)):
        name = expiring if at == 0 else f"job-{at:06}"
        ends = now + (2 * DAY if at == 0 else 30 * DAY + at % (60 * 24) * DAY // 24)
        own = {"number": first_identity + at, "id": os.urandom(16), "name": name, "role": None}
        identities.append(identity | own)
        serial = bytes([0x40 | os.urandom(1)[0] & 0x3F]) + os.urandom(15)
        certificates.append(certificate | {
            "id": first_certificate + at, "serial": serial, "identity": own["id"], "holder": own["number"], "name": name,
            "sans": "[]", "token": None, "spki_sha256": os.urandom(32), "not_before": ends - 90 * DAY, "issued_at": now,
            "not_after": ends, "renew_after": ends - 25 * DAY,
        })
        names.append({"name": name, "certificate": first_certificate + at})
    insert(connection, "identity", identities)
    insert(connection, "certificate", certificates)
    insert(connection, "certificate_name", names)
    connection.commit()
    print(f"{count} certificates of clients")


main()
