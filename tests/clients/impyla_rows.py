"""Run statements with impyla and print, a line of JSON each, what came of them.

    impyla_rows.py HOST PORT binary|http clear|unverified|CA NOSASL|NONE|LDAP|KERBEROS USER PASSWORD one|each|apart STATEMENT...

CA is a file with the authority of the server's certificate. With KERBEROS, PASSWORD is the name of the service that a
ticket is asked for. `one` runs all statements on one cursor, one after the other. `each` gives every statement a cursor
of its own on the same connection (impyla opens a session for each), `apart` on a connection of its own; all are open
before the first statement is run.
"""

import sys

from impala.dbapi import connect

from outcome import attempt


def main():
    host, port, transport, tls, login, user, password, cursors, *statements = sys.argv[1:]
    mechanism = {"NOSASL": "NOSASL", "NONE": "PLAIN", "LDAP": "LDAP", "KERBEROS": "GSSAPI"}[login]
    if login == "KERBEROS":
        named = {"kerberos_service_name": password}
    else:
        named = {} if login == "NOSASL" else {"user": user, "password": password}
    if transport == "http":
        named |= {"use_http_transport": True, "http_path": "cliservice"}
    if tls != "clear":
        named["use_ssl"] = True
        if tls != "unverified":
            named |= {"ca_cert": tls, "verify_cert": True}
    count = 1 if cursors == "one" else len(statements)
    connections = [
        connect(host=host, port=int(port), timeout=60, auth_mechanism=mechanism, **named)
        for _ in range(count if cursors == "apart" else 1)
    ]
    opened = [connections[number % len(connections)].cursor() for number in range(count)]
    for number, statement in enumerate(statements):
        attempt(opened[number % count], statement)
    for cursor in opened:
        cursor.close()
    for connection in connections:
        connection.close()


main()
