// Package report is the result of a run: as JSON, as a table, as a page with
// charts, compared with another, and held against expectations.
package report
