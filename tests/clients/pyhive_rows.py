"""Run statements with PyHive on one cursor and print, a line of JSON each, what came of them.

    pyhive_rows.py HOST PORT NOSASL|NONE|LDAP USER PASSWORD STATEMENT...
"""

import sys

from pyhive import hive

from outcome import attempt


def main():
    host, port, login, user, password, *statements = sys.argv[1:]
    # It takes a password for LDAP only.
    named = {"password": password} if login == "LDAP" else {}
    connection = hive.connect(host=host, port=int(port), username=user, auth=login, **named)
    cursor = connection.cursor()
    for statement in statements:
        attempt(cursor, statement)
    cursor.close()
    connection.close()


main()
