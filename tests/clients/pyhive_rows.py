"""Run statements with PyHive on one cursor and print, a line of JSON each, what came of them.

    pyhive_rows.py HOST PORT nosasl|plain STATEMENT...
"""

import sys

from pyhive import hive

from outcome import attempt


def main():
    host, port, login, *statements = sys.argv[1:]
    auth = {"nosasl": "NOSASL", "plain": "NONE"}[login]
    connection = hive.connect(host=host, port=int(port), username="u1", auth=auth)
    cursor = connection.cursor()
    for statement in statements:
        attempt(cursor, statement)
    cursor.close()
    connection.close()


main()
