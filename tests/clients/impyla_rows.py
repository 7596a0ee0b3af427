"""Run statements with impyla and print, a line of JSON each, what came of them.

    impyla_rows.py HOST PORT NOSASL|NONE|LDAP USER PASSWORD one|each STATEMENT...

`one` runs all statements on one cursor, one after the other. `each` gives every statement a cursor of its own on the
same connection (impyla opens a session for each), all open before the first statement is run.
"""

import sys

from impala.dbapi import connect

from outcome import attempt


def main():
    host, port, login, user, password, cursors, *statements = sys.argv[1:]
    mechanism = {"NOSASL": "NOSASL", "NONE": "PLAIN", "LDAP": "LDAP"}[login]
    named = {} if login == "NOSASL" else {"user": user, "password": password}
    connection = connect(host=host, port=int(port), timeout=60, auth_mechanism=mechanism, **named)
    count = len(statements) if cursors == "each" else 1
    opened = [connection.cursor() for _ in range(count)]
    for number, statement in enumerate(statements):
        attempt(opened[number % count], statement)
    for cursor in opened:
        cursor.close()
    connection.close()


main()
