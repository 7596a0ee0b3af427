package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/beltran/gohive"
)

// What came of a statement: columns and rows, or an error.
type outcome struct {
	Columns []string `json:"columns"`
	Rows    [][]any  `json:"rows"`
	Error   string   `json:"error,omitempty"`
}

// What came of a large one.
type totals struct {
	Columns []string `json:"columns"`
	Rows    int      `json:"rows"`
	Bytes   int      `json:"bytes"`
	Sum     string   `json:"sum"`
	Error   string   `json:"error,omitempty"`
}

func run(ctx context.Context, connection *gohive.Connection, statement string) outcome {
	kept := [][]any{}
	columns, err := each(ctx, connection, statement, func(row []any) { kept = append(kept, row) })
	if err != nil {
		return outcome{Columns: []string{}, Rows: [][]any{}, Error: said(err)}
	}
	return outcome{Columns: columns, Rows: kept}
}

func sum(connection *gohive.Connection, statement string) totals {
	result, hash := totals{}, fnv.New64a()
	columns, err := each(context.Background(), connection, statement, func(row []any) {
		result.Rows++
		for _, value := range row {
			// An error is impossible: it is a hash that is written to.
			size, _ := fmt.Fprintf(hash, "%v\x00", value)
			result.Bytes += size - 1
		}
	})
	result.Columns, result.Sum = columns, fmt.Sprintf("%016x", hash.Sum64())
	if err != nil {
		result.Error = said(err)
	}
	return result
}

// Runs a statement and hands out its rows, with nil for NULL; returns the names of its columns.
func each(ctx context.Context, connection *gohive.Connection, statement string, take func([]any)) ([]string, error) {
	cursor := connection.Cursor()
	columns, err := read(ctx, cursor, statement, take)
	cursor.Close()
	return columns, errors.Join(err, cursor.Err)
}

func read(ctx context.Context, cursor *gohive.Cursor, statement string, take func([]any)) ([]string, error) {
	columns := []string{}
	cursor.Exec(ctx, statement)
	if cursor.Err != nil || !hasRows(statement) {
		return columns, cursor.Err
	}
	for _, column := range cursor.Description() {
		columns = append(columns, column[0])
	}
	for cursor.Err == nil && cursor.HasMore(ctx) && cursor.Err == nil {
		row := cursor.RowMap(ctx)
		values := make([]any, len(columns))
		for place, name := range columns {
			values[place] = row[name]
		}
		if cursor.Err == nil {
			take(values)
		}
	}
	return columns, cursor.Err
}

// gohive does not say whether a statement has a result, and to ask for one that is not there is an error.
func hasRows(statement string) bool {
	word, _, _ := strings.Cut(strings.ToLower(statement), " ")
	return word == "select" || word == "show"
}

// The server's own words where the error carries them, else the error's text; Impala's first line only names the query
// that failed.
func said(err error) string {
	var failed gohive.HiveError
	if errors.As(err, &failed) {
		return failed.Message
	}
	return err.Error()
}
