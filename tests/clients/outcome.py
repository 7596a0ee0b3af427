"""What the DB-API scripts print about a statement, in a form that two runs can be compared by."""

import json


def attempt(cursor, statement):
    """Runs a statement; prints column names and rows, or the kind of error and the first line of its message."""
    try:
        cursor.execute(statement)
        columns = [column[0] for column in cursor.description or []]
        rows = [list(row) for row in cursor.fetchall()] if columns else []
        print(json.dumps({"columns": columns, "rows": rows}, default=str))
    except Exception as error:  # whatever the client makes of it is what is compared
        print(json.dumps({"error": type(error).__name__, "says": first_line(error)}))


def first_line(error):
    """The server's own message where the error carries a reply, else the error's text; Impala's first line only names
    the query that failed."""
    reply = error.args[0] if error.args else ""
    status = getattr(reply, "status", None)
    text = getattr(status, "errorMessage", None) or str(error)
    lines = text.strip().splitlines() or [""]
    return " ".join(lines[:2]) if lines[0].endswith("failed:") else lines[0]


