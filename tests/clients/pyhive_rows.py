"""Run statements with PyHive on one cursor and print, a line of JSON each, what came of them.

    pyhive_rows.py HOST PORT binary|http clear|unverified|CA NOSASL|NONE|LDAP|KERBEROS USER PASSWORD STATEMENT...

CA is a file with the authority of the server's certificate. With KERBEROS, PASSWORD is the name of the service that a
ticket is asked for.
"""

import os
import ssl
import sys

import thrift_sasl
from pyhive import hive
from thrift.transport.TSSLSocket import TSSLSocket
from thrift.transport.TTransport import TBufferedTransport

from outcome import attempt


def over_tls(host, port, tls, login, user, password):
    """It has no option for TLS without HTTP, but takes a transport that the user makes."""
    context = ssl.create_default_context(cafile=None if tls == "unverified" else tls)
    if tls == "unverified":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    socket = TSSLSocket(host, int(port), ssl_context=context)
    if login == "NOSASL":
        return TBufferedTransport(socket)
    word = password if login == "LDAP" else "x"
    client = lambda: hive.get_installed_sasl(host=host, sasl_auth="PLAIN", username=user, password=word)
    return thrift_sasl.TSaslClientTransport(client, "PLAIN", socket)


def over_http(host, port, tls, login, user, password):
    """It reads the certificates of authorities from where OpenSSL does."""
    named = {"scheme": "http", "auth": "BASIC", "username": user, "password": password}
    if login == "KERBEROS":
        named = {"scheme": "http", "auth": login, "kerberos_service_name": password}
    if tls != "clear":
        named |= {"scheme": "https", "ssl_cert": "none" if tls == "unverified" else "required"}
        os.environ["SSL_CERT_FILE"] = tls
    return hive.connect(host=host, port=int(port), check_hostname="false" if tls == "unverified" else "true", **named)


def main():
    host, port, transport, tls, login, user, password, *statements = sys.argv[1:]
    if transport == "http":
        connection = over_http(host, port, tls, login, user, password)
    elif login == "KERBEROS":
        connection = hive.connect(host=host, port=int(port), auth=login, kerberos_service_name=password)
    elif tls == "clear":
        # It takes a password for LDAP only.
        named = {"LDAP": {"password": password}, "KERBEROS": {"kerberos_service_name": password}}.get(login, {})
        connection = hive.connect(host=host, port=int(port), username=user, auth=login, **named)
    else:
        transport = over_tls(host, port, tls, login, user, password)
        connection = hive.connect(username=user, thrift_transport=transport)
    cursor = connection.cursor()
    for statement in statements:
        attempt(cursor, statement)
    cursor.close()
    connection.close()


main()
