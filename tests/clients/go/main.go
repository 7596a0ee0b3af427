// Runs statements with gohive and prints, a line of JSON each, what came of them.
//
//	hs2go rows   HOST PORT LOGIN one|each STATEMENT...
//	hs2go cancel HOST PORT LOGIN MILLISECONDS LONG_STATEMENT SHORT_STATEMENT
//	hs2go total  HOST PORT LOGIN STATEMENT...
//	hs2go again  HOST PORT LOGIN STATEMENT
//
// LOGIN is nosasl, plain (user u1, password p1) or http (the same over HTTP).
//
// With HS2GO_CA in the environment it uses TLS, and trusts the authority in that file; with an empty one, any server.
//
// rows: `one` runs all statements on one connection; `each` gives every statement a connection of its own (gohive has
// one session for each), all open before the first statement is run.
//
// cancel: the long statement's context ends after so many milliseconds; the short statement follows on the same
// connection.
//
// total: how many rows came and a checksum over all values instead of the rows.
//
// again: runs the statement whenever a line comes on the standard input, on the same connection; after an error on a
// new one, too, as a pool would.
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/beltran/gohive"
)

func main() {
	arguments := os.Args[1:]
	if len(arguments) < 5 {
		fail(fmt.Errorf("too few arguments: %q", arguments))
	}
	what, statements := arguments[0], arguments[4:]
	server, err := parseServer(arguments[1:4])
	if err != nil {
		fail(err)
	}
	switch {
	case what == "rows" && len(statements) > 1:
		rows(server, statements[0] == "each", statements[1:])
	case what == "cancel" && len(statements) == 3:
		cancel(server, statements)
	case what == "total":
		total(server, statements)
	case what == "again":
		again(server, statements[0])
	default:
		fail(fmt.Errorf("not understood: %q", arguments))
	}
}

// Where to connect to, and how.
type server struct {
	host  string
	port  int
	login string
	tls   *tls.Config // nil: in the clear
}

func parseServer(words []string) (server, error) {
	port, err := strconv.Atoi(words[1])
	if err != nil {
		return server{}, err
	}
	config, err := tlsFor(words[0])
	return server{host: words[0], port: port, login: words[2], tls: config}, err
}

// The TLS that the environment asks for, if it does.
func tlsFor(host string) (*tls.Config, error) {
	file, asked := os.LookupEnv("HS2GO_CA")
	if !asked {
		return nil, nil
	}
	if file == "" {
		return &tls.Config{InsecureSkipVerify: true}, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("no certificate in %s", file)
	}
	return &tls.Config{RootCAs: roots, ServerName: host}, nil
}

func (s server) connect() (*gohive.Connection, error) {
	configuration := gohive.NewConnectConfiguration()
	configuration.Username = "u1"
	configuration.Password = "p1"
	configuration.SocketTimeout = time.Minute
	configuration.ConnectTimeout = time.Minute
	configuration.HttpTimeout = time.Minute
	configuration.TLSConfig = s.tls
	auth := "NONE"
	switch s.login {
	case "nosasl":
		auth = "NOSASL"
	case "http":
		configuration.TransportMode = "http"
	}
	return gohive.Connect(s.host, s.port, auth, configuration)
}

// Connects, or ends the program with the error.
func (s server) mustConnect() *gohive.Connection {
	connection, err := s.connect()
	if err != nil {
		fail(err)
	}
	return connection
}

func rows(server server, each bool, statements []string) {
	count := 1
	if each {
		count = len(statements)
	}
	connections := make([]*gohive.Connection, count)
	for place := range connections {
		connections[place] = server.mustConnect()
	}
	for number, statement := range statements {
		show(run(context.Background(), connections[number%count], statement))
	}
	for _, connection := range connections {
		closeOrFail(connection)
	}
}

func cancel(server server, words []string) {
	milliseconds, err := strconv.Atoi(words[0])
	if err != nil {
		fail(err)
	}
	patience := time.Duration(milliseconds) * time.Millisecond
	connection := server.mustConnect()
	ctx, end := context.WithTimeout(context.Background(), patience)
	defer end()
	begun := time.Now()
	long := run(ctx, connection, words[1])
	lasted := time.Since(begun) - patience
	short := run(context.Background(), connection, words[2])
	closeOrFail(connection)
	show(map[string]any{"lasted": lasted.Seconds(), "long": long, "short": short})
}

func total(server server, statements []string) {
	connection := server.mustConnect()
	for _, statement := range statements {
		show(sum(connection, statement))
	}
	closeOrFail(connection)
}

func again(server server, statement string) {
	connection := server.mustConnect()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		outcome := run(context.Background(), connection, statement)
		show(outcome)
		if outcome.Error == "" {
			continue
		}
		// What the server has of the old one is gone with it.
		_ = connection.Close()
		connection = server.mustConnect()
		show(run(context.Background(), connection, statement))
	}
	closeOrFail(connection)
}

func closeOrFail(connection *gohive.Connection) {
	if err := connection.Close(); err != nil {
		fail(err)
	}
}

// Prints a line of JSON.
func show(value any) {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, firstLine(err.Error()))
	os.Exit(1)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
